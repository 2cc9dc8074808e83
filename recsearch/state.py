"""What a checkpoint holds: named parts, each a set of arrays beside plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, or lists and string-keyed dicts of these."""


@dataclass(frozen=True, eq=False)
class Part:
    """One independently readable part of a checkpoint (``model``, ``users``, ``optimizer``, ...).

    Attributes:
        tensors: Name to array. Any numeric or boolean dtype, little endian; strings are
            fixed-width unicode (``<U``). Never object arrays.
        values: JSON-serialisable counters and settings (random generator states, step counts).
        constant: The arrays are the same in every epoch of a trial (vocabularies, biases). They
            are stored apart from what changes, so that dropping an epoch frees all its own bytes.
        touched: Name of an array to the numbers of its rows that may have changed since the last
            checkpoint of the same trainer, in any order, with or without duplicates. Changes of
            arrays that are not named here are found by comparing.
    """

    tensors: Mapping[str, np.ndarray]
    values: Mapping[str, Json] = field(default_factory=dict)
    constant: bool = False
    touched: Mapping[str, np.ndarray] = field(default_factory=dict)


State: TypeAlias = Mapping[str, Part]
"""The parts of one checkpoint by name."""


def not_finite(state: State) -> str | None:
    """The first array that holds NaN or infinity, such as ``item_embeddings of the model``.

    A diverged model must not be measured: where it has no score, the bias model stands in for it.
    """
    for part_name, part in state.items():
        for name, array in part.tensors.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"{name} of the {part_name}"
    return None

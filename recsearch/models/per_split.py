"""What all trials on one split share: computed once in a process, kept as long as the split is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from lenskit.data import Dataset

    from recsearch.data import Split

T = TypeVar("T")
TRAINING_BYTES = 200
"""Memory that a rating takes in LensKit's data set and what its trainers make of it: 130 to 210
bytes were measured on MovieLens 1M."""

_KEPT: WeakKeyDictionary[Split, dict[Hashable, tuple[Hashable, Any]]] = WeakKeyDictionary()


def shared(split: Split, key: Hashable, make: Callable[[], T], *, variant: Hashable = None) -> T:
    """What ``make`` returns for this split and key; made anew only for another ``variant``."""
    kept = _KEPT.setdefault(split, {})
    if key not in kept or kept[key][0] != variant:
        kept.pop(key, None)  # before the next one takes memory, too
        kept[key] = variant, make()
    found: T = kept[key][1]
    return found


def training_data(split: Split) -> Dataset:
    """The training ratings as LensKit's data set."""
    from recsearch.data.lenskit import dataset

    return shared(split, "dataset", lambda: dataset(split))


def training_bytes(split: Split) -> int:
    """Memory of `training_data`, and of what LensKit's trainers make of it."""
    return TRAINING_BYTES * len(split.train.items)

"""The users and items that a model knows: numbers are positions in these arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsearch.errors import UsageError
from recsearch.state import Part, State

if TYPE_CHECKING:
    from recsearch.data import Split

PART = "vocabulary"


@dataclass(frozen=True, eq=False)
class EntityIds:
    """Original ids in the order of their numbers.

    Attributes:
        users: ``(n_users,)`` integers or ``<U`` strings, sorted.
        items: ``(n_items,)`` likewise.
        titles: ``(n_items,)`` ``<U`` names of the items, where the data set has them.
    """

    users: np.ndarray
    items: np.ndarray
    titles: np.ndarray | None = None

    @classmethod
    def of_split(cls, split: Split) -> EntityIds:
        """The ids of a split."""
        return cls(split.user_ids, split.item_ids, split.titles)

    @classmethod
    def of_state(cls, state: State, family: str) -> EntityIds:
        """The ids in a checkpoint.

        Raises:
            UsageError: the state has no vocabulary.
        """
        part = need_part(state, PART, family, ("user_ids", "item_ids"))
        tensors = part.tensors
        return cls(tensors["user_ids"], tensors["item_ids"], tensors.get("titles"))

    def to_part(self) -> Part:
        """The same in every epoch of every trial, so a store keeps it once."""
        tensors = {"user_ids": self.users, "item_ids": self.items}
        if self.titles is not None:
            tensors["titles"] = self.titles
        return Part(tensors, constant=True)

    def check_same(self, state: State, family: str) -> None:
        """Refuse a state of other users or items; one without a vocabulary passes.

        Raises:
            UsageError: the ids differ.
        """
        if PART not in state:
            return
        other = EntityIds.of_state(state, family)
        for name, ours, theirs in (
            ("users", self.users, other.users),
            ("items", self.items, other.items),
        ):
            if not np.array_equal(ours, theirs):
                raise UsageError(
                    f"{family}: the checkpoint was trained on other {name} "
                    f"({len(theirs)}) than this training set has ({len(ours)}).",
                    hint="Continue it on the split that its manifest names.",
                )


def need_part(state: State, name: str, family: str, tensors: Sequence[str] = ()) -> Part:
    """A part of a state with these tensors.

    Raises:
        UsageError: the part or one of the tensors is missing.
    """
    part = state.get(name)
    if part is None:
        raise UsageError(
            f"{family}: the checkpoint lacks the part {name!r}; it has: {', '.join(state)}."
        )
    missing = [tensor for tensor in tensors if tensor not in part.tensors]
    if missing:
        raise UsageError(
            f"{family}: part {name!r} of the checkpoint lacks {', '.join(missing)}; it is that of "
            "another model."
        )
    return part


def need_shape(array: np.ndarray, shape: tuple[int, ...], what: str, family: str) -> np.ndarray:
    """A read-only, C-contiguous float32 array of this shape.

    Raises:
        UsageError: the shape differs.
    """
    if array.shape != shape:
        raise UsageError(
            f"{family}: {what} of the checkpoint has shape {array.shape}, this configuration and "
            f"training set need {shape}."
        )
    return frozen(np.array(array, dtype=np.float32, order="C"))


def frozen(array: np.ndarray) -> np.ndarray:
    """Make an array read-only: what a state has handed out can then not change."""
    array.flags.writeable = False
    return array

"""The training ratings as a part of a model: what these models score a user by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recsearch.data import Interactions
from recsearch.errors import UsageError
from recsearch.models.vocabulary import EntityIds, frozen, need_part
from recsearch.state import Part, State

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PART = "history"


@dataclass(frozen=True, eq=False)
class History:
    """Training ratings by user. The same in all trials on a split, so a store keeps them once.

    Attributes:
        n_items: size of the item vocabulary.
        indptr: (n_users + 1,) int64 rows of the two that follow.
        items: int32, ascending in every row.
        ratings: float32, or None where a model only asks which items a user has.
    """

    n_items: int
    indptr: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None

    @classmethod
    def of(cls, train: Interactions, n_items: int, *, ratings: bool) -> History:
        """The training part of a split."""
        return cls(
            n_items,
            np.ascontiguousarray(train.indptr, dtype=np.int64),
            np.ascontiguousarray(train.items, dtype=np.int32),
            np.ascontiguousarray(train.values, dtype=np.float32) if ratings else None,
        )

    @classmethod
    def of_state(cls, state: State, ids: EntityIds, family: str, *, ratings: bool) -> History:
        """The ratings in a checkpoint.

        Raises:
            UsageError: they are missing, or those of other users or items.
        """
        names = ("indptr", "items", *(("ratings",) if ratings else ()))
        tensors = need_part(state, PART, family, names).tensors
        indptr, items = tensors["indptr"], tensors["items"]
        if len(indptr) != len(ids.users) + 1 or items.max(initial=-1) >= len(ids.items):
            raise UsageError(
                f"{family}: the history of the checkpoint is that of {len(indptr) - 1} users and "
                f"at least {items.max(initial=-1) + 1} items, its vocabulary has {len(ids.users)} "
                f"and {len(ids.items)}."
            )
        train = Interactions(indptr, items, tensors.get("ratings", _none()), None)
        return cls.of(train, len(ids.items), ratings=ratings)

    def to_part(self) -> Part:
        """The arrays, as they are."""
        tensors = {"indptr": self.indptr, "items": self.items}
        if self.ratings is not None:
            tensors["ratings"] = self.ratings
        return Part({name: frozen(array) for name, array in tensors.items()}, constant=True)

    def interactions(self) -> Interactions:
        """As training interactions; every rating is 1 where none are kept."""
        values = self.ratings
        if values is None:
            values = np.ones(len(self.items), dtype=np.float32)
        return Interactions(self.indptr, self.items, values, None)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n_users,) int64, number of items of each user."""
        return np.diff(self.indptr)

    @cached_property
    def matrix(self) -> csr_array:
        """(n_users, n_items) float32 of ratings, or of ones."""
        return self.sparse(self.interactions().values)

    def sparse(self, values: np.ndarray) -> csr_array:
        """(n_users, n_items) with ``values`` in place of the ratings."""
        from scipy.sparse import csr_array

        shape = (len(self.indptr) - 1, self.n_items)
        return csr_array((values, self.items, self.indptr), shape=shape)


def columns(items: np.ndarray | None, n_items: int) -> np.ndarray:
    """Item numbers as compiled code takes them; all where none are given."""
    chosen: Sequence[int] | np.ndarray = np.arange(n_items) if items is None else items
    return np.ascontiguousarray(chosen, dtype=np.int32)


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.float32)

"""What evaluation needs of a split and no model changes: computed once, used after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from recsearch.errors import DataError

if TYPE_CHECKING:
    from recsearch.data import Split


@dataclass(frozen=True, eq=False)
class Prepared:
    """Evaluation users with their training and held-out items, in the dtypes of compiled code.

    Attributes:
        n_items: number of items.
        users: (n_eval,) int32 numbers of the evaluation users.
        train_indptr: (n_users + 1,) int64 rows of ``train_items``, of all users.
        train_items: int32, ascending in every row.
        indptr: (n_eval + 1,) int64 rows of ``items`` and ``ratings``, one at least in each.
        items: (n,) int32 held-out items.
        ratings: (n,) float32 held-out ratings.
    """

    n_items: int
    users: np.ndarray
    train_indptr: np.ndarray
    train_items: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    ratings: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """(n_eval,) int64, number of held-out items."""
        return np.diff(self.indptr)

    @cached_property
    def rows(self) -> np.ndarray:
        """(n,) int64, position in ``users`` of each held-out item's user."""
        return np.repeat(np.arange(len(self.users)), self.counts)

    @cached_property
    def nth(self) -> np.ndarray:
        """(n,) int64, 1 for the first held-out item of its user, and so on."""
        return np.arange(1, len(self.items) + 1) - self.indptr[self.rows]

    def by_user(self, values: np.ndarray) -> np.ndarray:
        """Sums of (n,) ``values`` by user, (n_eval,) float64."""
        return np.bincount(self.rows, weights=values, minlength=len(self.users))

    def table(
        self, weights: Callable[[np.ndarray], np.ndarray], k: int | None = None
    ) -> np.ndarray:
        """``weights`` of every rank, (n_items + 1,) float64; 0 for rank 0 and beyond ``k``."""
        found = self._tables.get((weights, k))
        if found is None:
            found = np.zeros(self.n_items + 1)
            last = self.n_items if k is None else min(k, self.n_items)
            found[1 : last + 1] = weights(np.arange(1, last + 1))
            self._tables[weights, k] = found
        return found

    def most(self, weights: Callable[[np.ndarray], np.ndarray], k: int | None) -> np.ndarray:
        """Sum of the weights of lists that begin with all relevant items, cut at ``k``."""
        found = self._most.get((weights, k))
        if found is None:
            found = np.cumsum(self.table(weights, k))[self.counts]
            self._most[weights, k] = found
        return found

    @cached_property
    def _tables(self) -> dict[tuple[Callable[[np.ndarray], np.ndarray], int | None], np.ndarray]:
        return {}

    @cached_property
    def _most(self) -> dict[tuple[Callable[[np.ndarray], np.ndarray], int | None], np.ndarray]:
        return {}


_PREPARED: WeakKeyDictionary[Split, Prepared] = WeakKeyDictionary()


def prepared(split: Split) -> Prepared:
    """The invariants of ``split``, kept as long as it is.

    Raises:
        DataError: the split has no users with held-out ratings, or some without.
    """
    found = _PREPARED.get(split)
    if found is None:
        found = _PREPARED.setdefault(split, _prepare(split))
    return found


def _prepare(split: Split) -> Prepared:
    without = np.count_nonzero(np.diff(split.heldout.indptr) == 0)
    if without or len(split.eval_users) == 0:
        raise DataError(
            f"Split {split.split_id[:12]}, part {split.part}: nothing to evaluate on. Every "
            "evaluation user needs at least one held-out rating, but "
            f"{without} of {len(split.eval_users)} have none."
        )
    return Prepared(
        n_items=split.n_items,
        users=_as(split.eval_users, np.int32),
        train_indptr=_as(split.train.indptr, np.int64),
        train_items=_as(split.train.items, np.int32),
        indptr=_as(split.heldout.indptr, np.int64),
        items=_as(split.heldout.items, np.int32),
        ratings=split.heldout.values,
    )


def _as(array: np.ndarray, dtype: type) -> np.ndarray:
    """As compiled code takes it; normally the array itself."""
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])

"""Ranks of held-out items in each user's full ranking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recsearch.evaluation.prepared import Prepared


@dataclass(frozen=True, eq=False)
class HeldoutRanks:
    """Where the held-out items of each user are ranked.

    Attributes:
        held: the held-out items.
        ranks: (n,) int64 from 1, aligned with them; 0 where the item is not ranked.
        lengths: (n_users,) int64, number of ranked candidates of each user.
    """

    held: Prepared
    ranks: np.ndarray
    lengths: np.ndarray
    _totals: dict[tuple[Callable[[np.ndarray], np.ndarray], int | None], np.ndarray] = field(
        default_factory=dict
    )

    def total(
        self, weights: Callable[[np.ndarray], np.ndarray], k: int | None = None
    ) -> np.ndarray:
        """Sum over the items ranked within ``k`` of the weights of their ranks, by user."""
        found = self._totals.get((weights, k))
        if found is None:
            found = self.held.by_user(self.held.table(weights, k)[self.ranks])
            self._totals[weights, k] = found
        return found

    @cached_property
    def ascending(self) -> np.ndarray:
        """(n,) int64, the ranks of each user in ascending order, unranked items last."""
        last = self.held.n_items + 1
        rows = self.held.rows * (last + 1)
        keys = rows + np.where(self.ranks > 0, self.ranks, last)
        keys.sort()
        ranks: np.ndarray = keys - rows
        return ranks


def ragged(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all entries of ``rows``: index into ``rows`` and index into the flat arrays."""
    counts = indptr[rows + 1] - indptr[rows]
    at = np.repeat(np.arange(len(rows)), counts)
    first = np.repeat(indptr[rows] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    return at, first + np.arange(len(at))

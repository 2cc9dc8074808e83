"""What all trials on one split share: computed once in a process, kept as long as the split is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from recsearch.models.per_split import shared, training_data
from recsearch.models.vocabulary import frozen

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from recsearch.data import Split

T = TypeVar("T")
WIDEST = 1e-6
"""Similarities from here on are computed once for all trials: LensKit's default and the smallest
value of the Codex's spaces. A trial that asks for smaller ones needs those of its own kind."""


@dataclass(frozen=True, eq=False)
class Similarities:
    """Neighbours of every item: LensKit's similarity matrix at its widest.

    Attributes:
        indptr: (n_items + 1,) int64 rows of the two that follow.
        items: int32 neighbours, ascending in every row.
        values: float32 similarities, all of at least 0.
    """

    indptr: np.ndarray
    items: np.ndarray
    values: np.ndarray

    def cut(self, min_sim: float) -> Similarities:
        """Those of at least ``min_sim``: what LensKit learns with this setting."""
        keep = self.values >= np.float32(min_sim)
        ends = np.concatenate([[0], np.cumsum(keep)])
        return Similarities(ends[self.indptr], self.items[keep], self.values[keep])

    def counts(self, min_sim: float) -> np.ndarray:
        """(n_items,) int32, number of neighbours of each item that `cut` leaves."""
        ends = np.concatenate([[0], np.cumsum(self.values >= np.float32(min_sim))])
        return np.diff(ends[self.indptr]).astype(np.int32)

    @cached_property
    def by_target(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For every item, the items that have it as a neighbour: rows, items, bits of values.

        With neighbour lists that were cut at a number, this is not the same as its neighbours.
        """
        from scipy.sparse import csr_array

        size = len(self.indptr) - 1
        turned = csr_array((self.values, self.items, self.indptr), shape=(size, size)).T.tocsr()
        # Adding 0 makes -0.0, which LensKit takes for a number of at least 0, one.
        bits = (turned.data + np.float32(0)).view(np.int32)
        return (
            frozen(turned.indptr.astype(np.int64)),
            frozen(turned.indices.astype(np.int32)),
            frozen(bits),
        )


@dataclass(frozen=True, eq=False)
class ItemNeighbourhoods:
    """What LensKit's item-kNN learns before the settings of a trial.

    Attributes:
        similarities: at the widest setting.
        means: (n_items,) float32 mean ratings; None for implicit feedback.
    """

    similarities: Similarities
    means: np.ndarray | None


def neighbourhoods(
    split: Split, feedback: str, save_nbrs: int | None, min_sim: float
) -> ItemNeighbourhoods:
    """Item similarities, at the widest ``min_sim``, by LensKit's own training.

    A shorter list of neighbours is its own product: LensKit leaves out smaller similarities before
    it takes the largest, so lists of any ``min_sim`` are cuts of the widest of that length. A limit
    that no list can reach is none. Those of the last limit alone are kept.
    """
    limit = None if save_nbrs is None or save_nbrs >= split.n_items - 1 else save_nbrs
    widest = WIDEST if min_sim >= WIDEST else float(np.finfo(np.float64).smallest_normal)
    return shared(
        split,
        ("neighbourhoods", feedback, widest),
        lambda: _neighbourhoods(split, feedback, limit, widest),
        variant=limit,
    )


def _neighbourhoods(
    split: Split, feedback: str, limit: int | None, widest: float
) -> ItemNeighbourhoods:
    from lenskit.diagnostics import DataWarning
    from lenskit.knn.item import ItemKNNConfig, ItemKNNScorer

    scorer = ItemKNNScorer(ItemKNNConfig(feedback=feedback, min_sim=widest, save_nbrs=limit))
    with warnings.catch_warnings():
        # Ratings that are all equal: the search shows what that comes to.
        warnings.simplefilter("ignore", DataWarning)
        scorer.train(training_data(split))
    found = scorer.sim_matrix
    similarities = Similarities(
        frozen(found.offsets.to_numpy().astype(np.int64)),
        frozen(found.indices.to_numpy().astype(np.int32)),
        frozen(found.values.to_numpy().astype(np.float32)),
    )
    means = scorer.item_means if feedback == "explicit" else None
    return ItemNeighbourhoods(
        similarities, None if means is None else frozen(means.astype(np.float32))
    )


def gram(split: Split) -> np.ndarray:
    """(n_items, n_items) float32, how many users have both items; LensKit's co-occurrences."""

    def make() -> np.ndarray:
        from scipy.sparse import csr_array

        train = split.train
        ones = np.ones(len(train.items), dtype=np.float32)
        shape = (split.n_users, split.n_items)
        matrix: csr_array = csr_array((ones, train.items, train.indptr), shape=shape)
        # Counts below 2 ** 24 are exact in float32, in whatever order they are added.
        dense: np.ndarray = (matrix.T @ matrix).toarray()
        return frozen(dense)

    return shared(split, "gram", make)

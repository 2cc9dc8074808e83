"""Sparse linear methods: `lenskit.knn.SLIMScorer`, with or without a selection of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.models.config import complete_config
from recsearch.models.neighbours.base import (
    OTHER_BYTES,
    HistoryFamily,
    HistoryModel,
    history_bytes,
    read_only,
)
from recsearch.models.neighbours.item import similar_pairs
from recsearch.models.per_split import training_bytes, training_data
from recsearch.models.protocol import Work
from recsearch.models.vocabulary import need_part
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.knn.slim import SLIMScorer
    from scipy.sparse import csr_array

    from recsearch.data import Split

NAME = "slim"
DENSE = 0.15
"""Share of the pairs with a weight where ``l1_reg`` is small: 14 % at 0.01, 10 % at 1, 0.3 to 0.7 %
at 10 to 100 were measured on generated ratings and MovieLens 100K."""

ROUNDS = 15
"""Rounds of coordinate descent until a column has converged, typically."""


class SLIM(HistoryModel):
    """Scores are sums, over the user's items, of the rows of a sparse matrix of weights."""

    family = NAME
    _weights: csr_array

    def _fit(self, split: Split) -> None:
        from lenskit.knn.slim import SLIMConfig, SLIMScorer
        from lenskit.training import TrainingOptions

        scorer = SLIMScorer(SLIMConfig(**self.config))
        scorer.train(training_data(split), TrainingOptions())
        found = scorer.weights
        self._weights = _matrix(found.indptr, found.indices, found.data, found.shape[0])

    def _parts(self) -> dict[str, Part]:
        found = self._weights
        tensors = {"indptr": found.indptr, "items": found.indices, "values": found.data}
        return {"weights": Part(tensors)}

    def _take(self, state: State) -> None:
        tensors = need_part(state, "weights", NAME, ("indptr", "items", "values")).tensors
        size = len(self.ids.items)
        self._weights = _matrix(tensors["indptr"], tensors["items"], tensors["values"], size)

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Sums of weights; see `HistoryModel.scores`."""
        found: np.ndarray = (self.history.matrix[users] @ self._weights).toarray()
        block = found if items is None else found[:, items]
        block[self._without_history(users)] = np.nan
        return block

    def _scorer(self) -> SLIMScorer:
        from lenskit.knn.slim import SLIMConfig, SLIMScorer

        from recsearch.models.pipelines import item_vocabulary

        scorer = SLIMScorer(SLIMConfig(**self.config))
        scorer.items = item_vocabulary(self.ids)
        scorer.weights = self._weights
        return scorer


class SLIMFamily(HistoryFamily):
    """Configuration schema and factories of ``slim``."""

    name = NAME
    class_path = "lenskit.knn:SLIMScorer"
    predicts_ratings = False
    code_version = 1
    default_metric = "NDCG@10"
    libraries = ("lenskit", "numpy", "scipy")
    model = SLIM

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.knn.SLIMConfig`; see `Family.complete`."""
        from lenskit.knn.slim import SLIMConfig

        return complete_config(SLIMConfig, config, NAME, pairs={})

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """A column and a weight for the pairs of items that are expected to have one.

        ``l1_reg`` makes most of those zero that a user has both of, and ``max_nbrs`` is a limit.
        """
        expected = int(similar_pairs(split, None) * DENSE / (1 + config["l1_reg"]))
        pairs = min(expected, similar_pairs(split, config["max_nbrs"]))
        return 8 * (split.n_items + 1 + pairs)

    def shared_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Who has rated what; see `Family.shared_bytes`."""
        return history_bytes(split)

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Two passes over the ratings of all features, in every round, for every item."""
        ratings = len(split.train.items)
        share = min(1.0, (config["max_nbrs"] or split.n_items) / max(1, split.n_items))
        passes = 2.0 * ratings * share * split.n_items * min(ROUNDS, config["max_iters"])
        pairs = 8 * similar_pairs(split, config["max_nbrs"])
        peak = (
            pairs
            + 3 * self.model_bytes(config, split)
            + 2 * history_bytes(split)
            + training_bytes(split)
            + OTHER_BYTES
        )
        return Work(passes, 0.0, peak)


def _matrix(indptr: np.ndarray, items: np.ndarray, values: np.ndarray, size: int) -> csr_array:
    from scipy.sparse import csr_array

    arrays = read_only(values, np.float32), read_only(items, np.int32), read_only(indptr, np.int32)
    return csr_array(arrays, shape=(size, size))

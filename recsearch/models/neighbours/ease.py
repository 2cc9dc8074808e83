"""Embarrassingly shallow autoencoders: `lenskit.knn.EASEScorer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.models.config import complete_config
from recsearch.models.neighbours.base import HistoryFamily, HistoryModel, history_bytes
from recsearch.models.neighbours.shared import gram
from recsearch.models.protocol import Work
from recsearch.models.vocabulary import frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.knn import EASEScorer

    from recsearch.data import Split

NAME = "ease"


class EASE(HistoryModel):
    """Scores are sums, over the user's items, of the rows of a dense matrix of weights."""

    family = NAME
    _weights: np.ndarray

    def _fit(self, split: Split) -> None:
        self._weights = frozen(_weights(gram(split), self.config["regularization"]))

    def _parts(self) -> dict[str, Part]:
        return {"model": Part({"weights": self._weights})}

    def _take(self, state: State) -> None:
        size = len(self.ids.items)
        weights = need_part(state, "model", NAME, ("weights",)).tensors["weights"]
        self._weights = need_shape(weights, (size, size), "weights", NAME)

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Sums of weights; see `HistoryModel.scores`."""
        weights = self._weights if items is None else self._weights[:, items]
        block: np.ndarray = self.history.matrix[users] @ weights
        block[self._without_history(users)] = np.nan
        return block

    def _scorer(self) -> EASEScorer:
        from lenskit.knn.ease import EASEConfig, EASEScorer

        from recsearch.models.pipelines import item_vocabulary

        scorer = EASEScorer(EASEConfig(**self.config))
        scorer.items = item_vocabulary(self.ids)
        scorer.weights = self._weights
        return scorer


class EASEFamily(HistoryFamily):
    """Configuration schema and factories of ``ease``."""

    name = NAME
    class_path = "lenskit.knn:EASEScorer"
    predicts_ratings = False
    code_version = 1
    default_metric = "NDCG@10"
    libraries = ("lenskit", "numpy", "scipy", "torch")
    model = EASE

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.knn.EASEConfig`; see `Family.complete`."""
        from lenskit.knn.ease import EASEConfig

        return complete_config(EASEConfig, config, NAME, pairs={})

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """A weight for every pair of items, 4 bytes each."""
        return 4 * split.n_items**2

    def shared_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Who has rated what; see `Family.shared_bytes`."""
        return history_bytes(split)

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """A Cholesky factor and the inverse from it; see `Family.work`."""
        # Counts, factor, inverse, what is being stored, and the copy of a restored one; float64
        # where float32 is not precise enough takes twice as much of two of them.
        return Work(float(split.n_items) ** 3, 0.0, 6 * 4 * split.n_items**2)


def _weights(counts: np.ndarray, regularization: float) -> np.ndarray:
    """(n_items, n_items) float32; column j predicts item j from the others.

    The operations of LensKit's training in their order. Where the counts with a small
    regularization are no positive definite matrix in float32, LensKit gives up: it has more items
    than users, or equal columns. In float64 they are one.
    """
    inverse = _inverse(counts, regularization, np.float32)
    if inverse is None:
        inverse = _inverse(counts, regularization, np.float64)
    if inverse is None:
        raise ArithmeticError(
            f"{NAME}: regularization = {regularization:g} is too small for these ratings: the "
            "matrix of counts cannot be inverted."
        )
    inverse /= -np.diag(inverse).reshape(1, -1)
    np.fill_diagonal(inverse, 0)
    # The inverse comes in columns; a restored one must be multiplied in the same order as this.
    return np.ascontiguousarray(inverse, dtype=np.float32)


def _inverse(counts: np.ndarray, regularization: float, dtype: type) -> np.ndarray | None:
    """Of the counts with ``regularization`` on the diagonal; None where it has none."""
    import torch

    matrix: np.ndarray = counts.astype(dtype)
    diagonal = np.diag_indices(len(matrix))
    matrix[diagonal] += regularization
    with torch.inference_mode():
        target = torch.from_numpy(matrix)
        factor, problem = torch.linalg.cholesky_ex(target)
        if problem.item():
            return None
        found: np.ndarray = torch.cholesky_inverse(factor, out=target).numpy()
    return found

"""User-based nearest neighbours: `lenskit.knn.UserKNNScorer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsearch.models.neighbours.base import HistoryFamily, HistoryModel, history_bytes
from recsearch.models.neighbours.feedback import complete_feedback
from recsearch.models.neighbours.history import History, columns
from recsearch.models.neighbours.item import least_bits
from recsearch.models.per_split import shared
from recsearch.models.protocol import Work
from recsearch.models.vocabulary import frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.knn import UserKNNScorer
    from scipy.sparse import csr_array

    from recsearch.data import Split

CLASS_PATH = "lenskit.knn:UserKNNScorer"
BLOCK_BYTES = 32 << 20
"""The most memory for the similarities of a block of users to all others."""


@dataclass(frozen=True, eq=False)
class UserRatings:
    """The ratings in the forms that LensKit's user-kNN learns.

    Attributes:
        centred: (n_users, n_items) float32, less the user's mean; ones for implicit feedback.
        means: (n_users,) float32; None for implicit feedback.
        norms: (n_users,) float32 lengths of the rows of ``centred``.
    """

    centred: csr_array
    means: np.ndarray | None
    norms: np.ndarray

    @classmethod
    def of(cls, history: History) -> UserRatings:
        """By the operations of LensKit's training, in their order and precision."""
        from scipy.sparse.linalg import norm

        matrix, means = history.matrix.copy(), None
        if history.ratings is not None:
            sums, means = matrix.sum(axis=1), np.zeros(matrix.shape[0], dtype=np.float32)
            np.divide(sums, history.lengths, out=means, where=history.lengths > 0)
            matrix.data = matrix.data - np.repeat(means, history.lengths)
            frozen(means)
        lengths = norm(matrix, 2, axis=1).astype(np.float32) if matrix.shape[1] else None
        norms = np.zeros(matrix.shape[0], dtype=np.float32) if lengths is None else lengths
        return cls(matrix, means, frozen(norms))

    @cached_property
    def vectors(self) -> csr_array:
        """(n_users, n_items) float32 rows of length 1; of length 0 where all ratings are equal."""
        divisors = np.maximum(self.norms, np.finfo("f4").smallest_normal).reshape(-1, 1)
        return (self.centred / divisors).tocsr()

    @cached_property
    def by_item(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Raters of every item: rows, users, and their ratings in ``centred``."""
        turned = self.centred.T.tocsr()
        return (
            frozen(turned.indptr.astype(np.int64)),
            frozen(turned.indices.astype(np.int32)),
            frozen(turned.data.astype(np.float32)),
        )


class UserKNN(HistoryModel):
    """Scores an item by those of its raters who are most similar to the user.

    LensKit takes the history that comes with the query, as in its pipelines it always does, for
    the user's vector: centred on its own mean, and not scaled to length 1. Similarities of a user
    are thus cosines times the length of that vector, which matters to ``min_sim`` alone. Base
    class: one subclass for each kind of feedback.
    """

    feedback: ClassVar[str]
    _ratings: UserRatings

    def _fit(self, split: Split) -> None:
        key = ("user ratings", self.feedback)
        self._ratings = shared(split, key, lambda: UserRatings.of(self.history))

    def _parts(self) -> dict[str, Part]:
        tensors = {"user_norms": self._ratings.norms}
        if self._ratings.means is not None:
            tensors["user_means"] = self._ratings.means
        return {"model": Part(tensors)}

    def _take(self, state: State) -> None:
        size = (len(self.ids.users),)
        names = ("user_norms", "user_means") if self.keeps_ratings else ("user_norms",)
        tensors = need_part(state, "model", self.family, names).tensors
        norms, *means = (need_shape(tensors[name], size, name, self.family) for name in names)
        matrix = self.history.matrix.copy()
        if means:
            matrix.data = matrix.data - np.repeat(means[0], self.history.lengths)
        self._ratings = UserRatings(matrix, means[0] if means else None, norms)

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Predicted ratings, or sums of similarities; see `HistoryModel.scores`."""
        targets = columns(items, len(self.ids.items))
        out = np.empty((len(users), len(targets)), dtype=np.float32)
        height = max(1, BLOCK_BYTES // (4 * max(1, len(self.ids.users))))
        for begin in range(0, len(users), height):
            self._score(users[begin : begin + height], targets, out[begin : begin + height])
        return out

    def _score(self, users: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
        from recsearch.models.neighbours.kernels import user_scores

        config, ratings = self.config, self._ratings
        queries, means = self._queries(users)
        # The sums of LensKit's product of the matrix with one user's vector, in the same order.
        similar = np.ascontiguousarray((ratings.vectors @ queries).T)
        similar[np.arange(len(users)), users] = 0
        # A user without ratings is like nobody, whatever the smallest similarity.
        similar[self._without_history(users)] = -1
        user_scores(
            similar.view(np.int32),
            targets,
            *ratings.by_item,
            means,
            least_bits(config["min_sim"]),
            config["max_nbrs"],
            config["min_nbrs"],
            self.predicts,
            out,
        )

    def _queries(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of users, (n_items, len(users)) float32, and their mean ratings."""
        history = self.history
        queries = np.zeros((len(self.ids.items), len(users)), dtype=np.float32)
        means = np.zeros(len(users), dtype=np.float32)
        for column, user in enumerate(users):
            row = slice(history.indptr[user], history.indptr[user + 1])
            values = np.float32(1)
            if history.ratings is not None and row.start < row.stop:
                means[column] = history.ratings[row].mean()
                values = history.ratings[row] - means[column]
            queries[history.items[row], column] = values
        return queries, means

    def _scorer(self) -> UserKNNScorer:
        from lenskit.data.matrix import SparseRowArray
        from lenskit.knn.user import UserKNNConfig, UserKNNScorer

        from recsearch.models.pipelines import item_vocabulary, user_vocabulary

        ratings = self._ratings
        scorer = UserKNNScorer(UserKNNConfig(**self.config))
        scorer.users, scorer.items = user_vocabulary(self.ids), item_vocabulary(self.ids)
        scorer.user_means, scorer.user_vectors = ratings.means, ratings.vectors
        # LensKit's compiled scores take rows that begin at 32-bit positions.
        small = ratings.centred.copy()
        small.indptr, small.indices = small.indptr.astype(np.int32), small.indices.astype(np.int32)
        scorer.user_ratings = SparseRowArray.from_scipy(small, values=self.predicts)
        return scorer


class UserKNNExplicit(UserKNN):
    """Averages of what ratings exceed the raters' means by, weighted by similarity."""

    family = "uknn-explicit"
    feedback = "explicit"
    keeps_ratings = True
    predicts = True


class UserKNNImplicit(UserKNN):
    """Sums of similarities."""

    family = "uknn-implicit"
    feedback = "implicit"


class UserKNNFamily(HistoryFamily):
    """Configuration schema and factories of ``uknn-explicit`` and ``uknn-implicit``."""

    class_path = CLASS_PATH
    code_version = 1
    model: ClassVar[type[UserKNN]]

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.knn.UserKNNConfig`; see `Family.complete`."""
        from lenskit.knn.user import UserKNNConfig

        return complete_feedback(UserKNNConfig, config, self.name, self.model.feedback)

    def prepare(self) -> None:
        """Compile the scores."""
        import recsearch.models.neighbours.kernels  # noqa: F401

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Length of the vector, and mean rating, of each user; the ratings are not counted."""
        return 4 * split.n_users * (2 if self.predicts_ratings else 1)

    def shared_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """The training ratings; see `Family.shared_bytes`."""
        return history_bytes(split)

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """A pass over the ratings: the work is in the scores. See `Family.work`."""
        forms = 5 * history_bytes(split) + 2 * BLOCK_BYTES
        return Work(float(len(split.train.items)), 0.0, forms)


class UserKNNExplicitFamily(UserKNNFamily):
    """See `UserKNNFamily`."""

    name = UserKNNExplicit.family
    predicts_ratings = True
    default_metric = "RMSE"
    model = UserKNNExplicit


class UserKNNImplicitFamily(UserKNNFamily):
    """See `UserKNNFamily`."""

    name = UserKNNImplicit.family
    predicts_ratings = False
    default_metric = "NDCG@10"
    model = UserKNNImplicit

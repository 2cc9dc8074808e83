"""Item-based nearest neighbours: `lenskit.knn.ItemKNNScorer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsearch.models.neighbours.base import (
    OTHER_BYTES,
    HistoryFamily,
    HistoryModel,
    history_bytes,
    read_only,
)
from recsearch.models.neighbours.feedback import complete_feedback
from recsearch.models.neighbours.history import columns
from recsearch.models.neighbours.shared import Similarities, neighbourhoods
from recsearch.models.per_split import training_bytes
from recsearch.models.protocol import Work
from recsearch.models.vocabulary import frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.knn import ItemKNNScorer

    from recsearch.data import Split

CLASS_PATH = "lenskit.knn:ItemKNNScorer"


class ItemKNN(HistoryModel):
    """Scores an item by the most similar of the user's items.

    The similarities are those of the widest setting, the same in all trials; what a trial sets is
    applied when scores are computed. Base class: one subclass for each kind of feedback.
    """

    feedback: ClassVar[str]
    _widest: Similarities
    _counts: np.ndarray
    _means: np.ndarray | None = None

    def _fit(self, split: Split) -> None:
        config = self.config
        found = neighbourhoods(split, self.feedback, config["save_nbrs"], config["min_sim"])
        self._widest, self._means = found.similarities, found.means
        self._counts = frozen(self._widest.counts(config["min_sim"]))

    def _parts(self) -> dict[str, Part]:
        wide = self._widest
        model = {"neighbours": self._counts}
        if self._means is not None:
            model["item_means"] = self._means
        shared = {"indptr": wide.indptr, "items": wide.items, "values": wide.values}
        return {"similarities": Part(shared, constant=True), "model": Part(model)}

    def _take(self, state: State) -> None:
        names = ("neighbours", "item_means") if self.keeps_ratings else ("neighbours",)
        part = need_part(state, "model", self.family, names)
        wide = need_part(state, "similarities", self.family, ("indptr", "items", "values")).tensors
        size = len(self.ids.items)
        if self.keeps_ratings:
            means = part.tensors["item_means"]
            self._means = need_shape(means, (size,), "item_means", self.family)
        self._counts = read_only(part.tensors["neighbours"], np.int32)
        self._widest = Similarities(
            read_only(wide["indptr"], np.int64),
            read_only(wide["items"], np.int32),
            read_only(wide["values"], np.float32),
        )

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Predicted ratings, or sums of similarities; see `HistoryModel.scores`."""
        from recsearch.models.neighbours.kernels import item_scores

        targets = columns(items, len(self.ids.items))
        out = np.empty((len(users), len(targets)), dtype=np.float32)
        history, config = self.history, self.config
        item_scores(
            *self._widest.by_target,
            targets,
            np.ascontiguousarray(users, dtype=np.int32),
            history.indptr,
            history.items,
            self._centred(),
            self._means if self._means is not None else np.zeros(0, dtype=np.float32),
            least_bits(config["min_sim"]),
            config["max_nbrs"],
            config["min_nbrs"],
            self.predicts,
            out,
        )
        return out

    def _centred(self) -> np.ndarray:
        ratings, means = self.history.ratings, self._means
        if ratings is None or means is None:
            return self.history.interactions().values
        centred: np.ndarray = ratings - means[self.history.items]
        return centred

    def _scorer(self) -> ItemKNNScorer:
        from lenskit.data.matrix import SparseRowArray
        from lenskit.knn.item import ItemKNNConfig, ItemKNNScorer

        from recsearch.models.pipelines import item_vocabulary

        scorer = ItemKNNScorer(ItemKNNConfig(**self.config))
        cut, size = self._widest.cut(self.config["min_sim"]), len(self.ids.items)
        scorer.items = item_vocabulary(self.ids)
        scorer.item_means = self._means
        scorer.item_counts = self._counts
        scorer.sim_matrix = SparseRowArray.from_arrays(
            cut.indptr, cut.items, cut.values, shape=(size, size)
        )
        return scorer


class ItemKNNExplicit(ItemKNN):
    """Averages of ratings, weighted by similarity."""

    family = "iknn-explicit"
    feedback = "explicit"
    keeps_ratings = True
    predicts = True


class ItemKNNImplicit(ItemKNN):
    """Sums of similarities."""

    family = "iknn-implicit"
    feedback = "implicit"


class ItemKNNFamily(HistoryFamily):
    """Configuration schema and factories of ``iknn-explicit`` and ``iknn-implicit``."""

    class_path = CLASS_PATH
    code_version = 1
    model: ClassVar[type[ItemKNN]]

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.knn.ItemKNNConfig` but for the block size, which changes no number."""
        from lenskit.knn.item import ItemKNNConfig

        return complete_feedback(ItemKNNConfig, config, self.name, self.model.feedback)

    def prepare(self) -> None:
        """Compile the scores."""
        import recsearch.models.neighbours.kernels  # noqa: F401

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Number of neighbours, and mean rating, of each item; what trials share is not counted."""
        return 4 * split.n_items * (2 if self.predicts_ratings else 1)

    def shared_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """History and similarities; see `Family.shared_bytes`."""
        pairs = similar_pairs(split, config["save_nbrs"])
        return history_bytes(split) + 8 * (split.n_items + 1) + 8 * pairs

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Nothing but a look at each similarity: they are computed once. See `Family.work`."""
        pairs = similar_pairs(split, config["save_nbrs"])
        # The matrix, its transposed, and what computing it holds: chunks that are then combined.
        return Work(
            float(pairs),
            0.0,
            4 * 8 * pairs + 2 * history_bytes(split) + training_bytes(split) + OTHER_BYTES,
        )


class ItemKNNExplicitFamily(ItemKNNFamily):
    """See `ItemKNNFamily`."""

    name = ItemKNNExplicit.family
    predicts_ratings = True
    default_metric = "RMSE"
    model = ItemKNNExplicit


class ItemKNNImplicitFamily(ItemKNNFamily):
    """See `ItemKNNFamily`."""

    name = ItemKNNImplicit.family
    predicts_ratings = False
    default_metric = "NDCG@10"
    model = ItemKNNImplicit


def least_bits(min_sim: float) -> int:
    """Bits of the smallest similarity of a neighbour, in LensKit's precision."""
    return int(np.array([min_sim], dtype=np.float32).view(np.int32)[0])


def similar_pairs(split: Split, save_nbrs: int | None) -> int:
    """Pairs of items that may be similar, at most: rated by the same user."""
    lengths = np.diff(split.train.indptr).astype(np.int64)
    rated = int(np.count_nonzero(np.bincount(split.train.items, minlength=1)))
    pairs = min(rated * max(0, rated - 1), int((lengths * (lengths - 1)).sum()))
    return pairs if save_nbrs is None else min(pairs, rated * save_nbrs)

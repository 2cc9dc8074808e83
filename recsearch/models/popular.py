"""Most popular items first: `lenskit.basic.PopScorer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from lenskit.basic.popularity import PopConfig, PopScorer

from recsearch.models.config import complete_config
from recsearch.models.pipelines import item_vocabulary, topn_pipeline
from recsearch.models.protocol import Family, untrainable
from recsearch.models.vocabulary import EntityIds, frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split

NAME = "popular"


class Popular:
    """One score per item, the same for every user."""

    def __init__(self, config: Mapping[str, Any], ids: EntityIds, train: Interactions | None):
        self.config = dict(config)
        self.ids = ids
        self.epochs = 0
        self._train = train
        self._scores = frozen(np.full(len(ids.items), np.nan, dtype=np.float32))

    def train_epoch(self) -> dict[str, float]:
        """Count the ratings of each item.

        Raises:
            UsageError: the model was loaded without training ratings.
        """
        if self._train is None:
            raise untrainable(NAME)
        counts = np.bincount(self._train.items, minlength=len(self.ids.items))
        scorer = PopScorer(PopConfig(**self.config))
        scores = scorer._train_internal(pd.Series(counts, index=self.ids.items))
        self._scores = frozen(np.array(scores.values, dtype=np.float32))
        self.epochs = 1
        return {}

    def state(self) -> State:
        """Parts ``model``, ``vocabulary`` and ``trainer``."""
        return {
            "model": Part({"item_scores": self._scores}),
            "vocabulary": self.ids.to_part(),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        """Take the scores of ``state``.

        Raises:
            UsageError: the state is that of another model or training set.
        """
        self.ids.check_same(state, NAME)
        part = need_part(state, "model", NAME, ("item_scores",))
        self._scores = need_shape(
            part.tensors["item_scores"], (len(self.ids.items),), "item_scores", NAME
        )
        self.epochs = int(need_part(state, "trainer", NAME).values["epochs"])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """The same line for each user, float32 ``(len(users), n_items or len(items))``."""
        line = self._scores if items is None else self._scores[items]
        return np.tile(line, (len(users), 1))

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn`` with a `lenskit.basic.PopScorer`."""
        scorer = PopScorer(PopConfig(**self.config))
        scorer.items_ = item_vocabulary(self.ids)
        scorer.item_scores_ = self._scores
        return topn_pipeline(scorer, self.ids, NAME, history=history)


class PopularFamily(Family):
    """Configuration schema and factories of ``popular``."""

    name = NAME
    class_path = "lenskit.basic:PopScorer"
    predicts_ratings = False
    iterative = False
    code_version = 1
    default_metric = "NDCG@10"
    libraries = ("lenskit", "numpy", "pandas")

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.basic.popularity.PopConfig`; see `Family.complete`."""
        return complete_config(PopConfig, config, NAME, pairs={})

    def create(
        self,
        config: Mapping[str, Any],
        split: Split,
        seed: int | np.random.SeedSequence,
    ) -> Popular:
        """An untrained model; see `Family.create`."""
        return Popular(self.complete(config), EntityIds.of_split(split), split.train)

    def load(self, config: Mapping[str, Any], state: State) -> Popular:
        """A model for scoring; see `Family.load`."""
        model = Popular(self.complete(config), EntityIds.of_state(state, NAME), None)
        model.load_state(state)
        return model

    def model_bytes(
        self,
        config: Mapping[str, Any],
        split: Split,
    ) -> int:
        """One score for each item, 4 bytes each."""
        return 4 * split.n_items

"""The user and item bias model of `lenskit.basic.BiasScorer`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from lenskit.basic.bias import BiasConfig, BiasScorer

from recsearch.bias import learn_bias
from recsearch.models.config import complete_config
from recsearch.models.pipelines import bias_model, topn_pipeline
from recsearch.models.protocol import Family, untrainable
from recsearch.models.vocabulary import EntityIds, frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split

NAME = "bias"


class Bias:
    """Global mean plus damped means of item and user offsets."""

    def __init__(self, config: Mapping[str, Any], ids: EntityIds, train: Interactions | None):
        self.config = dict(config)
        self.ids = ids
        self.epochs = 0
        self._train = train
        self._offset = math.nan
        self._item_bias = frozen(np.full(len(ids.items), np.nan, dtype=np.float32))
        self._user_bias = frozen(np.full(len(ids.users), np.nan, dtype=np.float32))

    def train_epoch(self) -> dict[str, float]:
        """Learn all biases.

        Raises:
            UsageError: the model was loaded without training ratings.
        """
        if self._train is None:
            raise untrainable(NAME)
        # Infinite damping keeps an entity's biases at 0, which is what leaving it out means.
        damping = dict.fromkeys(("user", "item"), math.inf)
        damping |= {name: self.config["damping"][name] for name in self.config["entities"]}
        offset, item_bias, user_bias = learn_bias(
            self._train, len(self.ids.items), damping["user"], damping["item"]
        )
        self._offset = offset
        self._item_bias, self._user_bias = frozen(item_bias), frozen(user_bias)
        self.epochs = 1
        return {}

    def state(self) -> State:
        """Parts ``model``, ``vocabulary`` and ``trainer``."""
        tensors = {
            "item_bias": self._item_bias,
            "user_bias": self._user_bias,
            "global": frozen(np.array([self._offset], dtype=np.float64)),
        }
        return {
            "model": Part(tensors),
            "vocabulary": self.ids.to_part(),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        """Take the biases of ``state``.

        Raises:
            UsageError: the state is that of another model or training set.
        """
        self.ids.check_same(state, NAME)
        part = need_part(state, "model", NAME, ("item_bias", "user_bias", "global"))
        shapes = {"item_bias": (len(self.ids.items),), "user_bias": (len(self.ids.users),)}
        self._item_bias, self._user_bias = (
            need_shape(part.tensors[name], shape, name, NAME) for name, shape in shapes.items()
        )
        self._offset = float(part.tensors["global"][0])
        self.epochs = int(need_part(state, "trainer", NAME).values["epochs"])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Predicted ratings, float32 ``(len(users), n_items or len(items))``."""
        item_bias = self._item_bias if items is None else self._item_bias[items]
        block: np.ndarray = (np.float32(self._offset) + item_bias)[None, :] + self._user_bias[
            users
        ][:, None]
        return block

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn-predict`` with a `lenskit.basic.BiasScorer`."""
        entities = self.config["entities"]
        model = bias_model(
            self.ids,
            self.config["damping"],
            self._offset,
            self._item_bias if "item" in entities else None,
            self._user_bias if "user" in entities else None,
        )
        scorer = BiasScorer(BiasConfig(**self.config))
        scorer.model_ = model
        return topn_pipeline(scorer, self.ids, NAME, bias=model, history=history)


class BiasFamily(Family):
    """Configuration schema and factories of ``bias``."""

    name = NAME
    class_path = "lenskit.basic:BiasScorer"
    predicts_ratings = True
    iterative = False
    code_version = 1
    default_metric = "RMSE"
    libraries = ("lenskit", "numpy")

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.basic.bias.BiasConfig`; see `Family.complete`."""
        return complete_config(BiasConfig, config, NAME, pairs={"damping": 0.0})

    def create(
        self,
        config: Mapping[str, Any],
        split: Split,
        seed: int | np.random.SeedSequence,
    ) -> Bias:
        """An untrained model; see `Family.create`."""
        return Bias(self.complete(config), EntityIds.of_split(split), split.train)

    def load(self, config: Mapping[str, Any], state: State) -> Bias:
        """A model for scoring; see `Family.load`."""
        model = Bias(self.complete(config), EntityIds.of_state(state, NAME), None)
        model.load_state(state)
        return model

    def model_bytes(
        self,
        config: Mapping[str, Any],
        split: Split,
    ) -> int:
        """One bias for each user and item, 4 bytes each."""
        return 4 * (split.n_users + split.n_items) + 8

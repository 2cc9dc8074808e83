"""FunkSVD (Funk 2006), trained by LensKit's own ``lenskit.funksvd.FunkSVDScorer``.

One-shot. LensKit trains one feature after the other, each with what the features still to come will
add already in its estimates; a model of fewer features than were asked for is therefore another
model than a smaller one, and no epoch that a search should judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from lenskit.funksvd import FunkSVDConfig, FunkSVDScorer
from lenskit.training import TrainingOptions
from pydantic import Field, PositiveInt

from recsearch.errors import UsageError
from recsearch.models.config import complete_config
from recsearch.models.per_split import training_bytes, training_data
from recsearch.models.pipelines import factors_pipeline
from recsearch.models.protocol import Family, Work, untrainable
from recsearch.models.vocabulary import EntityIds, frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split

NAME = "funksvd"
ITERATIONS = "iterations"
"""What LensKit calls ``epochs``: passes over the ratings for each feature."""


class _Schema(FunkSVDConfig):
    """LensKit's configuration with its ``epochs`` by the name that they have here."""

    iterations: Annotated[PositiveInt, Field(strict=True)] = 100


class FunkSVD:
    """Biases plus the dot product of user and item vectors, all float32."""

    def __init__(self, config: Mapping[str, Any], ids: EntityIds, split: Split | None, seed: Any):
        self.config = dict(config)
        self.ids = ids
        self.epochs = 0
        self._split, self._seed = split, seed
        size, n_users, n_items = config["embedding_size"], len(ids.users), len(ids.items)
        self._users = frozen(np.zeros((n_users, size), dtype=np.float32))
        self._items = frozen(np.zeros((n_items, size), dtype=np.float32))
        self._user_bias = frozen(np.zeros(n_users, dtype=np.float32))
        self._item_bias = frozen(np.zeros(n_items, dtype=np.float32))
        self._offset = 0.0

    def train_epoch(self) -> dict[str, float]:
        """Train all features.

        Raises:
            UsageError: the model was loaded without training ratings.
        """
        if self._split is None:
            raise untrainable(NAME)
        scorer = FunkSVDScorer(self._lenskit_config())
        options = TrainingOptions(rng=np.random.default_rng(self._seed))
        scorer.train(training_data(self._split), options)
        self._users = frozen(np.ascontiguousarray(scorer.user_embeddings))
        self._items = frozen(np.ascontiguousarray(scorer.item_embeddings))
        self._user_bias = frozen(np.array(scorer.bias.user_biases, dtype=np.float32))
        self._item_bias = frozen(np.array(scorer.bias.item_biases, dtype=np.float32))
        self._offset = float(scorer.bias.global_bias)
        self.epochs = 1
        return {}

    def state(self) -> State:
        """Parts ``model``, ``biases``, ``vocabulary`` and ``trainer``."""
        biases = {
            "item_bias": self._item_bias,
            "user_bias": self._user_bias,
            "global": frozen(np.array([self._offset], dtype=np.float64)),
        }
        return {
            "model": Part({"user_embeddings": self._users, "item_embeddings": self._items}),
            "biases": Part(biases, constant=True),
            "vocabulary": self.ids.to_part(),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        """Take the vectors and biases of ``state``.

        Raises:
            UsageError: the state is that of another model or training set.
        """
        self.ids.check_same(state, NAME)
        n_users, n_items, size = len(self.ids.users), len(self.ids.items), self._users.shape[1]
        vectors = need_part(state, "model", NAME, ("user_embeddings", "item_embeddings")).tensors
        biases = need_part(state, "biases", NAME, ("item_bias", "user_bias", "global")).tensors
        self._users = need_shape(vectors["user_embeddings"], (n_users, size), "users", NAME)
        self._items = need_shape(vectors["item_embeddings"], (n_items, size), "items", NAME)
        self._user_bias = need_shape(biases["user_bias"], (n_users,), "user_bias", NAME)
        self._item_bias = need_shape(biases["item_bias"], (n_items,), "item_bias", NAME)
        self._offset = float(biases["global"][0])
        self.epochs = int(need_part(state, "trainer", NAME).values["epochs"])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Predicted ratings, float32 ``(len(users), n_items or len(items))``."""
        Q = self._items if items is None else self._items[items]
        item_bias = self._item_bias if items is None else self._item_bias[items]
        block: np.ndarray = self._users[users] @ Q.T
        block += (np.float32(self._offset) + item_bias)[None, :] + self._user_bias[users][:, None]
        return block

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn-predict`` with a `lenskit.funksvd.FunkSVDScorer`; biases are the fallback."""
        return factors_pipeline(
            self.ids,
            NAME,
            self._users,
            self._items,
            offset=self._offset,
            user_bias=self._user_bias,
            item_bias=self._item_bias,
            config=self._lenskit_config(),
            history=history,
        )

    def _lenskit_config(self) -> FunkSVDConfig:
        fields = {name: value for name, value in self.config.items() if name != ITERATIONS}
        return FunkSVDConfig(**fields, epochs=self.config[ITERATIONS])


class FunkSVDFamily(Family):
    """Configuration schema and factories of ``funksvd``."""

    name = NAME
    class_path = "lenskit.funksvd:FunkSVDScorer"
    predicts_ratings = True
    iterative = False
    code_version = 1
    default_metric = "RMSE"
    libraries = ("lenskit", "numpy")

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.funksvd.FunkSVDConfig`; its ``epochs`` is ``iterations`` here."""
        if "epochs" in config:
            raise UsageError(
                f"{NAME}: epochs, LensKit's number of passes for each feature, is called "
                f"{ITERATIONS} here; training all features is one epoch.",
                hint=f"Write {ITERATIONS} instead of epochs.",
            )
        completed = complete_config(
            _Schema,
            config,
            NAME,
            pairs={"damping": 0.0},
            aliases={"embedding_size": ("features", "embedding_size_exp")},
        )
        limits = completed["range"]
        if limits is not None and not limits[0] < limits[1]:
            # LensKit's compiled trainer ends the process over it.
            raise UsageError(f"{NAME}: range = {limits!r}: expected the lower limit first.")
        return completed

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> FunkSVD:
        """An untrained model; see `Family.create`."""
        return FunkSVD(self.complete(config), EntityIds.of_split(split), split, seed)

    def load(self, config: Mapping[str, Any], state: State) -> FunkSVD:
        """A model for scoring; see `Family.load`."""
        model = FunkSVD(self.complete(config), EntityIds.of_state(state, NAME), None, 0)
        model.load_state(state)
        return model

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Vectors and biases of all users and items, 4 bytes a number."""
        return 4 * (split.n_users + split.n_items) * (config["embedding_size"] + 1) + 8

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Time is left to be measured; see `Family.work`."""
        return Work(0.0, 0.0, 4 * self.model_bytes(config, split) + training_bytes(split))

"""BiasedMF for explicit ratings (Zhou et al. 2008), as `lenskit.als.BiasedMFScorer` defines it.

LensKit is imported where its classes are needed, not at the start: workers that only train and
score begin two seconds sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.bias import learn_bias
from recsearch.models.als.model import ALSFamily, ALSModel, Solvers, remade_users
from recsearch.models.als.work import als_work
from recsearch.models.config import complete_config, is_complete
from recsearch.models.protocol import Remade, Work
from recsearch.models.vocabulary import EntityIds, frozen, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split
    from recsearch.models.als.model import Solver

NAME = "als"
PAIRS = frozenset({"regularization", "damping"})
FIELDS = PAIRS | {"embedding_size", "user_embeddings"}


class BiasedMF(ALSModel):
    """Biases plus the dot product of user and item vectors.

    Residuals r − b_ui are factorised with λ·n regularization (n entries of the row).
    """

    family = NAME
    bias_names = ("item_bias", "user_bias", "global")

    def __init__(self, config: Mapping[str, Any], ids: EntityIds):
        super().__init__(config, ids)
        self._offset: float
        self._item_bias: np.ndarray
        self._user_bias: np.ndarray

    @classmethod
    def create(
        cls,
        config: Mapping[str, Any],
        split: Split,
        seed: int | np.random.SeedSequence,
        device: str = "cpu",
    ) -> BiasedMF:
        """Learn the biases of the training ratings and draw the initial vectors as LensKit does."""
        model = cls(config, EntityIds.of_split(split))
        train, damping = split.train, config["damping"]
        offset, item_bias, user_bias = learn_bias(
            train, split.n_items, damping["user"], damping["item"]
        )
        model._offset = offset
        model._item_bias, model._user_bias = frozen(item_bias), frozen(user_bias)
        # The same float32 operations in the same order as BiasModel.transform_matrix.
        residuals = train.values - np.float32(offset)
        residuals -= item_bias[train.items]
        residuals -= np.repeat(user_bias, np.diff(train.indptr))
        model._solvers = Solvers.of(split, residuals, None, model.size, device)
        rng = np.random.default_rng(seed)
        model._items = frozen(_unit_vectors(rng, split.n_items, model.size))
        model._trained_users = frozen(_unit_vectors(rng, split.n_users, model.size))
        return model

    @classmethod
    def load(cls, config: Mapping[str, Any], state: State) -> BiasedMF:
        """A model for scoring from a complete state."""
        model = cls(config, EntityIds.of_state(state, NAME))
        model.load_state(state)
        return model

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Predicted ratings, float32; the sum is taken in the order of LensKit's scorer."""
        block = super().scores(users, items)
        item_bias = self._item_bias if items is None else self._item_bias[items]
        block += (np.float32(self._offset) + item_bias)[None, :] + self._user_bias[users][:, None]
        return block

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn-predict`` with a `lenskit.als.BiasedMFScorer`; the biases are the fallback."""
        from lenskit.als import BiasedMFConfig, BiasedMFScorer

        from recsearch.models.pipelines import (
            bias_model,
            item_vocabulary,
            topn_pipeline,
            user_vocabulary,
        )

        scorer = BiasedMFScorer(BiasedMFConfig(**self.config, epochs=max(1, self.epochs)))
        scorer.users = user_vocabulary(self.ids)
        scorer.items = item_vocabulary(self.ids)
        scorer.user_embeddings = self.user_embeddings
        scorer.item_embeddings = self.item_embeddings
        scorer.bias = bias_model(
            self.ids, self.config["damping"], self._offset, self._item_bias, self._user_bias
        )
        return topn_pipeline(scorer, self.ids, NAME, bias=scorer.bias, history=history)

    def _solve(self, solver: Solver, other: np.ndarray, reg: float) -> np.ndarray:
        return solver.solve(other, reg, per_entry=True)

    def _biases(self) -> dict[str, np.ndarray]:
        return {
            "item_bias": self._item_bias,
            "user_bias": self._user_bias,
            "global": frozen(np.array([self._offset], dtype=np.float64)),
        }

    def _load_biases(self, part: Part) -> None:
        tensors = part.tensors
        self._offset = float(tensors["global"][0])
        shapes = {"item_bias": (len(self.ids.items),), "user_bias": (len(self.ids.users),)}
        self._item_bias, self._user_bias = (
            need_shape(tensors[name], shape, name, NAME) for name, shape in shapes.items()
        )


class BiasedMFFamily(ALSFamily):
    """Configuration schema and factories of ``als``."""

    name = NAME
    class_path = "lenskit.als:BiasedMFScorer"
    predicts_ratings = True
    iterative = True
    code_version = 2
    default_metric = "RMSE"
    continue_parts = ("model", "biases", "trainer")
    libraries = ("lenskit", "numpy", "scipy", "numba")

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.als.BiasedMFConfig` without epochs; see `Family.complete`."""
        from lenskit.als import BiasedMFConfig

        return complete_config(
            BiasedMFConfig,
            config,
            NAME,
            # LensKit: an entity without regularization keeps the default, one without damping 0.
            pairs={"regularization": 0.1, "damping": 0.0},
            aliases={"embedding_size": ("features", "embedding_size_exp")},
        )

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> BiasedMF:
        """An untrained model; see `Family.create`."""
        return BiasedMF.create(self._ready(config), split, seed, self.device)

    def remade(self, config: Mapping[str, Any]) -> Remade:
        """Users, from items; see `Family.remade`."""
        return remade_users(config)

    def remake(self, config: Mapping[str, Any], split: Split, source: np.ndarray) -> np.ndarray:
        """Half an epoch; see `Family.remake`."""
        return self.create(config, split, 0).users_from(source)

    def load(self, config: Mapping[str, Any], state: State) -> BiasedMF:
        """A model for scoring; see `Family.load`."""
        return BiasedMF.load(self._ready(config), state)

    def _ready(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config if is_complete(config, FIELDS, PAIRS) else self.complete(config)

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Vectors and biases of all users and items, 4 bytes a number."""
        return 4 * (split.n_users + split.n_items) * (config["embedding_size"] + 1) + 8

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Two half-epochs; a column and a target for each rating. See `Family.work`."""
        return als_work(split, config["embedding_size"], entry_bytes=8)


def _unit_vectors(rng: np.random.Generator, rows: int, size: int) -> np.ndarray:
    """LensKit's initial vectors: normal, scaled to length 1."""
    vectors = rng.standard_normal((rows, size), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1).reshape((rows, 1))
    return vectors

r"""ImplicitMF (Hu, Koren & Volinsky 2008), as `lenskit.als.ImplicitMFScorer` defines it.

For a row with confidences :math:`w` over the other side's vectors :math:`V`, LensKit solves

.. math:: (V^T V + \lambda I + M^T \mathrm{diag}(w) M)\, x = M^T (w + 1).

With the Cholesky factor :math:`V^T V + \lambda I = U^T U` and :math:`N = \mathrm{diag}(\sqrt w) M
U^{-1}` this is the ridge regression :math:`(I + N^T N)\, z = N^T (w + 1) / \sqrt w` for
:math:`z = U x`. So the factor is taken once for all rows, the same solver serves, and as its
equations have eigenvalues from 1 to 1 + max w only, float32 solves them accurately.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg

from recsearch.errors import RecsearchError, UsageError
from recsearch.models.als.model import ALSFamily, ALSModel, Solvers, remade_users
from recsearch.models.als.solver import RidgeSolver, one_blas_thread
from recsearch.models.als.work import als_work
from recsearch.models.config import complete_config, is_complete
from recsearch.models.protocol import Remade, Work
from recsearch.models.vocabulary import EntityIds, frozen
from recsearch.state import State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split
    from recsearch.models.als.model import Solver

NAME = "als-implicit"
PAIRS = frozenset({"regularization"})
FIELDS = PAIRS | {"embedding_size", "user_embeddings", "weight", "use_ratings"}

LEAST_CONFIDENCE = np.float32(1e-6)
"""Floor of w, for the division by its root; moves the equations by a millionth at most."""


class ImplicitMF(ALSModel):
    """Dot products of user and item vectors, on no meaningful scale."""

    family = NAME

    @classmethod
    def create(
        cls,
        config: Mapping[str, Any],
        split: Split,
        seed: int | np.random.SeedSequence,
        device: str = "cpu",
    ) -> ImplicitMF:
        """Take the confidences from the training ratings; initial vectors as LensKit draws them."""
        model = cls(config, EntityIds.of_split(split))
        model._solvers = Solvers.of(split, *_confidences(config, split), model.size, device)
        rng = np.random.default_rng(seed)
        model._items = frozen(_small_squares(rng, split.n_items, model.size))
        model._trained_users = frozen(_small_squares(rng, split.n_users, model.size))
        return model

    @classmethod
    def load(cls, config: Mapping[str, Any], state: State) -> ImplicitMF:
        """A model for scoring from a complete state."""
        model = cls(config, EntityIds.of_state(state, NAME))
        model.load_state(state)
        return model

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn`` with a `lenskit.als.ImplicitMFScorer`."""
        from lenskit.als import ImplicitMFConfig, ImplicitMFScorer

        from recsearch.models.pipelines import item_vocabulary, topn_pipeline, user_vocabulary

        scorer = ImplicitMFScorer(ImplicitMFConfig(**self.config, epochs=max(1, self.epochs)))
        scorer.users = user_vocabulary(self.ids)
        scorer.items = item_vocabulary(self.ids)
        scorer.user_embeddings = self.user_embeddings
        scorer.item_embeddings = items = self.item_embeddings
        background = items.T @ items
        background[np.diag_indices(self.size)] += np.float32(self.config["regularization"]["user"])
        scorer._OtOr = background
        return topn_pipeline(scorer, self.ids, NAME, history=history)

    def _solve(self, solver: Solver, other: np.ndarray, reg: float) -> np.ndarray:
        """Solve in the basis in which the background matrix is the identity."""
        # Where all confidences are equal, their root is applied here, once.
        equal = not self.config["use_ratings"]
        factor = math.sqrt(max(self.config["weight"], LEAST_CONFIDENCE)) if equal else 1.0
        if not isinstance(solver, RidgeSolver):
            return solver.solve_on_background(other, reg, factor)
        with one_blas_thread():
            V = other.astype(np.float64)
            gram = V.T @ V
            gram[np.diag_indices(self.size)] += reg
            try:
                U = scipy.linalg.cholesky(gram, overwrite_a=True)
            except scipy.linalg.LinAlgError as err:
                raise RecsearchError(
                    f"{NAME}: the background matrix is singular at regularization {reg:g}: "
                    "increase the regularization."
                ) from err
            whitened = scipy.linalg.solve_triangular(U, V.T, trans="T").T
            if equal:
                whitened *= factor
            z = solver.solve(np.ascontiguousarray(whitened, np.float32), 1.0, per_entry=False)
            solved = scipy.linalg.solve_triangular(U, z.T.astype(np.float64)).T
            return np.ascontiguousarray(solved, dtype=np.float32)


class ImplicitMFFamily(ALSFamily):
    """Configuration schema and factories of ``als-implicit``."""

    name = NAME
    class_path = "lenskit.als:ImplicitMFScorer"
    predicts_ratings = False
    iterative = True
    code_version = 2
    default_metric = "NDCG@10"
    continue_parts = ("model", "trainer")
    libraries = ("lenskit", "numpy", "scipy", "numba")

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of `lenskit.als.ImplicitMFConfig` without epochs; see `Family.complete`."""
        from lenskit.als import ImplicitMFConfig

        completed = complete_config(
            ImplicitMFConfig,
            config,
            NAME,
            pairs={"regularization": 0.1},
            aliases={"embedding_size": ("features", "embedding_size_exp")},
        )
        if completed["weight"] < 0:
            raise UsageError(
                f"{NAME}: weight = {completed['weight']!r}: expected a number of at least 0."
            )
        return completed

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> ImplicitMF:
        """An untrained model; see `Family.create`."""
        return ImplicitMF.create(self._ready(config), split, seed, self.device)

    def remade(self, config: Mapping[str, Any]) -> Remade:
        """Users, from items; see `Family.remade`."""
        return remade_users(config)

    def remake(self, config: Mapping[str, Any], split: Split, source: np.ndarray) -> np.ndarray:
        """Half an epoch; see `Family.remake`."""
        return self.create(config, split, 0).users_from(source)

    def load(self, config: Mapping[str, Any], state: State) -> ImplicitMF:
        """A model for scoring; see `Family.load`."""
        return ImplicitMF.load(self._ready(config), state)

    def _ready(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config if is_complete(config, FIELDS, PAIRS) else self.complete(config)

    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Vectors of all users and items, 4 bytes a number."""
        return 4 * (split.n_users + split.n_items) * config["embedding_size"]

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """Two half-epochs, with the background matrix and the two changes of basis.

        Those are in float64, at half the rate: 4 d^2 operations for each vector count twice.
        See `Family.work`.
        """
        size = config["embedding_size"]
        shared = 2.0 * 4 * (split.n_users + split.n_items) * size**2
        rows = als_work(split, size, entry_bytes=12, shared_flops=shared)
        double = 2 * 8 * size * max(split.n_users, split.n_items)
        return replace(rows, peak_bytes=rows.peak_bytes + double)


def _confidences(config: Mapping[str, Any], split: Split) -> tuple[np.ndarray, np.ndarray | None]:
    """Targets (w + 1)/√w; as scales √w, where the confidences differ."""
    train, weight = split.train, np.float32(config["weight"])
    values = train.values if config["use_ratings"] else np.ones_like(train.values)
    if values.min(initial=0) < 0:
        raise UsageError(
            f"{NAME}: use_ratings needs ratings of at least 0, the training part has "
            f"{values.min():g}: a confidence cannot be negative."
        )
    confidences = np.maximum(values * weight, LEAST_CONFIDENCE)
    roots = np.sqrt(confidences)
    return (confidences + np.float32(1)) / roots, roots if config["use_ratings"] else None


def _small_squares(rng: np.random.Generator, rows: int, size: int) -> np.ndarray:
    """LensKit's initial vectors: squares of small normal numbers."""
    vectors = rng.standard_normal((rows, size), dtype=np.float32) * np.float32(0.01)
    vectors *= vectors
    return vectors

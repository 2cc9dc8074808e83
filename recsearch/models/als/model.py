"""What BiasedMF and ImplicitMF share: the epoch, the state and the scores.

An epoch solves all users from the items, then all items from the users (Hu et al. 2008; Zhou et al.
2008). The item vectors alone therefore decide how training goes on: user vectors are in the state
for scoring, not for continuing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from recsearch.errors import UsageError
from recsearch.models.als.rows import SparseRows, layouts
from recsearch.models.als.solver import RidgeSolver, one_blas_thread
from recsearch.models.devices import need_device
from recsearch.models.protocol import Family, Remade, untrainable
from recsearch.models.vocabulary import EntityIds, frozen, need_part, need_shape
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split
    from recsearch.models.als.torch_solver import TorchRidgeSolver

    Solver: TypeAlias = RidgeSolver | TorchRidgeSolver


class ALSFamily(Family):
    """What both families share: the devices that they train on."""

    def __init__(self, device: str = "cpu"):
        self.device = device
        if device != "cpu":
            self.libraries = (*self.libraries, "torch")

    def on(self, device: str) -> Self:
        """On ``cpu`` or ``cuda``; see `Family.on`."""
        need_device(device)
        return type(self)(device)

    def prepare(self) -> None:
        """Compile the solver, or load PyTorch; see `Family.prepare`."""
        if self.device == "cpu":
            import recsearch.models.als.kernels
        else:
            import recsearch.models.als.torch_solver  # noqa: F401


def remade_users(config: Mapping[str, Any]) -> Remade:
    """Users are solved from items: those of the epoch before, or with fold-in of the same one."""
    back = 1 if config["user_embeddings"] == "prefer" else 0
    return Remade("users", "user_embeddings", ("model", "item_embeddings"), back)


@dataclass(frozen=True, eq=False)
class Solvers:
    """The half-epochs of one training set."""

    users: Solver
    items: Solver

    @classmethod
    def of(
        cls,
        split: Split,
        targets: np.ndarray,
        scales: np.ndarray | None,
        size: int,
        device: str = "cpu",
    ) -> Solvers:
        """Solvers of both sides of the training ratings.

        Args:
            split: training ratings.
            targets: ``(n,)`` float32 right-hand side of each rating.
            scales: ``(n,)`` float32, see `SparseRows`, or None.
            size: embedding size.
            device: ``cpu``, or what PyTorch calls another one.
        """
        users, items = (
            _solver(SparseRows.of(layout, targets, scales), size, device)
            for layout in layouts(split.train, split.n_items)
        )
        return cls(users, items)


def _solver(rows: SparseRows, size: int, device: str) -> Solver:
    if device == "cpu":
        return RidgeSolver(rows, size)
    # Imported here: torch takes seconds, which training on the CPU need not wait.
    from recsearch.models.als.torch_solver import TorchRidgeSolver

    return TorchRidgeSolver(rows, size, device)


class ALSModel(ABC):
    """A matrix factorisation in training, or a loaded one that only scores.

    LensKit's ``user_embeddings`` decides which user vectors score: ``"prefer"`` takes those of
    training; otherwise LensKit computes them from the user's ratings at query time. These are the
    vectors that the next epoch would begin with, so they are computed once and reused there.
    LensKit drops the user vectors where the option is False; here they stay, because without the
    ratings at hand nothing else could score.

    Attributes:
        family: short name, for messages.
        config: complete configuration.
        ids: users and items by number.
        epochs: epochs trained so far.
        bias_names: tensors of the part ``model`` beside the item vectors.
    """

    family: str
    bias_names: tuple[str, ...] = ()

    def __init__(self, config: Mapping[str, Any], ids: EntityIds):
        self.config = dict(config)
        self.ids = ids
        self.epochs = 0
        self.size: int = config["embedding_size"]
        self.prefer = config["user_embeddings"] == "prefer"
        self._items: np.ndarray
        self._solvers: Solvers | None = None
        self._trained_users: np.ndarray | None = None
        self._next_users: np.ndarray | None = None

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch.

        Returns:
            ``deltaQ``: Frobenius norm of the change of the item vectors.

        Raises:
            UsageError: the model was loaded without training ratings.
            RecsearchError: the equations of a row are singular.
        """
        solvers = self._need_solvers()
        users = self._users_from_items()
        items = frozen(self._solve(solvers.items, users, self.config["regularization"]["item"]))
        change = float(np.linalg.norm(items - self._items))
        self._trained_users, self._next_users, self._items = users, None, items
        self.epochs += 1
        return {"deltaQ": change}

    def users_from(self, items: np.ndarray) -> np.ndarray:
        """The user vectors that solve the training ratings for these item vectors.

        Raises:
            UsageError: the model was loaded without training ratings.
        """
        solver, reg = self._need_solvers().users, self.config["regularization"]["user"]
        return frozen(self._solve(solver, items, reg))

    def state(self) -> State:
        """Parts ``model``, ``biases``, ``users``, ``vocabulary``, ``trainer``; arrays read-only."""
        biases = {"biases": Part(self._biases(), constant=True)} if self.bias_names else {}
        return {
            "model": Part({"item_embeddings": self._items}),
            **biases,
            "users": Part({"user_embeddings": self.user_embeddings}),
            "vocabulary": self.ids.to_part(),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        """Continue from ``state``; all but ``users`` and ``vocabulary`` is needed for that.

        Without the part ``users``, a model with ``user_embeddings = "prefer"`` can score again
        after its next epoch.

        Raises:
            UsageError: the state is that of another model or training set.
        """
        self.ids.check_same(state, self.family)
        model = need_part(state, "model", self.family, ("item_embeddings",))
        trainer = need_part(state, "trainer", self.family)
        items = model.tensors["item_embeddings"]
        shape = (len(self.ids.items), self.size)
        self._items = need_shape(items, shape, "item_embeddings", self.family)
        if self.bias_names:
            self._load_biases(need_part(state, "biases", self.family, self.bias_names))
        self.epochs = int(trainer.values["epochs"])
        users = None
        if "users" in state or self._solvers is None:
            part = need_part(state, "users", self.family, ("user_embeddings",))
            users = part.tensors["user_embeddings"]
            shape = (len(self.ids.users), self.size)
            users = need_shape(users, shape, "user_embeddings", self.family)
        self._trained_users = users if self.prefer else None
        # Where ratings are at hand the fold-in is computed again: continuing then depends on the
        # item vectors alone, whichever parts were restored.
        self._next_users = None if self.prefer or self._solvers is not None else users

    @property
    def user_embeddings(self) -> np.ndarray:
        """``(n_users, d)`` float32 vectors that score.

        Raises:
            UsageError: the model continues from a state without the part ``users`` and has not
                been trained since.
        """
        if not self.prefer:
            return self._users_from_items()
        if self._trained_users is None:
            raise UsageError(
                f"{self.family}: the state was loaded without its part 'users', so there is "
                "nothing to score with before the next epoch.",
                hint="Restore all parts, or train an epoch first.",
            )
        return self._trained_users

    @property
    def item_embeddings(self) -> np.ndarray:
        """``(n_items, d)`` float32."""
        return self._items

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Dot products; see `Model.scores`."""
        Q = self._items if items is None else self._items[items]
        P = self.user_embeddings[users]
        with one_blas_thread():
            block: np.ndarray = P @ Q.T
        return block

    @abstractmethod
    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """A LensKit pipeline with LensKit's own scorer class; see `Model.to_pipeline`."""

    @abstractmethod
    def _solve(self, solver: Solver, other: np.ndarray, reg: float) -> np.ndarray:
        """One half-epoch: the vectors of one side from those of the ``other``."""

    def _users_from_items(self) -> np.ndarray:
        if self._next_users is None:
            self._next_users = self.users_from(self._items)
        return self._next_users

    def _need_solvers(self) -> Solvers:
        if self._solvers is None:
            raise untrainable(self.family)
        return self._solvers

    def _biases(self) -> dict[str, np.ndarray]:
        return {}

    def _load_biases(self, part: Part) -> None:
        return None

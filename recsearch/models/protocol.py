"""What the search asks of a model, and what a class of your own must offer to be searched.

A *family* is one recommender algorithm with its configuration schema; a *model* is one configured
instance on one training set. A class of your own is named in the search file as
``package.module:Class``. It takes part when it has these members; nothing needs to be inherited::

    class MyModel:
        predicts_ratings = False          # True: scores are on the rating scale
        iterative = True                  # False: one train_epoch() is the whole fit
        code_version = 1                  # raise it when the numbers change
        default_metric = "NDCG@10"
        continue_parts = None             # optional: parts of the state that continuing needs
        libraries = ("numpy",)            # optional: distributions that decide the numbers

        @classmethod
        def complete(cls, config): ...           # -> dict, defaults filled in, JSON-able
        @classmethod
        def create(cls, config, split, seed): ...  # -> MyModel, untrained
        @classmethod
        def load(cls, config, state): ...          # -> MyModel, without any ratings
        @classmethod
        def model_bytes(cls, config, split): ...   # optional: size of the state in bytes
        @classmethod
        def work(cls, config, split): ...          # optional: -> Work, what training it takes

        def train_epoch(self): ...               # and the other methods of `Model`
        def state(self): ...
        def load_state(self, state): ...
        def scores(self, users, items=None): ... # optional: without it to_pipeline is evaluated
                                                 # user by user, which is slower
        def to_pipeline(self, history=None): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from recsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split
    from recsearch.state import State


@runtime_checkable
class Model(Protocol):
    """One configured recommender. Users and items are numbers: positions in the vocabulary."""

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch (one-shot models: the whole fit) and return training statistics.

        Raises:
            UsageError: the model was loaded without training ratings.
        """

    def state(self) -> State:
        """The state after the last epoch, by part; its arrays are never changed afterwards."""

    def load_state(self, state: State) -> None:
        """Continue from ``state``: the next epochs are bit-equal to a run without the stop."""

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Score ``items`` (all items by default) for each of ``users``.

        Returns:
            Float32 array of shape ``(len(users), len(items))``, the caller's to modify; NaN where
            the model has no score.
        """

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """A trained LensKit pipeline that works without the ratings at hand.

        Args:
            history: the training interactions; with them, queries by user id alone do not get
                recommended what the user already has. Otherwise the items of a history given
                with the query are left out.
        """


@dataclass(frozen=True)
class Remade:
    """An array of a state that a model computes again, bit for bit, from another stored one.

    Attributes:
        part: Part of the state that the array is in.
        array: Its name there.
        source: Part and name of the array that it is computed from.
        epochs_back: How many epochs earlier that one was stored.
    """

    part: str
    array: str
    source: tuple[str, str]
    epochs_back: int


@dataclass(frozen=True)
class Work:
    """What training one model takes: for estimates, and for the order in which trials start.

    Attributes:
        flops: Floating point operations of one epoch; 0 where they are not known.
        gathered: Numbers that one epoch reads from scattered places.
        peak_bytes: Most bytes that a model in training holds at once, the split not counted.
    """

    flops: float
    gathered: float
    peak_bytes: int


class Family(ABC):
    """One recommender algorithm: its configuration schema, and how its models come to be.

    Attributes:
        name: short name (``als``), or the class path of a class of your own.
        class_path: ``package.module:Class`` of the component that its pipelines hold.
        predicts_ratings: whether scores are on the rating scale.
        iterative: False where training is exactly one epoch.
        code_version: raised whenever the same configuration gives other numbers.
        default_metric: objective where a search names none.
        usual_epochs: epochs that a trial is taken to train beyond the first at which a plateau
            could end it, before any trial has shown it.
        continue_parts: parts of a state that `Model.load_state` needs to continue; None for all.
        libraries: distributions whose version enters the key of a trial.
        device: where its models train; the CPU unless `on` was asked for another.
    """

    name: str
    class_path: str
    predicts_ratings: bool
    iterative: bool
    code_version: int
    default_metric: str
    usual_epochs: int = 2
    continue_parts: tuple[str, ...] | None = None
    libraries: tuple[str, ...] = ()
    device: str = "cpu"

    def on(self, device: str) -> Family:
        """This family, with models that train on ``device``: ``cpu`` or ``cuda``.

        Numbers differ between devices in their last digits, so trials on others than the CPU have
        keys of their own.

        Raises:
            UsageError: its models do not train there, or this machine has no such device.
        """
        if device != self.device:
            raise UsageError(
                f"{self.name}: its models train on the {self.device} only, not on {device}.",
                hint="Type the same command without --device.",
            )
        return self

    @abstractmethod
    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Validate a configuration and fill in its defaults.

        The result is JSON-able and complete, and a fixed point: completing it changes nothing.
        The number of epochs is not part of it; the search decides that.

        Raises:
            UsageError: an unknown key (names the nearest valid one) or a value out of range.
        """

    @abstractmethod
    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> Model:
        """An untrained model on the training part of ``split``; equal seeds give equal bits."""

    @abstractmethod
    def load(self, config: Mapping[str, Any], state: State) -> Model:
        """A trained model from a complete state alone, for scoring; it cannot be trained on.

        Raises:
            UsageError: a part that scoring needs is missing or does not fit the configuration.
        """

    @abstractmethod
    def model_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Bytes of one epoch's parameters and of what the optimizer keeps of them.

        For estimates of disk use; vocabulary and generators are not counted.
        """

    def shared_bytes(self, config: Mapping[str, Any], split: Split) -> int:
        """Bytes of what the checkpoints of all trials share, at most; a store has them once."""
        return 0

    def prepare(self) -> None:  # noqa: B027 - most families need nothing
        """Compile or load once what models of this family need; nothing by default.

        Called in the driver while Ray starts, before any trial: what it compiles, worker processes
        find in the cache on disk.
        """

    def work(self, config: Mapping[str, Any], split: Split) -> Work:
        """What training a complete configuration takes.

        A family that does not say is taken to hold its parameters four times (two epochs, a
        gradient and the copy that is being stored), and its time is left to be measured.
        """
        return Work(0.0, 0.0, 4 * self.model_bytes(config, split))

    def remade(self, config: Mapping[str, Any]) -> Remade | None:
        """What of the state :meth:`remake` computes; None for nothing."""
        return None

    def remake(self, config: Mapping[str, Any], split: Split, source: np.ndarray) -> np.ndarray:
        """The array that :meth:`remade` names, from the one that it is computed from.

        Raises:
            UsageError: models of this family compute nothing again.
        """
        raise UsageError(f"{self.name}: nothing of its state is computed again")

    def warning(self, config: Mapping[str, Any]) -> str | None:
        """What is known to be wrong with what a complete configuration trains; None for nothing.

        It is said once per run, on the screen, in the journal and on the page.
        """
        return None

    def versions(self) -> dict[str, str]:
        """Installed versions of `libraries`."""
        return {name: version(name) for name in self.libraries}

    def __repr__(self) -> str:
        return f"<family {self.name} ({self.class_path})>"


def untrainable(name: str) -> UsageError:
    """The error of a model that was loaded to score, and is asked to train."""
    return UsageError(
        f"{name}: this model was loaded from a checkpoint without training ratings and cannot be "
        "trained.",
        hint="Create it on a split, then continue with load_state(state).",
    )

"""A FlexMF model in training, or a loaded one that only scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from recsearch.bias import learn_bias
from recsearch.models.flexmf.defects import biases_are_learned
from recsearch.models.flexmf.factors import Factors
from recsearch.models.flexmf.training import Training, need_arrays
from recsearch.models.protocol import untrainable
from recsearch.models.vocabulary import EntityIds, frozen, need_part
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Pipeline

    from recsearch.data import Interactions, Split


@dataclass(frozen=True)
class Kind:
    """One of LensKit's FlexMF scorers.

    Attributes:
        name: short name of the family.
        scorer: name of the class in ``lenskit.flexmf``; its configuration class is
            ``...Config`` instead of ``...Scorer``.
        predicts_ratings: whether it factorises ratings rather than what was rated at all.
    """

    name: str
    scorer: str
    predicts_ratings: bool

    def component(self, config: Mapping[str, Any], epochs: int = 1) -> Any:
        """An untrained component. Imports LensKit and PyTorch."""
        from lenskit import flexmf

        return getattr(flexmf, self.scorer)(**config, epochs=max(1, epochs))

    def user_bias(self, config: Mapping[str, Any]) -> bool:
        """Whether a complete configuration learns biases of users here."""
        wanted = self.predicts_ratings or bool(config["user_bias"])
        return wanted and biases_are_learned()

    def item_bias(self, config: Mapping[str, Any]) -> bool:
        """Whether a complete configuration learns biases of items here."""
        wanted = self.predicts_ratings or bool(config["item_bias"])
        return wanted and biases_are_learned()

    def layers(self, config: Mapping[str, Any]) -> int:
        """Convolution layers of a complete configuration."""
        return int(config.get("convolution_layers", 0))


class Trains(Protocol):
    """A trainer of LensKit's with everything that its next epoch depends on."""

    scorer: Any

    @property
    def epochs(self) -> int: ...  # noqa: D102
    def train_epoch(self) -> dict[str, float]: ...  # noqa: D102
    def propagated(self) -> tuple[np.ndarray, np.ndarray] | None: ...  # noqa: D102
    def parts(self) -> dict[str, Part]: ...  # noqa: D102
    def load(self, state: State) -> None: ...  # noqa: D102


class FlexMF:
    """LensKit's trainer does the arithmetic; state and scores are those of `Model`.

    The state has the parts ``model`` (parameters), ``optimizer`` (moments and steps), ``rng`` (both
    generators), ``trainer`` (epochs), ``vocabulary``; with convolution layers ``propagated``, the
    vectors that score; for ratings ``biases``, with which strangers are served.

    Attributes:
        kind: which of LensKit's scorers.
        config: complete configuration.
        ids: users and items by number.
    """

    def __init__(self, kind: Kind, config: Mapping[str, Any], ids: EntityIds):
        self.kind = kind
        self.config = dict(config)
        self.ids = ids
        self._training: Trains | None = None
        self._biases: dict[str, np.ndarray] = {}
        self._state: State | None = None
        self._factors: Factors | None = None

    @classmethod
    def create(
        cls,
        kind: Kind,
        config: Mapping[str, Any],
        split: Split,
        seed: int | np.random.SeedSequence,
    ) -> FlexMF:
        """An untrained model, with the initial parameters that LensKit draws from the seed."""
        model = cls.untrained(kind, config, split)
        training = Training(kind.component(config), split, seed, kind.name)
        model._training = training
        if kind.predicts_ratings:
            offset, item_bias, user_bias = learn_bias(split.train, split.n_items, 0.0, 0.0)
            model._biases = {
                "item_bias": frozen(item_bias),
                "user_bias": frozen(user_bias),
                "global": _number(offset),
                "mean": _number(training.scorer.global_bias),
            }
        return model

    @classmethod
    def untrained(cls, kind: Kind, config: Mapping[str, Any], split: Split) -> Self:
        """The ids of a split, without a trainer."""
        return cls(kind, config, EntityIds.of_split(split))

    @classmethod
    def load(cls, kind: Kind, config: Mapping[str, Any], state: State) -> FlexMF:
        """A model for scoring from a complete state."""
        model = cls(kind, config, EntityIds.of_state(state, kind.name))
        model.load_state(state)
        return model

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        if self._training is not None:
            return self._training.epochs
        return int(need_part(self.state(), "trainer", self.kind.name).values["epochs"])

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch.

        Returns:
            ``loss``: mean over the batches.

        Raises:
            UsageError: the model was loaded without training ratings.
        """
        if self._training is None:
            raise untrainable(self.kind.name)
        self._state = self._factors = None
        return self._training.train_epoch()

    def state(self) -> State:
        """The parts of this epoch; the same arrays until the next one is trained."""
        if self._state is None:
            self._state = self._take()
        return self._state

    def _take(self) -> State:
        assert self._training is not None  # noqa: S101 - a loaded model keeps its state
        parts = self._training.parts()
        vectors = self._training.propagated()
        if vectors is not None:
            users, items = vectors
            parts["propagated"] = Part({"user_embeddings": users, "item_embeddings": items})
        if self._biases:
            parts["biases"] = Part(self._biases, constant=True)
        return {**parts, "vocabulary": self.ids.to_part()}

    def load_state(self, state: State) -> None:
        """Continue from ``state``; ``model``, ``optimizer``, ``rng`` and ``trainer`` are needed.

        Without training ratings the model keeps the state as it is, and needs all of it.

        Raises:
            UsageError: the state is that of another model or training set.
        """
        self.ids.check_same(state, self.kind.name)
        if self._training is not None:
            self._training.load(state)
            self._state = self._factors = None
            return
        for part in self._needed():
            need_part(state, part, self.kind.name)
        self._factors = self._read(state)
        self._state = state

    def _needed(self) -> list[str]:
        needed = ["model", "optimizer", "rng", "trainer", "vocabulary"]
        needed += ["propagated"] if self.kind.layers(self.config) else []
        return needed + (["biases"] if self.kind.predicts_ratings else [])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Dot products plus biases; see `Model.scores`."""
        return self.factors.scores(users, items)

    @property
    def factors(self) -> Factors:
        """The vectors and biases of this epoch."""
        if self._factors is None:
            self._factors = self._read(self.state())
        return self._factors

    def _read(self, state: State) -> Factors:
        """What scores, out of a state.

        Raises:
            UsageError: a part is missing, or its arrays are of other shapes.
        """
        name, config = self.kind.name, self.config
        users, items, size = len(self.ids.users), len(self.ids.items), config["embedding_size"]
        vectors = {"user_embeddings": (users, size), "item_embeddings": (items, size)}
        part = "propagated" if self.kind.layers(config) else "model"
        found = need_arrays(state, vectors, name, part)
        biases: dict[str, tuple[int, ...]] = {}
        if self.kind.user_bias(config):
            biases["user_bias"] = (users,)
        if self.kind.item_bias(config):
            biases["item_bias"] = (items,)
        learned = need_arrays(state, biases, name)
        offset = 0.0
        if self.kind.predicts_ratings:
            shapes = ("item_bias", "user_bias", "global", "mean")
            constant = need_part(state, "biases", name, shapes).tensors
            self._biases, offset = dict(constant), float(constant["mean"][0])
        return Factors(
            found["user_embeddings"],
            found["item_embeddings"],
            learned.get("user_bias"),
            learned.get("item_bias"),
            offset,
        )

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """``std:topn`` with LensKit's own scorer; ``std:topn-predict`` for ratings.

        With convolution layers the scorer has the vectors that they end in, and none left to run.
        """
        import torch
        from lenskit.flexmf._model import FlexMFModel

        from recsearch.models.pipelines import (
            bias_model,
            item_vocabulary,
            topn_pipeline,
            user_vocabulary,
        )

        factors, scorer = self.factors, self.kind.component(self.config, self.epochs)
        scorer.users, scorer.items = user_vocabulary(self.ids), item_vocabulary(self.ids)
        scorer.model = FlexMFModel(
            self.config["embedding_size"],
            len(self.ids.users),
            len(self.ids.items),
            torch.Generator(),
            user_bias=factors.user_bias is not None,
            item_bias=factors.item_bias is not None,
        )
        factors.fill(scorer.model)
        scorer.model.eval()
        bias = None
        if self.kind.predicts_ratings:
            scorer.global_bias = factors.offset
            offset = float(self._biases["global"][0])
            items, users = self._biases["item_bias"], self._biases["user_bias"]
            bias = bias_model(self.ids, {"user": 0.0, "item": 0.0}, offset, items, users)
        return topn_pipeline(scorer, self.ids, self.kind.name, bias=bias, history=history)


def _number(value: float) -> np.ndarray:
    return frozen(np.array([value], dtype=np.float64))

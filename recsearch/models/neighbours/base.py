"""What the models of `lenskit.knn` have in common: one epoch, and scores from a user's history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsearch.models.neighbours.history import History
from recsearch.models.protocol import Family, untrainable
from recsearch.models.vocabulary import EntityIds, frozen, need_part
from recsearch.state import Part, State

if TYPE_CHECKING:
    from lenskit.pipeline import Component, Pipeline

    from recsearch.data import Interactions, Split

OTHER_BYTES = 8 << 20
"""Blocks of intermediate results that scoring holds, beside the scores."""


class HistoryModel(ABC):
    """Trained in one go; scores users by their training ratings, which are part of its state.

    Attributes:
        family: short name of the family.
        keeps_ratings: whether the ratings matter, or only who has rated what.
        predicts: whether scores are predicted ratings.
    """

    family: ClassVar[str]
    keeps_ratings: ClassVar[bool] = False
    predicts: ClassVar[bool] = False

    def __init__(
        self, config: Mapping[str, Any], ids: EntityIds, history: History, split: Split | None
    ):
        self.config = dict(config)
        self.ids = ids
        self.history = history
        self.epochs = 0
        self._split = split

    @classmethod
    def create(cls, config: Mapping[str, Any], split: Split) -> HistoryModel:
        """An untrained model on the training part of ``split``."""
        history = History.of(split.train, split.n_items, ratings=cls.keeps_ratings)
        return cls(config, EntityIds.of_split(split), history, split)

    @classmethod
    def load(cls, config: Mapping[str, Any], state: State) -> HistoryModel:
        """A model for scoring from a complete state."""
        ids = EntityIds.of_state(state, cls.family)
        history = History.of_state(state, ids, cls.family, ratings=cls.keeps_ratings)
        model = cls(config, ids, history, None)
        model.load_state(state)
        return model

    def train_epoch(self) -> dict[str, float]:
        """The whole fit.

        Raises:
            UsageError: the model was loaded without training ratings to train on.
        """
        if self._split is None:
            raise untrainable(self.family)
        self._fit(self._split)
        self.epochs = 1
        return {}

    def state(self) -> State:
        """Parts of the model, and ``history``, ``vocabulary`` and ``trainer``."""
        return {
            **self._parts(),
            "history": self.history.to_part(),
            "vocabulary": self.ids.to_part(),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        """Take the parts of ``state``.

        Raises:
            UsageError: the state is that of another model or training set.
        """
        self.ids.check_same(state, self.family)
        self._take(state)
        self.epochs = int(need_part(state, "trainer", self.family).values["epochs"])

    def to_pipeline(self, history: Interactions | None = None) -> Pipeline:
        """LensKit's ``std:topn``, or its ``std:topn-predict`` where ratings are predicted.

        These scorers need the history of whom they score, so it is always part of the pipeline:
        ``history``, or else the training ratings of the state. As in LensKit's own pipelines, what
        users already have is not recommended. The fallback is LensKit's undamped bias.
        """
        from recsearch.bias import learn_bias
        from recsearch.models.pipelines import bias_model, topn_pipeline

        known = self.history.interactions()
        bias = None
        if self.predicts:
            damping = {"user": 0.0, "item": 0.0}
            bias = bias_model(self.ids, damping, *learn_bias(known, len(self.ids.items), 0.0, 0.0))
        return topn_pipeline(
            self._scorer(), self.ids, self.family, bias=bias, history=history or known
        )

    def _without_history(self, users: np.ndarray) -> np.ndarray:
        """(len(users),) bool: those whom LensKit's scorers give no score."""
        absent: np.ndarray = self.history.lengths[users] == 0
        return absent

    @abstractmethod
    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Scores, float32 ``(len(users), n_items or len(items))``; NaN where there is none."""

    @abstractmethod
    def _fit(self, split: Split) -> None: ...

    @abstractmethod
    def _parts(self) -> dict[str, Part]:
        """The parts that are the model's own."""

    @abstractmethod
    def _take(self, state: State) -> None:
        """Take these parts from a state."""

    @abstractmethod
    def _scorer(self) -> Component[Any]:
        """LensKit's trained component."""


class HistoryFamily(Family):
    """Factories of a `HistoryModel`."""

    iterative = False
    libraries: tuple[str, ...] = ("lenskit", "numpy", "scipy", "numba")
    model: ClassVar[type[HistoryModel]]

    def create(
        self, config: Mapping[str, Any], split: Split, seed: int | np.random.SeedSequence
    ) -> HistoryModel:
        """An untrained model; nothing is random. See `Family.create`."""
        return self.model.create(self.complete(config), split)

    def load(self, config: Mapping[str, Any], state: State) -> HistoryModel:
        """A model for scoring; see `Family.load`."""
        return self.model.load(self.complete(config), state)


def history_bytes(split: Split) -> int:
    """Size of the training ratings in a state."""
    return 8 * (split.n_users + 1) + 8 * len(split.train.items)


def read_only(array: np.ndarray, dtype: Any) -> np.ndarray:
    """A C-contiguous array of this type that nothing changes any more; no copy where it fits."""
    return frozen(np.ascontiguousarray(array, dtype=dtype).view())

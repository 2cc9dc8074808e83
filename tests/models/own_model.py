"""A user's own model class, as small as the protocol allows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.state import Part, State


class NearestMean:
    """Moves each item's score towards its mean rating by a rate per epoch."""

    predicts_ratings = True
    iterative = True
    code_version = 3
    default_metric = "RMSE"
    libraries = ("numpy",)
    parameters: ClassVar[dict[str, Any]] = {"rate": 0.1}

    def __init__(self, rate: float, items: np.ndarray, users: np.ndarray, means: Any) -> None:
        self.rate, self.items, self.users, self.means = rate, items, users, means
        self.line = np.zeros(len(items), dtype=np.float32)
        self.epochs = 0

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        for key in config:
            if key not in cls.parameters:
                raise UsageError(f"no parameter {key}; there is rate")
        return {**cls.parameters, **config}

    @classmethod
    def create(cls, config: dict[str, Any], split: Split, seed: Any) -> NearestMean:
        sums = np.bincount(split.train.items, split.train.values, split.n_items)
        counts = np.bincount(split.train.items, minlength=split.n_items)
        means = (sums / np.maximum(counts, 1)).astype(np.float32)
        return cls(config["rate"], split.item_ids, split.user_ids, means)

    @classmethod
    def load(cls, config: dict[str, Any], state: State) -> NearestMean:
        missing = [name for name in ("model", "vocabulary", "trainer") if name not in state]
        if missing:
            raise UsageError(f"no part {missing[0]}")
        vocabulary = state["vocabulary"].tensors
        model = cls(config["rate"], vocabulary["items"], vocabulary["users"], None)
        model.load_state(state)
        return model

    @classmethod
    def model_bytes(cls, config: dict[str, Any], split: Split) -> int:
        return 4 * split.n_items

    def train_epoch(self) -> dict[str, float]:
        if self.means is None:
            raise UsageError("loaded without training ratings")
        self.line = self.line + np.float32(self.rate) * (self.means - self.line)
        self.epochs += 1
        return {}

    def state(self) -> State:
        return {
            "model": Part({"line": self.line}),
            "vocabulary": Part({"items": self.items, "users": self.users}),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        if not np.array_equal(state["vocabulary"].tensors["items"], self.items):
            raise UsageError("other items")
        self.line = state["model"].tensors["line"]
        self.epochs = state["trainer"].values["epochs"]

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        return np.tile(self.line if items is None else self.line[items], (len(users), 1))

    def to_pipeline(self, history: Any = None) -> Any:
        raise UsageError("no pipeline")


class NoModel:
    """Lacks almost everything."""

    predicts_ratings = "yes"

    def scores(self) -> None: ...

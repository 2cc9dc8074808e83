"""A model that costs nothing: what a search of it takes is the search's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.state import Part, State

PARAMETERS = tuple(f"x{n}" for n in range(10))


class Costless:
    """RMSE is a function of the parameters and falls by epoch; training does nothing."""

    predicts_ratings = True
    iterative = True
    code_version = 1
    default_metric = "RMSE"

    def __init__(self, config: dict[str, Any], users: np.ndarray, items: np.ndarray) -> None:
        self._config, self._users, self._items = config, users, items
        self._epochs = 0

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Any of `PARAMETERS`; 0.5 by default.

        Raises:
            UsageError: another parameter.
        """
        for name in config:
            if name not in PARAMETERS:
                raise UsageError(f"no parameter {name}")
        return {**dict.fromkeys(PARAMETERS, 0.5), **config}

    @classmethod
    def create(cls, config: dict[str, Any], split: Split, seed: Any) -> Costless:
        """An untrained one."""
        return cls(config, split.user_ids, split.item_ids)

    @classmethod
    def load(cls, config: dict[str, Any], state: State) -> Costless:
        """From its state alone."""
        ids = state["vocabulary"].tensors
        model = cls(config, ids["user_ids"], ids["item_ids"])
        model.load_state(state)
        return model

    @classmethod
    def model_bytes(cls, config: dict[str, Any], split: Split) -> int:
        """One array of 64 numbers."""
        return 256

    def train_epoch(self) -> dict[str, float]:
        """Count the epoch."""
        self._epochs += 1
        return {}

    def state(self) -> State:
        """A small array, the vocabulary and the count."""
        ids = {"user_ids": self._users, "item_ids": self._items}
        return {
            "model": Part({"trail": np.full(64, self._epochs, dtype=np.float32)}),
            "vocabulary": Part(ids, constant=True),
            "trainer": Part({}, {"epochs": self._epochs}),
        }

    def load_state(self, state: State) -> None:
        """Take the count."""
        self._epochs = int(state["trainer"].values["epochs"])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """The same score everywhere."""
        count = len(self._items) if items is None else len(items)
        distance = sum((self._config[name] - 0.3) ** 2 for name in PARAMETERS[:5])
        return np.full((len(users), count), 3 + distance + 1 / self._epochs, dtype=np.float32)

    def to_pipeline(self, history: Any = None) -> Any:
        """There is none.

        Raises:
            UsageError: always.
        """
        raise UsageError("this model recommends nothing")

"""A model whose every score depends on its seed, its part and every epoch before.

Named in search files as ``noisy:Noisy`` with this folder on the Python path. A resumed training
that lost or repeated an epoch has other metrics than a straight one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.state import Part, State

DEFAULTS: dict[str, Any] = {"level": 1.0, "sleep": 0.0, "fail_on_part": -1, "diverge_at": 0}


class Noisy:
    """Predicts ``3.5 + level * noise``; every trained epoch is a line of the file NOISY_LOG."""

    predicts_ratings = True
    iterative = True
    code_version = 1
    default_metric = "RMSE"

    def __init__(self, config: dict[str, Any], users: np.ndarray, items: np.ndarray) -> None:
        self.config, self.users, self.items = config, users, items
        self.part, self.name = -1, ""
        self.epochs = 0
        self.left = self.right = np.zeros(0, dtype=np.float32)

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        for key in config:
            if key not in DEFAULTS:
                raise UsageError(f"no parameter {key}")
        return {**DEFAULTS, **config}

    @classmethod
    def create(cls, config: dict[str, Any], split: Split, seed: Any) -> Noisy:
        model = cls(config, split.user_ids, split.item_ids)
        rng = np.random.default_rng(seed)
        model.part = split.part
        model.left = rng.normal(size=split.n_users).astype(np.float32)
        model.right = rng.normal(size=split.n_items).astype(np.float32)
        model.name = f"{config['level']:.6f} part {split.part} start {model.left[0]:.6f}"
        return model

    @classmethod
    def model_bytes(cls, config: dict[str, Any], split: Split) -> int:
        return 4 * (split.n_users + split.n_items)

    @classmethod
    def load(cls, config: dict[str, Any], state: State) -> Noisy:
        ids = state["vocabulary"].tensors
        model = cls(config, ids["user_ids"], ids["item_ids"])
        model.load_state(state)
        return model

    def train_epoch(self) -> dict[str, float]:
        if self.part < 0:
            raise UsageError("loaded without training ratings")
        if self.part == self.config["fail_on_part"]:
            raise ValueError("planted failure")
        time.sleep(self.config["sleep"])
        self.epochs += 1
        if log := os.environ.get("NOISY_LOG"):
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(f"{self.name} epoch {self.epochs}\n")
        self.left = np.roll(self.left, 1) * np.float32(0.8) + np.float32(0.01 * self.epochs)
        if self.epochs == self.config["diverge_at"] and self.part:
            self.left = self.left * np.float32(np.inf)
        return {}

    def state(self) -> State:
        ids = {"user_ids": self.users, "item_ids": self.items}
        return {
            "model": Part({"left": self.left.copy(), "right": self.right.copy()}),
            "vocabulary": Part(ids, constant=True),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        self.left = np.array(state["model"].tensors["left"])
        self.right = np.array(state["model"].tensors["right"])
        self.epochs = int(state["trainer"].values["epochs"])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        right = self.right if items is None else self.right[items]
        level = np.float32(self.config["level"])
        return np.asarray(3.5 + level * np.outer(self.left[users], right), dtype=np.float32)

    def to_pipeline(self, history: Any = None) -> Any:
        raise NotImplementedError

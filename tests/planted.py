"""A model whose RMSE and ranking follow a planted curve: the right answer is known in advance.

Named in search files as ``planted:Planted`` with this folder on the Python path. Every held-out
rating of `planted_split` is 3, so a model that predicts ``3 + c`` everywhere has RMSE ``c``.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.state import Part, State
from recsearch.store.local import LocalBackend

DEFAULTS: dict[str, Any] = {
    "level": 1.0,
    "best_epoch": 4,
    "slope": 0.1,
    "fail_at": 0,
    "die_at": 0,
    "sleep": 0.0,
    "size": 0,
}


class Planted:
    """RMSE ``level + slope * |epoch - best_epoch|``; fails or diverges where it is told to.

    Every trained epoch appends a line to the file that ``PLANTED_LOG`` names. No epoch ends while
    that has as many lines as the number in the file that ``PLANTED_TURNS`` names. While the file
    that ``PLANTED_FULL`` names exists, the disk of the store is full for whoever trains.
    """

    predicts_ratings = True
    iterative = True
    code_version = 1
    default_metric = "RMSE"

    def __init__(self, config: dict[str, Any], users: np.ndarray, items: np.ndarray) -> None:
        self.config, self.users, self.items = config, users, items
        self.trail = np.zeros(64, dtype=np.float32)
        self.epochs = 0
        self.wanted = np.zeros((len(users), len(items)), dtype=np.float32)

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        for key in config:
            if key not in DEFAULTS:
                raise UsageError(f"no parameter {key}")
        return {**DEFAULTS, **config}

    @classmethod
    def create(cls, config: dict[str, Any], split: Split, seed: Any) -> Planted:
        return cls(config, split.user_ids, split.item_ids)

    @classmethod
    def model_bytes(cls, config: dict[str, Any], split: Split) -> int:
        return 256 + 4 * config["size"]

    @classmethod
    def load(cls, config: dict[str, Any], state: State) -> Planted:
        vocabulary = state["vocabulary"].tensors
        model = cls(config, vocabulary["user_ids"], vocabulary["item_ids"])
        model.load_state(state)
        return model

    def train_epoch(self) -> dict[str, float]:
        time.sleep(self.config["sleep"])
        self.epochs += 1
        if self.epochs == self.config["fail_at"]:
            raise ValueError("planted failure")
        if self.epochs == self.config["die_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        log = os.environ.get("PLANTED_LOG")
        if log:
            wait_for_turn(Path(log), os.environ.get("PLANTED_TURNS"))
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(f"{self.config['level']} {self.epochs}\n")
        fill_disk(os.environ.get("PLANTED_FULL"))
        # Depends on every epoch before: a resumed trial that lost one would differ.
        self.trail = np.roll(self.trail, 1) * np.float32(0.9) + np.float32(self.epochs)
        return {}

    def state(self) -> State:
        ids = {"user_ids": self.users, "item_ids": self.items}
        model = {"trail": self.trail.copy()}
        if self.config["size"]:
            seed = [int(1e6 * self.config["level"]), self.epochs]
            model["weights"] = np.random.default_rng(seed).random(self.config["size"], np.float32)
        return {
            "model": Part(model),
            "vocabulary": Part(ids, constant=True),
            "trainer": Part({}, {"epochs": self.epochs}),
        }

    def load_state(self, state: State) -> None:
        self.trail = np.array(state["model"].tensors["trail"])
        self.epochs = int(state["trainer"].values["epochs"])

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        count = len(self.items) if items is None else len(items)
        distance = abs(self.epochs - self.config["best_epoch"])
        error = self.config["level"] + self.config["slope"] * distance
        return np.full((len(users), count), 3 + error, dtype=np.float32)

    def to_pipeline(self, history: Any = None) -> Any:
        raise NotImplementedError


def wait_for_turn(log: Path, turns: str | None) -> None:
    """Wait until the log may have another line; ``.waiting`` says how many it has meanwhile."""
    while turns is not None:
        lines = len(log.read_text().splitlines())
        # Empty while it is being written.
        with contextlib.suppress(ValueError):
            if lines < int(Path(turns).read_text()):
                return
        Path(f"{turns}.waiting").write_text(str(lines))
        time.sleep(0.01)


def fill_disk(sign: str | None) -> None:
    """What the store writes in this process fails as on a full disk, while the file is there."""
    if sign is None or not Path(sign).exists():
        return

    def write(path: Path, chunks: Any, *, durable: bool) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    LocalBackend._write = staticmethod(write)


class PlantedParent(Planted):
    """Each of its epochs starts a process and ends it, as loaders of data do."""

    def train_epoch(self) -> dict[str, float]:
        child = multiprocessing.Process(target=time.sleep, args=(3600,))
        child.start()
        child.terminate()
        child.join(60)
        ended, _ = child.exitcode, child.kill()
        if ended != -signal.SIGTERM:
            raise RuntimeError(f"its process ended with {ended}")
        return super().train_epoch()


class PlantedFolds(Planted):
    """Each fold its own curve: ``shift`` epochs later and ``spread`` higher than the one before.

    Its lines in the log are ``level epoch fold``; ``fail_at`` is for the fold ``fail_in``.
    """

    part = 0

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        own = {"shift": 0, "spread": 0.0, "fail_in": 0}
        rest = {key: value for key, value in config.items() if key not in own}
        return {**Planted.complete(rest), **{key: config.get(key, own[key]) for key in own}}

    @classmethod
    def create(cls, config: dict[str, Any], split: Split, seed: Any) -> PlantedFolds:
        model = cls(config, split.user_ids, split.item_ids)
        model._of(split.part)
        return model

    def _of(self, part: int) -> None:
        fail_at = self.config["fail_at"] if part == self.config["fail_in"] else 0
        self.part = part
        self.config = {**self.config, "fail_at": fail_at}

    def train_epoch(self) -> dict[str, float]:
        log = os.environ.pop("PLANTED_LOG", None)
        try:
            super().train_epoch()
        finally:
            if log:
                os.environ["PLANTED_LOG"] = log
        if log:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(f"{self.config['level']} {self.epochs} {self.part}\n")
        self.trail += np.float32(self.part)
        return {}

    def state(self) -> State:
        found = super().state()
        values = {"epochs": self.epochs, "part": self.part}
        return {**found, "trainer": Part({}, values)}

    def load_state(self, state: State) -> None:
        super().load_state(state)
        self._of(int(state["trainer"].values["part"]))

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        config = self.config
        own = {
            **config,
            "best_epoch": config["best_epoch"] + config["shift"] * self.part,
            "level": config["level"] + config["spread"] * self.part,
        }
        self.config = own
        try:
            return super().scores(users, items)
        finally:
            self.config = config


class PlantedRank(Planted):
    """Maximised: held-out items lead in the best epoch, tie one epoch away, and trail after."""

    predicts_ratings = False
    default_metric = "RecipRank"

    @classmethod
    def create(cls, config: dict[str, Any], split: Split, seed: Any) -> PlantedRank:
        model = cls(config, split.user_ids, split.item_ids)
        model.wanted = np.zeros((split.n_users, split.n_items), dtype=np.float32)
        rows = np.repeat(split.eval_users, np.diff(split.heldout.indptr))
        model.wanted[rows, split.heldout.items] = 1
        return model

    def scores(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        distance = abs(self.epochs - self.config["best_epoch"])
        block = self.wanted[users] * np.float32(1 - distance)
        return block if items is None else block[:, items]

"""Write plausible run folders: run.json and journal.ndjson as the search writes them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

START = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
ALS_SPACE: dict[str, dict[str, Any]] = {
    "embedding_size": {"type": "int", "min": 4, "max": 512, "scale": "log"},
    "regularization.user": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
    "regularization.item": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
    "damping.user": {"type": "float", "min": 1e-12, "max": 100.0, "scale": "log"},
    "damping.item": {"type": "float", "min": 1e-12, "max": 100.0, "scale": "log"},
}
ML1M = {
    "name": "ml1m", "title": "MovieLens 1M", "origin": "ml-1m.zip", "sha256": "a6" * 32,
    "official": True, "generated": False, "notes": [], "dataset_id": "d1" * 32,
    "users": 6040, "items": 3883, "ratings": 1000209,
}  # fmt: skip


@dataclass
class Fabricated:
    """A run under construction; ``write`` puts it on disk."""

    name: str = "als-ml1m"
    title: str = "ALS BiasedMF"
    metric: str = "RMSE"
    direction: str = "min"
    space: dict[str, Any] = field(default_factory=lambda: dict(ALS_SPACE))
    dataset: dict[str, Any] = field(default_factory=lambda: dict(ML1M))
    method: str = "tpe"
    trials: int = 30
    max_epochs: int = 30
    model: str = "lenskit.als:BiasedMFScorer"
    events: list[dict[str, Any]] = field(default_factory=list)
    clock: datetime = START
    others: tuple[str, ...] = ()

    def tick(self, seconds: float = 1.0) -> None:
        self.clock += timedelta(seconds=seconds)

    def event(self, event: str, **values: Any) -> None:
        time = self.clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.events.append({"time": time, "event": event, **values})

    def opened(self, resumed: bool = False) -> None:
        self.event("opened", pid=1, host="h", version="0.1.0", workers=2, trials=self.trials,
                   resumed=resumed)  # fmt: skip

    def baseline(self, name: str, **metrics: float) -> None:
        self.event("baseline", name=name, config={}, metrics=metrics)

    def trial(
        self, number: int, params: dict[str, Any], curve: list[Any], *,
        state: str = "done", reason: str = "plateau", origin: str = "tpe",
        message: str = "", cached: bool = False, extra: dict[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.event("suggested", trial=number, params=params, config={"fixed": 1, **params},
                   key=f"{number:064x}", origin=origin)  # fmt: skip
        if state == "queued":
            return
        self.event("started", trial=number, worker=0, stored_epochs=0)
        for epoch, value in enumerate(curve, start=1):
            self.tick(0.1 if cached else 4.0)
            metrics = {self.metric: value, **(extra or {})}
            self.event("epoch", trial=number, epoch=epoch, metrics=metrics, train_s=3.2,
                       eval_s=0.6, save_s=0.05, stored_bytes=0 if cached else 700_000,
                       logical_bytes=0 if cached else 2_500_000, cached=cached)  # fmt: skip
        self._end(number, len(curve), state, reason, message)

    def _end(self, number: int, epoch: int, state: str, reason: str, message: str) -> None:
        if state == "done":
            self.event("done", trial=number, epoch=epoch, reason=reason)
        elif state == "pruned":
            self.event("pruned", trial=number, epoch=epoch, rule="asha")
        elif state == "error":
            self.event("error", trial=number, epoch=epoch, kind=reason, message=message)
        elif state == "interrupted":
            self.event("interrupted", trial=number, epoch=epoch)

    def closed(self, exit_code: int = 0) -> None:
        self.tick()
        self.event("closed", counts={}, exit_code=exit_code)

    def further(self) -> dict[str, Any]:
        names = [self.metric, *self.others]
        return {"objectives": names} if self.others else {}

    def identity(self) -> dict[str, Any]:
        return {
            "format": 1,
            "name": self.name,
            "created": START.isoformat(),
            "search": {
                "title": self.title,
                "model": {"class": self.model, "config": {}, "predicts_ratings": True},
                "search": {**self.further(), "metric": self.metric, "method": self.method,
                           "trials": self.trials,
                           "max_epochs": self.max_epochs, "scheduler": "asha", "stop": None},
                "space": self.space,
            },
            "search_file": "searches/als.toml",
            "dataset": self.dataset,
            "split": {"split_id": "5e" * 32, "method": "crossfold-users", "folds": 5, "holdout": 5,
                      "seed": 20260701, "part": 0, "eval_users": 1208, "heldout_ratings": 6040,
                      "train_ratings": 994169},
            "seed": 42,
            "direction": self.direction,
            "metrics": [self.metric],
            "code": {"model": 1, "evaluation": 1, "lenskit": "2025.8.1"},
            "versions": {"recsearch": "0.1.0", "python": "3.11.9", "lenskit": "2025.8.1"},
            "store": "store",
            "command": f"recsearch search searches/als.toml {self.dataset['name']}",
        }  # fmt: skip

    def write(self, root: Path) -> Path:
        folder = root / self.name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(self.identity()), encoding="utf-8")
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        (folder / "journal.ndjson").write_text(lines, encoding="utf-8")
        return folder


def als_run(root: Path, *, trials: int = 30, seed: int = 7, **settings: Any) -> Path:
    """A whole ALS search: default first, then random; done, pruned, cached and error trials.

    Trial 5 errs in epoch 3; trials with number % 7 == 4 are cached; one session resumes another.
    """
    rng = np.random.default_rng(seed)
    run = Fabricated(trials=trials, **settings)
    run.opened()
    run.baseline("bias", RMSE=0.8574, MAE=0.6731, **{"NDCG@10": 0.0031})
    run.baseline("popular", **{"NDCG@10": 0.0402})
    run.baseline("chance", **{"NDCG@10": 0.0004})
    for number in range(1, trials + 1):
        params = _params(rng, number)
        curve = _curve(rng, params)
        extra = {"MAE": curve[-1] * 0.79, "NDCG@10": 0.02 + 0.01 * rng.random()}
        if number == 5:
            run.trial(number, params, curve[:2], state="error", reason="non_finite",
                      message="RMSE is nan at epoch 3", extra=extra)  # fmt: skip
        elif number > 4 and number % 3 == 0:
            run.trial(number, params, curve[: 1 + number % 4], state="pruned", extra=extra)
        else:
            origin = "default" if number == 1 else "tpe"
            run.trial(number, params, curve, origin=origin, cached=number % 7 == 4, extra=extra)
        if number == trials // 2:
            run.closed(130)
            run.tick(3600 * 5)
            run.opened(resumed=True)
    run.closed(5)
    return run.write(root)


def _params(rng: np.random.Generator, number: int) -> dict[str, Any]:
    if number == 1:
        return {"embedding_size": 50, "regularization.user": 0.1, "regularization.item": 0.1,
                "damping.user": 5.0, "damping.item": 5.0}  # fmt: skip
    size = round(math.exp(rng.uniform(math.log(4), math.log(512))))
    ranges = {name: (d["min"], d["max"]) for name, d in ALS_SPACE.items() if d["type"] == "float"}
    return {"embedding_size": size} | {
        name: float(math.exp(rng.uniform(math.log(low), math.log(high))))
        for name, (low, high) in ranges.items()
    }


def _curve(rng: np.random.Generator, params: dict[str, Any]) -> list[float]:
    ru, ri = params["regularization.user"], params["regularization.item"]
    bowl = 0.004 * (math.log10(ru / 0.2) ** 2 + math.log10(ri / 0.04) ** 2)
    final = 0.808 + bowl + 0.03 / math.sqrt(params["embedding_size"]) + 0.002 * rng.random()
    length = int(rng.integers(4, 16))
    turn = length * (0.5 + 0.5 * rng.random())
    return [
        final + 0.12 * math.exp(-0.7 * (epoch + 1)) + 4e-5 * max(0.0, epoch - turn) ** 2
        for epoch in range(length)
    ]

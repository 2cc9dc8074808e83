"""Records of searches made by hand, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recsearch.evaluation import parse
from recsearch.record import Record


class Hands:
    """The hands of a clock."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def event(kind: str, /, **values: Any) -> dict[str, Any]:
    return {"event": kind, "time": "2026-01-01T00:00:00.000Z", **values}


class Story:
    """A record that grows by whole trials."""

    def __init__(self, metric: str = "RMSE", *others: str):
        self.metric = metric
        self.record = Record(parse(metric), tuple(map(parse, others)))
        self.seconds = 0

    def suggest(self, number: int, /, **params: Any) -> None:
        self.apply("suggested", trial=number, params=params, config={}, key="k", origin="tpe")

    def start(self, number: int, /, **params: Any) -> None:
        self.suggest(number, **params)
        self.apply("started", trial=number)

    def epoch(self, number: int, value: float, cached: bool = False, **metrics: float) -> None:
        epoch = len(self.record.trials[number].epochs) + 1
        self.apply("epoch", trial=number, epoch=epoch, metrics={self.metric: value, **metrics},
                   stored_bytes=0 if cached else 500, train_s=1.25, eval_s=0.5, save_s=0.25,
                   cached=cached)  # fmt: skip

    def end(self, number: int, kind: str = "done", why: str = "plateau") -> None:
        key = {"done": "reason", "pruned": "rule", "error": "kind", "interrupted": "reason"}[kind]
        more = {"message": "no such thing"} if kind == "error" else {}
        self.apply(kind, trial=number, epoch=len(self.record.trials[number].epochs),
                   **{key: why}, **more)  # fmt: skip

    def trial(self, number: int, curve: Sequence[float], kind: str = "done", why: str = "plateau",
              cached: bool = False, **params: Any) -> None:  # fmt: skip
        self.start(number, **params)
        for value in curve:
            self.epoch(number, value, cached)
        self.end(number, kind, why)

    def apply(self, kind: str, /, **values: Any) -> None:
        self.seconds += 1
        minutes, seconds = divmod(self.seconds, 60)
        time = f"2026-01-01T00:{minutes:02d}:{seconds:02d}.000Z"
        self.record.apply({**event(kind, **values), "time": time})

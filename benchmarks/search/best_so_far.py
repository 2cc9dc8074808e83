"""What a search had found when: pure functions of its measured epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One measured epoch; ``time`` in seconds since 1970, RMSE in stars."""

    trial: int
    epoch: int
    value: float
    time: float


Step = tuple[float, float]
"""Seconds since the command was typed, and the best RMSE from then on."""


def journal_rows(events: Iterable[Mapping[str, Any]], metric: str = "RMSE") -> list[Row]:
    """The epochs of a journal, those that diverged included as NaN."""
    rows = []
    for event in events:
        if event["event"] == "epoch":
            value = event["metrics"].get(metric)
            value = math.nan if value is None else float(value)
            rows.append(Row(event["trial"], event["epoch"], value, seconds(event["time"])))
    return rows


def seconds(time: str) -> float:
    """An ISO 8601 time as seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def best_so_far(rows: Iterable[Row], began: float) -> list[Step]:
    """Every improvement of the best (least) value, oldest first."""
    steps: list[Step] = []
    for row in sorted(rows, key=lambda row: row.time):
        if math.isfinite(row.value) and (not steps or row.value < steps[-1][1]):
            steps.append((round(row.time - began, 3), row.value))
    return steps


def time_until(steps: Sequence[Sequence[float]], value: float) -> float | None:
    """Seconds until ``value`` was reached or beaten; None where it never was."""
    return next((when for when, best in steps if best <= value), None)


def best_at(steps: Sequence[Sequence[float]], when: float) -> float | None:
    """The best value found by ``when`` seconds; None where there was none yet."""
    found = [best for time, best in steps if time <= when]
    return found[-1] if found else None


def last_of_best_trial(rows: Iterable[Row]) -> float | None:
    """The last epoch's value of the trial with the best epoch: what LensKit 2025.8.1 reports."""
    finite = [row for row in rows if math.isfinite(row.value)]
    if not finite:
        return None
    best = min(finite, key=lambda row: row.value).trial
    return max((row for row in finite if row.trial == best), key=lambda row: row.epoch).value

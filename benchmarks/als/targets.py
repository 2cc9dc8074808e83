"""What training is to reach, as pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEAST = {512: 8.0, 256: 6.0, 128: 4.0, 64: 2.0, 1: 1.0}
"""Size to how many times faster than LensKit training is at least from there on."""

MULTIPLE = 2.0
"""Of the arithmetic limit, at most, from `LIMITED_FROM` on."""

LIMITED_FROM = 128
DIFFERENCE = 1e-4
"""Of RMSE to LensKit's after each of the first epochs."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """One target.

    Attributes:
        target: What is to be reached.
        limit: The figure to reach.
        figure: What was measured.
        met: Whether it is reached.
        at_least: Whether more is better.
    """

    target: str
    limit: float
    figure: float
    met: bool
    at_least: bool


def judge(rows: Rows) -> list[dict[str, Any]]:
    """All targets of what was measured."""
    return [asdict(found) for found in _judge(rows)]


def limits(rows: Rows) -> list[float]:
    """Seconds that the arithmetic of each row takes at the best sgemm rate of the run."""
    rate = max((row["sgemm_gflops"] for row in rows), default=1.0)
    return [row["gflop"] / rate for row in rows]


def ratio(row: Mapping[str, Any]) -> float:
    """How many times longer LensKit takes."""
    return float(row["lenskit_s"] / row["ours_s"])


def least_ratio(size: int) -> float:
    """How many times faster training is to be at an embedding size."""
    return next(LEAST[bound] for bound in sorted(LEAST, reverse=True) if size >= bound)


def _judge(rows: Rows) -> Iterator[Verdict]:
    for row in rows:
        least, found = least_ratio(row["size"]), ratio(row)
        name = f"{row['model']} at {row['size']}"
        yield Verdict(f"{name}: LensKit / ours", least, found, found >= least, at_least=True)
    for row, limit in zip(rows, limits(rows), strict=True):
        if row["size"] >= LIMITED_FROM:
            name = f"{row['model']} at {row['size']}: ours / arithmetic limit"
            found = row["ours_s"] / limit
            yield Verdict(name, MULTIPLE, found, found <= MULTIPLE, at_least=False)
    for row in rows:
        if row["metric"] == "RMSE":
            name = f"{row['model']} at {row['size']}: RMSE, difference to LensKit"
            found = row["difference"]
            yield Verdict(name, DIFFERENCE, found, found <= DIFFERENCE, at_least=False)

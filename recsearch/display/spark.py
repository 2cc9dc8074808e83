"""Curves in a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-:=+*#"
CELLS = 16


def spark(values: Sequence[float], cells: int = CELLS, levels: str = BLOCKS) -> str:
    """``values`` from their lowest to their highest, a character each; gaps where not finite.

    Larger values stand higher, whatever the direction in which they get better. Of more values
    than ``cells``, a character is the mean of its share of them. Equal values lie in the middle.
    """
    heights = resample(values, cells)
    finite = [value for value in heights if math.isfinite(value)]
    if not finite:
        return " " * len(heights)
    # Halved, lest the difference of two finite numbers is none.
    low, high = min(finite) / 2, max(finite) / 2
    top = len(levels) - 1

    def level(value: float) -> str:
        if not math.isfinite(value):
            return " "
        share = (value / 2 - low) / (high - low) if high > low else 0.5
        return levels[math.floor(share * top + (0.5 if high > low else 0.0))]

    return "".join(map(level, heights))


def resample(values: Sequence[float], cells: int) -> list[float]:
    """At most ``cells`` values: means over equal shares, NaN where none of a share is finite."""
    count = len(values)
    if count <= cells:
        return list(values)
    edges = [index * count // cells for index in range(cells + 1)]
    return [_mean(values[edges[i] : edges[i + 1]]) for i in range(cells)]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    # Divided first, lest their sum is infinite.
    return math.fsum(value / len(finite) for value in finite) if finite else math.nan

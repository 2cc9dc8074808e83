"""Median and quartiles of the objective along one parameter: running, or per value."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analysis.plots.ranges import ValueRange
from analysis.plots.svg import DONE, MUTED
from analysis.values import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST = 12
"""Trials below which nothing is drawn."""
FEWEST_AT = 3
"""Trials of one value below which it has no median of its own."""
FEW_VALUES = 10
"""Different values up to which each has its own median: categories, small whole numbers, grids."""


class Step(NamedTuple):
    """Median and quartiles of ``n`` trials at or around ``x``."""

    x: float
    low: float
    median: float
    high: float
    n: int


class Band(NamedTuple):
    """Steps by ``x``. ``window`` is the number of neighbours of each; 0 where a step is a value."""

    steps: tuple[Step, ...]
    window: int


def band(placed: Sequence[tuple[float, Point]], spread: bool) -> Band | None:
    """The band over (x, trial) pairs; None below `FEWEST` of them.

    Running: trials in order of ``x``, a window of k neighbours in that order, k a quarter of the
    trials and at least 7, always full, placed at the median of its ``x``. So it has the same
    number of trials everywhere, however the searcher crowded them, and ends where trials are few.
    Of the windows, at most about 60 are kept, evenly.

    Where values are few (``spread``, or at most `FEW_VALUES` different ones) each has a step of
    its own instead, if at least `FEWEST_AT` trials have it.
    """
    ordered = sorted(placed, key=lambda pair: (pair[0], pair[1].trial))
    pairs = [(float(x), point.value) for x, point in ordered]
    if len(pairs) < FEWEST:
        return None
    if spread or len({x for x, _ in pairs}) <= FEW_VALUES:
        by_value: dict[float, list[float]] = defaultdict(list)
        for x, value in pairs:
            by_value[x].append(value)
        steps = [_step(x, found) for x, found in by_value.items() if len(found) >= FEWEST_AT]
        return Band(tuple(steps), 0) if steps else None
    window = max(7, math.ceil(len(pairs) / 4))
    starts = range(0, len(pairs) - window + 1, max(1, len(pairs) // 60))
    windows = [pairs[start : start + window] for start in starts]
    return Band(tuple(_step(float(np.median([x for x, _ in found])), [v for _, v in found])
                      for found in windows), window)  # fmt: skip


def _step(x: float, values: Sequence[float]) -> Step:
    low, median, high = (float(v) for v in np.percentile(values, [25, 50, 75]))
    return Step(x, low, median, high, len(values))


def draw_band(axes: Axes, drawn: Band, limits: ValueRange) -> None:
    """A line on a quiet band, or a bar on a box per value; cut at the limits of the axis."""
    xs = [step.x for step in drawn.steps]
    low, median, high = (
        np.clip([step[k] for step in drawn.steps], limits.low, limits.high) for k in (1, 2, 3)
    )
    if drawn.window:
        axes.fill_between(xs, low, high, color=DONE, alpha=0.13, linewidth=0)
        axes.plot(xs, median, color=MUTED, linewidth=1.3)
        return
    log = axes.get_xscale() == "log"
    ends = [(float(np.log(x)) if log else float(x)) for x in (*axes.get_xlim(), *xs)]
    gaps = np.diff(ends[2:])
    half = 0.32 * (float(gaps.min()) if gaps.size else 0.12 * (ends[1] - ends[0]))
    for at, bottom, middle, top in zip(ends[2:], low, median, high, strict=True):
        sides = [math.exp(v) if log else v for v in (at - half, at + half)]
        axes.fill_between(sides, bottom, top, color=DONE, alpha=0.13, linewidth=0)
        axes.plot(sides, [middle, middle], color=MUTED, linewidth=1.3)

"""The first two of several objectives against each other, with the Pareto front."""

from __future__ import annotations

import math
from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import plural
from analysis.plots.ranges import ValueRange, linear_ticks, value_range
from analysis.plots.svg import BEST, MUTED, PAPER, Canvas, canvas
from analysis.values import all_rows
from recsearch.epochs import EpochRow
from recsearch.run import RunView

_WIDTH, _HEIGHT = 560, 340


class FrontInfo(NamedTuple):
    """Every epoch with both objectives.

    Attributes:
        metrics: names of the two objectives.
        directions: ``min`` or ``max`` of each.
        others: values of epochs that are not on the front.
        front: values of those on the front, by the first objective, best first.
        limits: both axes.
        objectives: number of objectives of the run.
    """

    metrics: tuple[str, str]
    directions: tuple[str, str]
    others: tuple[tuple[float, float], ...]
    front: tuple[tuple[float, float], ...]
    limits: tuple[ValueRange, ValueRange]
    objectives: int

    @property
    def beyond(self) -> int:
        """Epochs beyond an axis."""
        points = (*self.others, *self.front)
        return sum(not _inside(point, self.limits) for point in points)


def front_info(run: RunView) -> FrontInfo | None:
    """The epochs of all trials; None where a run has one objective, or no epoch with both."""
    found = run.front()
    if len(run.objectives) < 2 or not found:
        return None
    x, y = run.objectives[:2]
    front = {(row.trial, row.epoch) for _, row in found}
    rows = [row for row in all_rows(run) if (row.trial, row.epoch) not in front]
    others = [_values(row, x.name, y.name) for row in rows]
    best = [_values(row, x.name, y.name) for _, row in found]
    everything = [*best, *(point for point in others if all(map(math.isfinite, point)))]
    ranges = [
        _holding(value_range([p[k] for p in everything], m.direction), [p[k] for p in best])
        for k, m in enumerate((x, y))
    ]
    return FrontInfo(
        metrics=(x.name, y.name),
        directions=(x.direction, y.direction),
        others=tuple(everything[len(best) :]),
        front=tuple(best),
        limits=(ranges[0], ranges[1]),
        objectives=len(run.objectives),
    )


def caption(info: FrontInfo) -> str:
    """What is drawn, with n."""
    words = ["lower" if direction == "min" else "higher" for direction in info.directions]
    text = (
        f"{info.metrics[1]} ({words[1]} is better) over {info.metrics[0]} ({words[0]} is better) "
        f"of {plural(len(info.others) + len(info.front), 'epoch')}. "
        f"Filled: the {plural(len(info.front), 'epoch')} of the front"
    )
    if info.objectives > 2:
        text += f" of all {info.objectives} objectives; the line is that of these two"
    text += "; hollow: the others."
    if info.beyond:
        text += f" {plural(info.beyond, 'epoch')} beyond the axes."
    return text


def table(info: FrontInfo) -> Table:
    """One row per epoch."""
    rows = [(*point, True) for point in info.front] + [(*point, False) for point in info.others]
    return Table((*info.metrics, "on_front"), tuple(rows))


def draw_front(info: FrontInfo) -> str:
    """A scatter of all epochs; the front filled, and a staircase through it."""
    with canvas(_WIDTH, _HEIGHT, left=58) as figure:
        axes = figure.axes
        axes.set_xlim(info.limits[0].low, info.limits[0].high)
        axes.set_ylim(info.limits[1].low, info.limits[1].high)
        figure.x_ticks(linear_ticks(info.limits[0].low, info.limits[0].high))
        figure.y_ticks(linear_ticks(info.limits[1].low, info.limits[1].high))
        axes.set_xlabel(info.metrics[0])
        axes.set_ylabel(info.metrics[1])
        shown = [point for point in info.others if _inside(point, info.limits)]
        axes.plot([x for x, _ in shown], [y for _, y in shown], linestyle="none", marker="o",
                  markersize=4, markerfacecolor=PAPER, markeredgecolor=MUTED,
                  markeredgewidth=0.8)  # fmt: skip
        _draw_staircase(figure, info)
        axes.plot([x for x, _ in info.front], [y for _, y in info.front], linestyle="none",
                  marker="o", markersize=6.5, markerfacecolor=BEST, markeredgecolor=PAPER,
                  markeredgewidth=0.6, zorder=5, clip_on=False)  # fmt: skip
        return figure.svg("front", caption(info))


def staircase(info: FrontInfo) -> tuple[tuple[float, float], ...]:
    """The points that no other beats by the two objectives, best by the first one first."""
    signs = [1.0 if direction == "min" else -1.0 for direction in info.directions]
    steps: list[tuple[float, float]] = []
    for x, y in sorted(info.front, key=lambda point: (signs[0] * point[0], signs[1] * point[1])):
        if not steps or signs[1] * y < signs[1] * steps[-1][1]:
            steps.append((x, y))
    return tuple(steps)


def _draw_staircase(figure: Canvas, info: FrontInfo) -> None:
    steps = staircase(info)
    # From the best by the first objective on: what is beaten lies beyond the corners.
    figure.axes.step([x for x, _ in steps], [y for _, y in steps], where="post", color=BEST,
                     linewidth=1.1)  # fmt: skip


def _values(row: EpochRow, x: str, y: str) -> tuple[float, float]:
    return row.value(x), row.value(y)


def _holding(limits: ValueRange | None, values: list[float]) -> ValueRange:
    """``limits`` widened to what must be seen: of a front, the worst by one objective is good."""
    if limits is None:
        raise ValueError("an axis without a value")
    low, high = min([limits.low, *values]), max([limits.high, *values])
    pad = 0.04 * (high - low) if (low, high) != (limits.low, limits.high) else 0.0
    return ValueRange(
        low - pad if low < limits.low else low, high + pad if high > limits.high else high, 0
    )


def _inside(point: tuple[float, float], limits: tuple[ValueRange, ValueRange]) -> bool:
    return limits[0].holds(point[0]) and limits[1].holds(point[1])

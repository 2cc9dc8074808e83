"""The best values of all trials of several runs: what was likely, beside what was best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.figures import Table
from analysis.formatting import metric, plural
from analysis.naming import labels
from analysis.plots.marks import draw_best, draw_marks
from analysis.plots.ranges import ValueRange, linear_ticks, value_range
from analysis.plots.svg import GRID, INK, MUTED, Canvas, canvas, shorten
from analysis.values import Point, best_point, points
from recsearch.run import RunView

LABEL = 17
"""Characters of a run's label."""


class Strip(NamedTuple):
    """The trials of one run.

    Attributes:
        run: folder name.
        label: what the figure calls it.
        points: every trial with a value.
        best: the best of them.
        quartiles: first, second and third quartile of the values.
        beyond: trials beyond the axis.
    """

    run: str
    label: str
    points: tuple[Point, ...]
    best: Point
    quartiles: tuple[float, float, float]
    beyond: int


class DistributionsInfo(NamedTuple):
    """Runs in the order given, on one axis."""

    metric: str
    direction: str
    strips: tuple[Strip, ...]
    limits: ValueRange


def distributions_info(runs: Sequence[RunView]) -> DistributionsInfo | None:
    """Trials of ``runs``, which share their objective; None where no run has a value."""
    names = labels([run.path.name for run in runs])
    found = [
        (name, run, points(run), best)
        for name, run in zip(names, runs, strict=True)
        if (best := best_point(run)) is not None
    ]
    values = [point.value for _, _, own, _ in found for point in own]
    if not found:
        return None
    direction = runs[0].objective.direction
    limits = value_range(values, direction)
    if limits is None:
        return None
    limits = _with(limits, [best.value for *_, best in found])
    strips = tuple(_strip(name, run, own, best, limits) for name, run, own, best in found)
    beyond = sum(strip.beyond for strip in strips)
    return DistributionsInfo(
        runs[0].objective.name, direction, strips, limits._replace(clipped=beyond)
    )


def caption(info: DistributionsInfo) -> str:
    """What is drawn, with n."""
    better = "left" if info.direction == "min" else "right"
    n = sum(len(strip.points) for strip in info.strips)
    text = (
        f"Best {info.metric} of every trial: {plural(n, 'trial')} of "
        f"{plural(len(info.strips), 'run')}; further {better} is better. Box: middle half of a "
        "run's trials, with their median. Star: its best."
    )
    if any(point.state == "pruned" for strip in info.strips for point in strip.points):
        text += " Hollow: pruned, so from fewer epochs."
    if info.limits.clipped:
        text += (
            f" {plural(info.limits.clipped, 'trial')} beyond the axis; their number stands at "
            "its edge."
        )
    return text


def table(info: DistributionsInfo) -> Table:
    """Every trial."""
    return Table(
        ("run", "trial", "epoch", "state", info.metric, "best"),
        tuple(
            (strip.run, p.trial, p.epoch, p.state, p.value, p.trial == strip.best.trial)
            for strip in info.strips
            for p in strip.points
        ),
    )


def draw_distributions(info: DistributionsInfo, name: str) -> str:
    """One row of marks per run over a box."""
    height = 60 + 32 * len(info.strips)
    with canvas(420, height, left=108, bottom=40, right=58, top=8) as figure:
        axes = figure.axes
        axes.set_xlim(info.limits.low, info.limits.high)
        axes.set_ylim(len(info.strips) - 0.5, -0.5)
        for at, strip in enumerate(info.strips):
            _draw_strip(figure, info, strip, at)
        axes.set_yticks(range(len(info.strips)), [shorten(s.label, LABEL) for s in info.strips])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.x_ticks(linear_ticks(info.limits.low, info.limits.high, 6))
        axes.set_xlabel(info.metric)
        return figure.svg(name, caption(info))


def _strip(
    name: str, run: RunView, own: tuple[Point, ...], best: Point, limits: ValueRange
) -> Strip:
    values = [point.value for point in own]
    first, median, third = (float(q) for q in np.percentile(values, [25, 50, 75]))
    beyond = sum(not limits.holds(value) for value in values)
    return Strip(run.path.name, name, own, best, (first, median, third), beyond)


def _with(limits: ValueRange, values: Sequence[float]) -> ValueRange:
    """Limits that also hold the best of a run which does far worse than the others."""
    low, high = min(limits.low, *values), max(limits.high, *values)
    pad = 0.03 * (high - low)
    return ValueRange(
        low - pad if low < limits.low else low, high + pad if high > limits.high else high, 0
    )


def _draw_strip(figure: Canvas, info: DistributionsInfo, strip: Strip, at: int) -> None:
    axes = figure.axes
    inside = [p for p in strip.points if info.limits.holds(p.value)]
    # Spread by an amount fixed per trial, so that a figure is the same every time.
    offsets = [at + 0.3 * (((p.trial * 0.618034) % 1.0) - 0.5) for p in inside]
    draw_marks(axes, [p.value for p in inside], offsets, [p.state for p in inside])
    low, high = (min(max(q, info.limits.low), info.limits.high) for q in strip.quartiles[::2])
    if len(strip.points) > 3 and low < high:
        axes.fill_between([low, high], at - 0.27, at + 0.27, facecolor="none", edgecolor=INK,
                          linewidth=0.8, zorder=3)  # fmt: skip
        if info.limits.holds(strip.quartiles[1]):
            axes.plot([strip.quartiles[1]] * 2, [at - 0.27, at + 0.27], color=INK, linewidth=1.8,
                      zorder=3)  # fmt: skip
    draw_best(axes, strip.best.value, at)
    if strip.beyond:
        minimised = info.direction == "min"
        text = f"+{strip.beyond} \N{RIGHTWARDS ARROW}" if minimised else (
            f"\N{LEFTWARDS ARROW} +{strip.beyond}")  # fmt: skip
        axes.annotate(text, (1 if minimised else 0, at), xycoords=("axes fraction", "data"),
                      xytext=(-1 if minimised else 1, 13), textcoords="offset points", fontsize=8,
                      ha="right" if minimised else "left", va="center", color=MUTED)  # fmt: skip
    axes.annotate(metric(strip.best.value), (1, at), xycoords=("axes fraction", "data"),
                  xytext=(8, 0), textcoords="offset points", va="center", color=INK,
                  annotation_clip=False)  # fmt: skip

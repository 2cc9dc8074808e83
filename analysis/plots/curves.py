"""Learning curves: the objective per epoch of the best and of the longest trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from analysis.endings import short_reason
from analysis.figures import Table
from analysis.formatting import metric, plural
from analysis.plots.marks import draw_best
from analysis.plots.ranges import ValueRange, beyond_text, linear_ticks, value_range
from analysis.plots.svg import BEST, DONE, MUTED, PAPER, Canvas, canvas, shorten, tooltips
from analysis.values import Reference, curve, epochs_completed, references
from recsearch.epochs import TrialView
from recsearch.run import RunView

LONGEST = 8
_NEAR = 3.0
_DASHES = ((0, ()), (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))


class Curve(NamedTuple):
    """One trial; ``values`` holds NaN where the objective was not finite, ``end`` what ended it."""

    trial: int
    state: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    end: str


class CurvesInfo(NamedTuple):
    """Curves to draw, the best epoch as (trial, epoch, value), and the y axis they share."""

    metric: str
    direction: str
    curves: tuple[Curve, ...]
    best: tuple[int, int, float]
    limits: ValueRange
    references: tuple[Reference, ...]


def best_curve_info(run: RunView) -> CurvesInfo | None:
    """The curve of the best trial; None where it has fewer than two epochs."""
    return _info(run, 1, only_best=True)


def longest_curves_info(run: RunView, most: int = LONGEST) -> CurvesInfo | None:
    """Curves of the trials with most epochs, the best always among them; None without two."""
    info = _info(run, most, only_best=False)
    return info if info is not None and len(info.curves) > 1 else None


def best_caption(info: CurvesInfo) -> str:
    """What is drawn."""
    trial, epoch, value = info.best
    number = len(info.curves[0].epochs)
    return (
        f"Learning curve of the best trial ({trial}), {plural(number, 'epoch')}. "
        f"Ringed: its best epoch, {epoch}, with {info.metric} {metric(value)}." + _beyond(info)
    )


def longest_caption(info: CurvesInfo) -> str:
    """What is drawn, with n."""
    there = any(c.trial == info.best[0] for c in info.curves)
    best = f"the best, {info.best[0]}, thick" if there else without_best(info.best[0])
    return (
        f"Learning curves of the {len(info.curves)} trials with most epochs ({best}), labelled by "
        "trial and by what ended it. Filled end: done; hollow end: pruned or not finished."
        + _beyond(info)
    )


def without_best(trial: int) -> str:
    """What is said of a figure of curves that the best trial is not in."""
    return f"the best, {trial}, has a single epoch and no curve"


def curve_of(run: RunView, trial: TrialView) -> Curve:
    """The curve of a trial that has an epoch."""
    epochs, values = zip(*curve(run, trial), strict=True)
    return Curve(trial.number, trial.state, epochs, values, short_reason(trial))


def table(info: CurvesInfo) -> Table:
    """One row per epoch drawn."""
    return curve_table(info.curves, info.metric)


def curve_table(curves: Sequence[Curve], metric: str) -> Table:
    """One row per epoch of ``curves``."""
    rows = tuple(
        (c.trial, c.state, c.end, epoch, value)
        for c in curves
        for epoch, value in zip(c.epochs, c.values, strict=True)
    )
    return Table(("trial", "state", "ended_by", "epoch", metric), rows)


def draw_best_curve(info: CurvesInfo) -> str:
    """The best trial's line, every epoch marked."""
    with canvas(370, 250, right=16) as figure:
        curve_ = info.curves[0]
        _frame(figure, info)
        figure.axes.plot(
            curve_.epochs, curve_.values, color=DONE, linewidth=1.6, marker="o", markersize=4,
            markerfacecolor=DONE, markeredgecolor=PAPER, markeredgewidth=0.5,
        )  # fmt: skip
        draw_best(figure.axes, info.best[1], info.best[2])
        return figure.svg("best-curve", best_caption(info))


def draw_longest_curves(info: CurvesInfo) -> str:
    """One line per trial, labelled at its end."""
    with canvas(370, 250, right=82) as figure:
        _frame(figure, info)
        others = [c for c in info.curves if c.trial != info.best[0]]
        for at, curve_ in enumerate(others):
            _line(figure, info, curve_, MUTED, 1.0, at)
        for curve_ in info.curves:
            if curve_.trial == info.best[0]:
                _line(figure, info, curve_, BEST, 2.2, 0)
        _labels(figure, info)
        return figure.svg("longest-curves", longest_caption(info))


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart by at least ``gap`` inside [low, high], keeping their order.

    Where they do not all fit, they are spaced evenly.
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    gap = min(gap, (high - low) / max(1, len(order) - 1))
    placed: list[float] = []
    for index in order:
        wanted = min(max(positions[index], low), high)
        placed.append(max(wanted, placed[-1] + gap) if placed else wanted)
    ceiling = high
    for at in reversed(range(len(placed))):
        placed[at] = min(placed[at], ceiling)
        ceiling = placed[at] - gap
    found = [0.0] * len(order)
    for index, position in zip(order, placed, strict=True):
        found[index] = position
    return found


def _info(run: RunView, most: int, *, only_best: bool) -> CurvesInfo | None:
    best = run.best()
    if best is None:
        return None
    number = best[0].number
    pool = [
        trial for trial in ([best[0]] if only_best else run.trials) if epochs_completed(trial) > 1
    ]
    pool.sort(key=lambda t: (t.number != number, -epochs_completed(t), t.number))
    curves = [curve_of(run, trial) for trial in pool[:most]]
    lines = references(run)
    limits = value_range(
        [v for c in curves for v in c.values], run.objective.direction, lines, _NEAR
    )
    if limits is None or (only_best and not curves):
        return None
    value = best[1].value(run.objective.name)
    return CurvesInfo(
        metric=run.objective.name,
        direction=run.objective.direction,
        curves=tuple(curves),
        best=(number, best[1].epoch, value),
        limits=limits,
        references=lines,
    )


def _beyond(info: CurvesInfo) -> str:
    clipped = info.limits.clipped
    text = f" {plural(clipped, 'epoch')} beyond the axis." if clipped else ""
    return text + beyond_text(info.references, info.limits)


def _frame(figure: Canvas, info: CurvesInfo) -> None:
    last = max(epoch for c in info.curves for epoch in c.epochs)
    first = min(epoch for c in info.curves for epoch in c.epochs)
    pad = 0.03 * max(1, last - first)
    figure.axes.set_xlim(first - pad, last + pad)
    figure.axes.set_ylim(info.limits.low, info.limits.high)
    figure.x_ticks(linear_ticks(first, last, 8, whole=True))
    figure.y_ticks(linear_ticks(info.limits.low, info.limits.high))
    figure.axes.set_xlabel("epoch")
    figure.axes.set_ylabel(info.metric)
    figure.reference_lines(info.references, info.limits)


def _line(
    figure: Canvas, info: CurvesInfo, curve_: Curve, colour: str, width: float, style: int
) -> None:
    figure.axes.plot(curve_.epochs, curve_.values, color=colour, linewidth=width,
                     linestyle=_DASHES[style % len(_DASHES)])  # fmt: skip
    end = _end(curve_)
    if end is not None:
        fill = colour if curve_.state == "done" else PAPER
        (mark,) = figure.axes.plot(
            *end, linestyle="none", marker="o", markersize=4, markerfacecolor=fill,
            markeredgecolor=colour, markeredgewidth=0.9,
        )  # fmt: skip
        if info.limits.holds(end[1]):
            epochs = plural(len(curve_.epochs), "epoch")
            tooltips(mark, [f"trial {curve_.trial}: {epochs}, {curve_.state} ({curve_.end})"])


def _end(curve_: Curve) -> tuple[float, float] | None:
    finite = [(e, v) for e, v in zip(curve_.epochs, curve_.values, strict=True) if math.isfinite(v)]
    return (float(finite[-1][0]), finite[-1][1]) if finite else None


def _labels(figure: Canvas, info: CurvesInfo) -> None:
    """Trial numbers in the right margin, level with the ends of their curves."""
    ends = [(c, end) for c in info.curves if (end := _end(c)) is not None]
    low, high = info.limits.low, info.limits.high
    at = spread([end[1] for _, end in ends], 0.052 * (high - low), low, high)
    for (curve_, end), y in zip(ends, at, strict=True):
        best = curve_.trial == info.best[0]
        # A curve that ends beyond the axis leaves it at its edge.
        inside = end[0], min(max(end[1], low), high)
        figure.axes.annotate(
            shorten(f"{curve_.trial} {curve_.end}", 15), xy=inside, xytext=(1.02, y),
            textcoords=("axes fraction", "data"),
            color=BEST if best else MUTED, fontsize=9, va="center", annotation_clip=False,
            fontweight="bold" if best else "normal",
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.4, "shrinkB": 3,
                        "relpos": (0, 0.5)},
        )  # fmt: skip

"""Runs of one split side by side: default configuration to best, with each run's baseline."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.catalogue import Group
from analysis.figures import Table
from analysis.formatting import metric, plural
from analysis.naming import labels
from analysis.plots.ranges import linear_ticks
from analysis.plots.svg import BASELINE, DONE, GRID, INK, MUTED, PAPER, canvas, shorten

_DEFAULT: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6,
                            "markerfacecolor": PAPER, "markeredgecolor": MUTED}  # fmt: skip
_BASELINE: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 13,
                             "markerfacecolor": "none", "markeredgecolor": BASELINE,
                             "markeredgewidth": 1.6}  # fmt: skip
_BEST: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 7,
                         "markerfacecolor": DONE, "markeredgecolor": PAPER,
                         "markeredgewidth": 0.5}  # fmt: skip


class Bar(NamedTuple):
    """One run; None where a value was not measured."""

    run: str
    best: float
    default: float | None
    baseline: float | None


class ComparisonInfo(NamedTuple):
    """Runs best first."""

    metric: str
    bars: tuple[Bar, ...]


def comparison_info(group: Group) -> ComparisonInfo | None:
    """The runs of ``group`` that have a best; None where there are fewer than two."""
    bars = [
        Bar(row.run, row.best, row.default, row.baseline)
        for row in group.rows
        if row.best is not None
    ]
    return ComparisonInfo(group.metric, tuple(bars)) if len(bars) > 1 else None


def caption(info: ComparisonInfo) -> str:
    """What is drawn, with n."""
    return (
        f"{info.metric} of {plural(len(info.bars), 'run')} on one split. Filled: best; hollow: "
        "default configuration; upright stroke: baseline (tuned bias or popularity)."
    )


def table(info: ComparisonInfo) -> Table:
    """Every run."""
    return Table(("run", "best", "default", "baseline"), tuple(tuple(bar) for bar in info.bars))


def draw_comparison(info: ComparisonInfo, name: str) -> str:
    """One row per run."""
    height = 52 + 26 * len(info.bars)
    with canvas(420, height, left=112, bottom=40, right=58, top=8) as figure:
        axes = figure.axes
        for at, bar in enumerate(info.bars):
            if bar.default is not None:
                axes.plot([bar.default, bar.best], [at, at], color=MUTED, linewidth=1.0)
                axes.plot(bar.default, at, **_DEFAULT)
            if bar.baseline is not None:
                axes.plot(bar.baseline, at, **_BASELINE)
            axes.plot(bar.best, at, **_BEST)
            axes.annotate(metric(bar.best), (1, at), xycoords=("axes fraction", "data"),
                          xytext=(8, 0), textcoords="offset points", va="center", color=INK,
                          annotation_clip=False)  # fmt: skip
        values = [v for bar in info.bars for v in bar[1:] if v is not None]
        pad = 0.06 * ((max(values) - min(values)) or abs(max(values)) or 1.0)
        low, high = min(values) - pad, max(values) + pad
        axes.set_xlim(low, high)
        axes.set_ylim(len(info.bars) - 0.5, -0.5)
        names = labels([bar.run for bar in info.bars])
        axes.set_yticks(range(len(names)), [shorten(name, 18) for name in names])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.x_ticks(linear_ticks(low, high, 6))
        axes.set_xlabel(info.metric)
        return figure.svg(name, caption(info))

"""Importance of the parameters by two methods side by side, with intervals."""

from __future__ import annotations

from analysis.figures import Table
from analysis.formatting import plural
from analysis.importance import (
    INTERVAL,
    RESAMPLED_TREES,
    TREES,
    Estimate,
    ImportanceInfo,
)
from analysis.plots.ranges import Tick
from analysis.plots.svg import BASELINE, DONE, GRID, INK, PAPER, Canvas, canvas, shorten

_WIDTH, _ROW = 430, 40
_METHODS = (("PED-ANOVA", DONE, "o"), ("fANOVA", BASELINE, "s"))


def caption(info: ImportanceInfo) -> str:
    """What is drawn, with n and the numbers behind the intervals."""
    used = plural(info.n, "finished trial")
    if info.n < info.finished:
        used = f"{info.n} of {plural(info.finished, 'finished trial')}"
    text = (
        f"Share of the importance for {info.metric}, from {used}; pruned ones do not count, since "
        f"what they would have reached is not known. PED-ANOVA: what sets the best {info.top} "
        "trials apart from all. fANOVA: what the variance over the whole space is due to, in "
        f"{TREES} trees. Lines: {INTERVAL[0]:.0f} to {INTERVAL[1]:.0f} % of {info.resamples} "
        f"resamples of the trials (fANOVA with {RESAMPLED_TREES} trees each). Effects of several "
        "parameters together are left out."
    )
    for name, n in info.left_out:
        text += f" Not ranked: {name}, which takes part in {n} of them only."
    return text


def table(info: ImportanceInfo) -> Table:
    """One row per parameter and method."""
    rows = [
        (row.name, method, *estimate)
        for row in info.ranked
        for method, estimate in (("PED-ANOVA", row.ped), ("fANOVA", row.fanova))
    ]
    return Table(("parameter", "method", "share", "low", "high", "first"), tuple(rows))


def draw_importance(info: ImportanceInfo) -> str:
    """A circle and a square per parameter on lines as long as their intervals."""
    longest = max(len(shorten(row.name, 24)) for row in info.ranked)
    left = max(70, 6.3 * longest + 18)
    height = _ROW * len(info.ranked) + 66
    with canvas(_WIDTH, height, left=left, bottom=40, top=26, right=16) as figure:
        axes = figure.axes
        axes.set_xlim(0, 1)
        axes.set_ylim(len(info.ranked) - 0.5, -0.5)
        figure.x_ticks([Tick(v / 4, f"{25 * v} %") for v in range(5)])
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_yticks(range(len(info.ranked)), [shorten(r.name, 24) for r in info.ranked])
        axes.tick_params(axis="y", pad=9)
        axes.set_xlabel("share of the importance of all parameters")
        for at, row in enumerate(info.ranked):
            if at:
                axes.axhline(at - 0.5, color=GRID, linewidth=0.6)
            for method, estimate in zip((0, 1), (row.ped, row.fanova), strict=True):
                _draw_estimate(figure, estimate, at - 0.17 + 0.34 * method, method)
        _draw_key(figure)
        first = info.ranked[0].name
        return figure.svg(
            "importance",
            f"Importance of {plural(len(info.ranked), 'parameter')} by two methods; {first} has "
            "the highest mean",
        )


def _draw_estimate(figure: Canvas, estimate: Estimate, y: float, method: int) -> None:
    _, colour, marker = _METHODS[method]
    figure.axes.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.4,
                     alpha=0.75, clip_on=False)  # fmt: skip
    figure.axes.plot([estimate.share], [y], linestyle="none", marker=marker, markersize=7,
                     markerfacecolor=colour if method == 0 else PAPER, markeredgecolor=colour,
                     markeredgewidth=1.4, clip_on=False)  # fmt: skip


def _draw_key(figure: Canvas) -> None:
    for (name, colour, marker), x in zip(_METHODS, (4, 104), strict=True):
        face = colour if marker == "o" else PAPER
        figure.axes.annotate(
            name, (0, 1), xycoords="axes fraction", xytext=(x + 8, 10), textcoords="offset points",
            va="center", color=INK, fontsize=9.5,
        )  # fmt: skip
        width = figure.axes.bbox.width
        figure.axes.plot(
            [x / width], [1 + 10 / figure.axes.bbox.height], transform=figure.axes.transAxes,
            linestyle="none", marker=marker, markersize=7, markerfacecolor=face,
            markeredgecolor=colour, markeredgewidth=1.4, clip_on=False,
        )  # fmt: skip

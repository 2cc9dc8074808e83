"""How trials are marked, alike in all plots: by shape and fill first, by colour second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.formatting import metric
from analysis.plots.svg import BEST, DONE, ERROR, MUTED, PAPER, SOFT, tooltips
from analysis.values import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FILLED = {"marker": "o", "markersize": 5, "markerfacecolor": DONE, "markeredgecolor": PAPER,
           "markeredgewidth": 0.5}  # fmt: skip
_HOLLOW = {"marker": "o", "markersize": 4.6, "markerfacecolor": PAPER, "markeredgecolor": MUTED,
           "markeredgewidth": 0.9}  # fmt: skip
_CROSS = {
    "marker": "x",
    "markersize": 4.6,
    "markerfacecolor": "none",
    "markeredgecolor": ERROR,
    "markeredgewidth": 1.3,
}
_SQUARE = {**_HOLLOW, "marker": "s", "markersize": 4.2}
MARKS: dict[str, dict[str, Any]] = {
    "pruned": _HOLLOW, "training": _SQUARE, "queued": _SQUARE, "interrupted": _SQUARE,
    "error": _CROSS, "done": _FILLED,
}  # fmt: skip
"""Drawing order too: finished trials lie on top."""
BARS: dict[str, dict[str, Any]] = {
    "done": {"facecolor": DONE, "edgecolor": PAPER},
    "pruned": {"facecolor": PAPER, "edgecolor": MUTED},
    "error": {"facecolor": PAPER, "edgecolor": ERROR, "hatch": "////"},
    "unfinished": {"facecolor": SOFT, "edgecolor": MUTED},
}
"""How bars of trials are filled, by `bar_group`."""


def bar_group(state: str) -> str:
    """Which of `BARS` a trial in ``state`` is drawn as."""
    return state if state in BARS else "unfinished"


def draw_marks(
    axes: Axes,
    xs: Sequence[float],
    ys: Sequence[float],
    states: Sequence[str],
    words: Sequence[str] = (),
) -> None:
    """Draw one mark per trial; ``words`` are shown while the pointer rests on one."""
    for state, mark in MARKS.items():
        at = [i for i, found in enumerate(states) if found == state]
        if at:
            (line,) = axes.plot([xs[i] for i in at], [ys[i] for i in at], linestyle="none", **mark)
            if words:
                tooltips(line, [words[i] for i in at])


def point_words(point: Point, objective: str) -> str:
    """What is said of a trial's mark.

    >>> point_words(Point(trial=7, state="pruned", value=0.8251, epoch=3), "RMSE")
    'trial 7: RMSE 0.82510 at epoch 3, pruned'
    """
    value = metric(point.value)
    return f"trial {point.trial}: {objective} {value} at epoch {point.epoch}, {point.state}"


def draw_clipped(
    axes: Axes, xs: Sequence[float], edge: float, direction: str, words: Sequence[str] = ()
) -> None:
    """Mark trials that lie beyond the axis: arrowheads on the bad edge, which say ``words``."""
    marker = "^" if direction == "min" else "v"
    (line,) = axes.plot(
        xs, [edge] * len(xs), linestyle="none", marker=marker, markersize=4.5,
        markerfacecolor=MUTED, markeredgecolor=MUTED, markeredgewidth=0, clip_on=False,
    )  # fmt: skip
    if words:
        tooltips(line, words)


def draw_best(axes: Axes, x: float, y: float) -> None:
    """Ring and star of the best epoch."""
    axes.plot([x], [y], linestyle="none", marker="o", markersize=13, markerfacecolor="none",
              markeredgecolor=BEST, markeredgewidth=1.3, clip_on=False, zorder=5)  # fmt: skip
    axes.plot([x], [y], linestyle="none", marker="*", markersize=8.5, markerfacecolor=BEST,
              markeredgecolor=PAPER, markeredgewidth=0.5, clip_on=False, zorder=6)  # fmt: skip

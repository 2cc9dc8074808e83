"""Learning curves of many trials at a glance: which shapes there are, and how each ended."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analysis.figures import Table
from analysis.formatting import plural
from analysis.plots.curves import Curve, curve_of, curve_table, without_best
from analysis.plots.marks import draw_best
from analysis.plots.ranges import ValueRange, beyond_text, linear_ticks, value_range
from analysis.plots.svg import BEST, DONE, ERROR, MUTED, SOFT, canvas
from analysis.values import Reference, epochs_completed, references
from recsearch.run import RunView

MOST = 60
_NEAR = 1.0
_STYLES = {
    "done": (DONE, (0, ())),
    "pruned": (MUTED, (0, (4, 2))),
    "error": (ERROR, (0, (1, 1))),
    "not finished": (SOFT, (0, (6, 2, 1, 2))),
}
_WORDS = {"done": "solid", "pruned": "dashed", "error": "dotted", "not finished": "dash and dot"}


class CurveSampleInfo(NamedTuple):
    """Curves, evenly spaced over the trial numbers and the best among them.

    Attributes:
        n: trials with two epochs or more, of which these are a sample.
        best: (trial, epoch, value) of the best epoch.
    """

    metric: str
    curves: tuple[Curve, ...]
    n: int
    best: tuple[int, int, float]
    limits: ValueRange
    references: tuple[Reference, ...]


def curve_sample_info(run: RunView, most: int = MOST) -> CurveSampleInfo | None:
    """At most ``most`` curves; None below three trials with two epochs or more."""
    best = run.best()
    trials = [trial for trial in run.trials if epochs_completed(trial) > 1]
    if best is None or len(trials) < 3:
        return None
    taken = {trials[at].number for at in np.linspace(0, len(trials) - 1, most).round().astype(int)}
    chosen = [trial for trial in trials if trial.number in taken | {best[0].number}]
    curves = [curve_of(run, trial) for trial in chosen]
    lines = references(run)
    ends = [value for c in curves for value in c.values]
    limits = value_range(ends, run.objective.direction, lines, _NEAR)
    if limits is None:
        return None
    where = (best[0].number, best[1].epoch, best[1].value(run.objective.name))
    return CurveSampleInfo(run.objective.name, tuple(curves), len(trials), where, limits, lines)


def caption(info: CurveSampleInfo) -> str:
    """What is drawn, with n."""
    others = [c for c in info.curves if c.trial != info.best[0]]
    states = [state for state in _WORDS if any(_group(c) == state for c in others)]
    words = ", ".join(f"{_WORDS[state]}: {state}" for state in states)
    sample = (
        f"All {info.n} trials with two epochs or more" if len(info.curves) == info.n
        else f"{len(info.curves)} of {info.n} trials with two epochs or more, evenly over the run"
    )  # fmt: skip
    text = f"Learning curves. {sample}; {words}."
    if len(others) < len(info.curves):
        text += f" Thick: trial {info.best[0]}, the best."
    else:
        said = without_best(info.best[0])
        text += f" {said[0].upper()}{said[1:]}: ring and star alone."
    if info.limits.clipped:
        text += f" {plural(info.limits.clipped, 'epoch')} beyond the axis."
    return text + beyond_text(info.references, info.limits)


def table(info: CurveSampleInfo) -> Table:
    """One row per epoch drawn."""
    return curve_table(info.curves, info.metric)


def draw_curve_sample(info: CurveSampleInfo) -> str:
    """Thin lines, the best on top."""
    with canvas(370, 250, right=16) as figure:
        axes = figure.axes
        last = max(epoch for c in info.curves for epoch in c.epochs)
        axes.set_xlim(1 - 0.03 * last, last * 1.03)
        axes.set_ylim(info.limits.low, info.limits.high)
        figure.x_ticks([t for t in linear_ticks(1, last, 8, whole=True) if t.value >= 1])
        figure.y_ticks(linear_ticks(info.limits.low, info.limits.high))
        axes.set_xlabel("epoch")
        axes.set_ylabel(info.metric)
        figure.reference_lines(info.references, info.limits)
        for c in info.curves:
            if c.trial != info.best[0]:
                colour, style = _STYLES[_group(c)]
                axes.plot(c.epochs, c.values, color=colour, linestyle=style, linewidth=0.7,
                          alpha=0.65)  # fmt: skip
        for c in info.curves:
            if c.trial == info.best[0]:
                axes.plot(c.epochs, c.values, color=BEST, linewidth=2.0, zorder=4)
        draw_best(axes, info.best[1], info.best[2])
        return figure.svg("curve-sample", caption(info))


def _group(curve: Curve) -> str:
    return curve.state if curve.state in _STYLES else "not finished"

"""Parallel coordinates: one axis per parameter, the last for the objective, one line per trial."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from analysis.figures import Table
from analysis.formatting import plural
from analysis.parameters import Parameter, parameters_info
from analysis.plots.marks import draw_best
from analysis.plots.positions import UnitAxis, unit_axis
from analysis.plots.ranges import Tick, linear_ticks, value_range
from analysis.plots.sampled import jitter
from analysis.plots.svg import BEST, DONE, INK, MUTED, Canvas, canvas, shorten
from analysis.regions import best_tenth, ended, evenly, place
from recsearch.run import RunView

_AXIS, _NARROWEST, _HEIGHT, _LEFT, _RIGHT = 118, 560, 330, 58, 62
MOST_LINES = 300
"""Trials that are drawn of more, evenly by rank."""


class Line(NamedTuple):
    """One trial; ``places`` are its positions by axis, NaN where it has none."""

    trial: int
    state: str
    value: float
    places: tuple[float, ...]
    good: bool
    best: bool


class ParallelInfo(NamedTuple):
    """All lines, worst first, so that the best are drawn on top.

    Attributes:
        axes: those of the parameters, then the objective's.
        lines: of ``ended`` done and pruned trials.
        clipped: lines that end at the limit of the objective's axis.
        spread: whether lines through a category were moved apart.
    """

    metric: str
    direction: str
    axes: tuple[UnitAxis, ...]
    lines: tuple[Line, ...]
    ended: int
    clipped: int
    spread: bool


def parallel_info(run: RunView) -> ParallelInfo | None:
    """Lines of all done and pruned trials; None below two parameters or two trials.

    A parameter that no trial took part in has no axis: no line could reach it.
    """
    found = ended(run)
    values = {trial.number: trial.params for trial in run.trials}
    used = {name for point in found for name in values[point.trial]}
    parameters = [p for p in parameters_info(run) if p.name in used and unit_axis(p) is not None]
    limits = value_range([point.value for point in found], run.objective.direction)
    if len(parameters) < 2 or len(found) < 2 or limits is None:
        return None
    good = {point.trial for point in best_tenth(run)}
    best = run.best()
    sign = -1.0 if run.objective.direction == "max" else 1.0
    lines = []
    drawn = evenly(found, run.objective.direction, MOST_LINES)
    for point in sorted(drawn, key=lambda point: (-sign * point.value, point.trial)):
        params = values[point.trial]
        places = [_place(p, params, point.trial) for p in parameters]
        last = (min(max(point.value, limits.low), limits.high) - limits.low) / (
            limits.high - limits.low)  # fmt: skip
        chosen = best is not None and best[0].number == point.trial
        lines.append(Line(point.trial, point.state, point.value, (*places, last),
                          point.trial in good, chosen))  # fmt: skip
    ticks = [
        Tick((tick.value - limits.low) / (limits.high - limits.low), tick.label)
        for tick in linear_ticks(limits.low, limits.high)
    ]
    axes = [axis for p in parameters if (axis := unit_axis(p)) is not None]
    return ParallelInfo(
        metric=run.objective.name,
        direction=run.objective.direction,
        axes=(*axes, UnitAxis(run.objective.name, tuple(ticks))),
        lines=tuple(lines),
        ended=len(found),
        clipped=sum(not limits.holds(point.value) for point in drawn),
        spread=any(parameter.scale == "category" for parameter in parameters),
    )


def caption(info: ParallelInfo) -> str:
    """What is drawn, with n."""
    done = sum(line.state == "done" for line in info.lines)
    pruned = len(info.lines) - done
    good = sum(line.good for line in info.lines)
    better = "lower" if info.direction == "min" else "higher"
    text = (
        f"Each line is a trial, {done} done"
        + (f" and {pruned} pruned (thin, dashed, with their best epoch)" if pruned else "")
        + f". Every parameter on its own scale; last {info.metric}, {better} is better."
    )
    if good:
        apart = pruned and not any(line.good and line.state == "pruned" for line in info.lines)
        text += f" Strong: the best {good}{' done ones' if apart else ''}."
    text += " Thick, with ring and star: the best." if any(r.best for r in info.lines) else ""
    if info.ended > len(info.lines):
        text += f" Of {plural(info.ended, 'trial')}, evenly by rank."
    if info.spread:
        text += " Lines of one category are spread."
    if info.clipped:
        text += f" Cut at the limit of the last axis: {plural(info.clipped, 'trial')}."
    return text


def table(info: ParallelInfo) -> Table:
    """One row per line: positions from 0 to 1 on every axis."""
    names = tuple(f"position.{axis.name}" for axis in info.axes[:-1])
    rows = [
        (line.trial, line.state, line.value, line.good,
         *(None if math.isnan(v) else v for v in line.places[:-1]))
        for line in info.lines
    ]  # fmt: skip
    return Table(("trial", "state", info.metric, "best_tenth", *names), tuple(rows))


def draw_parallel(info: ParallelInfo) -> str:
    """Quiet lines first, then the best tenth, then the best."""
    width = max(_NARROWEST, _LEFT + _RIGHT + _AXIS * (len(info.axes) - 1))
    with canvas(width, _HEIGHT, left=_LEFT, right=_RIGHT, bottom=46, top=14) as figure:
        axes = figure.axes
        axes.set_axis_off()
        axes.set_xlim(0, len(info.axes) - 1)
        axes.set_ylim(0, 1)
        for line in info.lines:
            _draw_line(figure, line)
        for at, axis in enumerate(info.axes):
            _draw_axis(figure, at, axis)
        best = next((line for line in info.lines if line.best), None)
        if best is not None:
            draw_best(axes, len(info.axes) - 1, best.places[-1])
        text = (
            f"Parallel coordinates of {plural(len(info.lines), 'trial')} over "
            f"{', '.join(axis.name for axis in info.axes)}"
        )
        return figure.svg("parallel", text)


def two_lines(name: str, most: int = 17) -> str:
    r"""A long name on two lines, parted after the dot or underscore nearest to its middle.

    >>> two_lines("regularization.user"), two_lines("damping.user")
    ('regularization.\nuser', 'damping.user')
    """
    cuts = [at + 1 for at, letter in enumerate(name[:-1]) if letter in "._- "]
    if len(name) <= most or not cuts:
        return shorten(name, most)
    cut = min(cuts, key=lambda at: abs(at - len(name) / 2))
    return f"{shorten(name[:cut], most)}\n{shorten(name[cut:], most)}"


def _place(parameter: Parameter, params: dict[str, object], trial: int) -> float:
    at = place(parameter, params[parameter.name]) if parameter.name in params else None
    if at is None:
        return math.nan
    return at + jitter(trial) / len(parameter.choices) if parameter.scale == "category" else at


def _draw_line(figure: Canvas, line: Line) -> None:
    style: dict[str, Any] = {"color": MUTED, "linewidth": 0.6, "alpha": 0.5}
    if line.state == "pruned":
        style = {"color": MUTED, "linewidth": 0.5, "alpha": 0.4, "linestyle": (0, (3, 2))}
    if line.good:
        style = {"color": DONE, "linewidth": 1.7, "alpha": 0.9}
    if line.best:
        style = {"color": BEST, "linewidth": 2.6, "alpha": 1.0}
    figure.axes.plot(range(len(line.places)), line.places, clip_on=False,
                     solid_joinstyle="round", **style)  # fmt: skip


def _draw_axis(figure: Canvas, at: int, axis: UnitAxis) -> None:
    axes = figure.axes
    axes.plot([at, at], [0, 1], color=INK, linewidth=0.9, clip_on=False, zorder=4)
    axes.annotate(two_lines(axis.name), (at, 0), xytext=(0, -12), textcoords="offset points",
                  ha="center", va="top", color=INK, fontsize=9.5,
                  annotation_clip=False)  # fmt: skip
    for tick in axis.ticks:
        axes.plot([at - 0.02, at + 0.02], [tick.value] * 2, color=INK, linewidth=0.9, clip_on=False,
                  zorder=4)  # fmt: skip
        axes.annotate(
            shorten(tick.label, 10), (at, tick.value), xytext=(-5 if at == 0 else 5, 0),
            textcoords="offset points", ha="right" if at == 0 else "left", va="center", color=INK,
            fontsize=9, annotation_clip=False, zorder=7,
        )  # fmt: skip

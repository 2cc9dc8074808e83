"""Best objective so far, over trials and over the time the search was at work."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import metric, moment, plural
from analysis.plots.marks import draw_best, draw_clipped, draw_marks, point_words
from analysis.plots.ranges import (
    NEAR,
    ValueRange,
    beyond_text,
    good_range,
    linear_ticks,
    value_range,
)
from analysis.plots.svg import DONE, MUTED, SOFT, Canvas, canvas
from analysis.plots.units import time_unit
from analysis.random_search import RandomSearch
from analysis.values import (
    Point,
    Reference,
    active_seconds,
    all_rows,
    gain,
    points,
    references,
    sessions,
)
from recsearch.run import RunView


class ProgressInfo(NamedTuple):
    """Best so far.

    Attributes:
        steps: (position, best so far) where it improved; positions are trial numbers or seconds.
        end: last position of the axis.
        points: the trials' own values by trial number; empty over time.
        limits: y axis.
        random: what a random search would have found; None over time, and where it is not known.
    """

    metric: str
    direction: str
    steps: tuple[tuple[float, float], ...]
    end: float
    points: tuple[Point, ...]
    limits: ValueRange
    references: tuple[Reference, ...]
    random: RandomSearch | None = None


def progress_by_trial_info(run: RunView, random: RandomSearch | None = None) -> ProgressInfo | None:
    """Best so far after each trial, in the order of suggestion; None below two.

    ``random`` is what a random search would have found.
    """
    found = points(run)
    seen = [(float(p.trial), p.value) for p in found]
    end = float(max((t.number for t in run.trials), default=1))
    info = _info(run, seen, end, found, NEAR)
    return None if info is None else info._replace(random=random)


def progress_by_time_info(run: RunView) -> ProgressInfo | None:
    """Best so far over seconds at work; None below two epochs with times."""
    spans = sessions(run)
    name = run.objective.name
    seen = []
    for row in all_rows(run):
        at = moment(row.time)
        value = row.value(name)
        if at is not None and spans and math.isfinite(value):
            seen.append((active_seconds(spans, at), value))
    return _info(run, sorted(seen), active_seconds(spans), (), 3.0)


def by_trial_caption(info: ProgressInfo) -> str:
    """What is drawn, with n."""
    text = (
        f"Best {info.metric} so far (line) and each trial's best epoch (marks) in the order of "
        f"suggestion; {plural(len(info.points), 'trial')}, {_improvements(info)}."
    )
    if any(point.state == "pruned" for point in info.points):
        text += " Hollow: pruned."
    if info.limits.clipped:
        text += f" {plural(info.limits.clipped, 'trial')} beyond the axis (arrowheads)."
    return text + _random_words(info.random) + beyond_text(info.references, info.limits)


def by_time_caption(info: ProgressInfo) -> str:
    """What is drawn."""
    return (
        f"Best {info.metric} so far over the time the search was at work, pauses left out; "
        f"it ended at {metric(info.steps[-1][1])}." + beyond_text(info.references, info.limits)
    )


def by_trial_table(info: ProgressInfo) -> Table:
    """One row per trial: its own value, the best so far, and a random search of as many trials."""
    values = {point.trial: point for point in info.points}
    steps, random = dict(info.steps), info.random
    curves = zip(random.mean, random.low, random.high, strict=True) if random else ()
    best, rows = None, []
    for trial, expected in zip_longest(range(1, round(info.end) + 1), curves, fillvalue=None):
        best, point = steps.get(float(trial or 0), best), values.get(trial or 0)
        own = (point.state, point.value) if point else (None, None)
        rows.append((trial, *own, best, *(expected or (None,) * 3)))
    columns = ("trial", "state", info.metric, "best_so_far", "random_mean", "random_q10",
               "random_q90")  # fmt: skip
    return Table(columns, tuple(rows))


def by_time_table(info: ProgressInfo) -> Table:
    """One row per improvement."""
    return Table(("seconds_at_work", "best_so_far"), info.steps)


def draw_progress_by_trial(info: ProgressInfo) -> str:
    """Steps over trial numbers with the trials behind them."""
    with canvas(420, 260) as figure:
        low, high = 0.0, info.end + max(1.0, 0.03 * info.end)
        _frame(figure, info, low, high)
        figure.x_ticks([t for t in linear_ticks(1, high, 8, whole=True) if t.value >= 1])
        figure.axes.set_xlabel("trial")
        _random(figure, info.random)
        inside = [p for p in info.points if info.limits.holds(p.value)]
        words = [point_words(point, info.metric) for point in inside]
        draw_marks(figure.axes, [p.trial for p in inside], [p.value for p in inside],
                   [p.state for p in inside], words)  # fmt: skip
        beyond = [p for p in info.points if not info.limits.holds(p.value)]
        if beyond:
            edge = info.limits.high if info.direction == "min" else info.limits.low
            draw_clipped(figure.axes, [float(p.trial) for p in beyond], edge, info.direction,
                         [point_words(point, info.metric) for point in beyond])  # fmt: skip
        _steps(figure, info, 1.0)
        return figure.svg("progress-trial", by_trial_caption(info))


def draw_progress_by_time(info: ProgressInfo) -> str:
    """Steps over time at work."""
    with canvas(420, 260) as figure:
        unit, seconds = time_unit(info.end)
        high = max(info.end / seconds, 1e-9)
        _frame(figure, info, 0.0, high * 1.03)
        figure.x_ticks(linear_ticks(0, high, 7))
        figure.axes.set_xlabel(f"{unit} at work")
        _steps(figure, info, seconds)
        return figure.svg("progress-time", by_time_caption(info))


def _info(
    run: RunView,
    seen: list[tuple[float, float]],
    end: float,
    found: tuple[Point, ...],
    near: float,
) -> ProgressInfo | None:
    steps: list[tuple[float, float]] = []
    for at, value in seen:
        if not steps or gain(run, value, steps[-1][1]) > 0:
            steps.append((at, value))
    if len(seen) < 2:
        return None
    lines = references(run)
    shown = [p.value for p in found] or [value for _, value in steps]
    limits_of = good_range if found else value_range
    limits = limits_of(shown, run.objective.direction, lines, near)
    if limits is None:
        return None
    name, direction = run.objective.name, run.objective.direction
    return ProgressInfo(name, direction, tuple(steps), end, found, limits, lines)


def _improvements(info: ProgressInfo) -> str:
    return plural(len(info.steps) - 1, "improvement")


def _random_words(found: RandomSearch | None) -> str:
    if found is None:
        return ""
    source = (
        f"as its {found.trials} random trials imply" if found.measured
        else "estimated by a random forest fitted to the trials"
    )  # fmt: skip
    return f" Dashed, with a band from 10 to 90 %: the best of as many random trials, {source}."


def _random(figure: Canvas, found: RandomSearch | None) -> None:
    if found is None:
        return
    trials = range(1, len(found.mean) + 1)
    figure.axes.fill_between(trials, found.low, found.high, color=SOFT, alpha=0.35, linewidth=0)
    figure.axes.plot(trials, found.mean, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))


def _frame(figure: Canvas, info: ProgressInfo, low: float, high: float) -> None:
    figure.axes.set_xlim(low, high)
    figure.axes.set_ylim(info.limits.low, info.limits.high)
    figure.y_ticks(linear_ticks(info.limits.low, info.limits.high))
    figure.axes.set_ylabel(info.metric)
    figure.reference_lines(info.references, info.limits)


def _steps(figure: Canvas, info: ProgressInfo, unit: float) -> None:
    xs = [at / unit for at, _ in info.steps] + [max(info.end, info.steps[-1][0]) / unit]
    ys = [value for _, value in info.steps] + [info.steps[-1][1]]
    figure.axes.step(xs, ys, where="post", color=DONE, linewidth=1.6, zorder=4)
    draw_best(figure.axes, xs[-2], ys[-1])

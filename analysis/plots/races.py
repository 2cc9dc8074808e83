"""Best objective so far of several runs over their trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from analysis.figures import Table
from analysis.formatting import metric, plural
from analysis.naming import labels
from analysis.plots.curves import spread
from analysis.plots.ranges import ValueRange, linear_ticks, value_range
from analysis.plots.svg import BASELINE, BEST, CHANCE, DONE, INK, MUTED, canvas, shorten
from analysis.values import gain, points
from recsearch.run import RunView

_STYLES: tuple[dict[str, Any], ...] = tuple(
    {"color": colour, "linestyle": dash}
    for dash in ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
    for colour in (DONE, BEST, BASELINE, CHANCE)
)
"""Told apart by dashes and labels where colours do not suffice."""


class Race(NamedTuple):
    """One run; ``steps`` are (trial, best so far) where it improved, ``end`` its last trial."""

    run: str
    label: str
    steps: tuple[tuple[int, float], ...]
    end: int


class RacesInfo(NamedTuple):
    """Runs in the order given, on one axis; ``beyond`` are labels of those that end beyond it."""

    metric: str
    direction: str
    races: tuple[Race, ...]
    limits: ValueRange
    beyond: tuple[str, ...]


def races_info(runs: Sequence[RunView]) -> RacesInfo | None:
    """Runs that share their objective and have a value; None where none has two trials."""
    names = labels([run.path.name for run in runs])
    races = [race for run, name in zip(runs, names, strict=True) if (race := _race(run, name))]
    if not any(race.end > 1 for race in races):
        return None
    direction = runs[0].objective.direction
    ends = {race.label: race.steps[-1][1] for race in races}
    steps = value_range([value for race in races for _, value in race.steps], direction)
    last = value_range(list(ends.values()), direction)
    if steps is None or last is None:
        return None
    limits = _limits(steps, last, direction, few=len(races) < 3)
    beyond = tuple(label for label, value in ends.items() if not limits.holds(value))
    return RacesInfo(runs[0].objective.name, direction, tuple(races), limits, beyond)


def caption(info: RacesInfo) -> str:
    """What is drawn, with n."""
    better = "lower" if info.direction == "min" else "higher"
    trials = sum(race.end for race in info.races)
    text = (
        f"Best {info.metric} so far over trials in the order of suggestion ({better} is better): "
        f"{plural(len(info.races), 'run')}, {plural(trials, 'trial')}."
    )
    ends = [f"{r.label} ({metric(r.steps[-1][1])})" for r in info.races if r.label in info.beyond]
    return text + (f" Ends beyond the axis: {', '.join(ends)}." if ends else "")


def table(info: RacesInfo) -> Table:
    """Every improvement."""
    rows = [(race.run, trial, value) for race in info.races for trial, value in race.steps]
    return Table(("run", "trial", f"best {info.metric} so far"), tuple(rows))


def draw_races(info: RacesInfo, name: str) -> str:
    """One line of steps per run, labelled where it ends."""
    end = max(race.end for race in info.races)
    height = max(260, 60 + 22 * len(info.races))
    with canvas(420, height, left=52, right=112) as figure:
        axes = figure.axes
        low, high = info.limits.low, info.limits.high
        axes.set_xlim(1 - 0.02 * end, end * 1.01)
        axes.set_ylim(low, high)
        figure.x_ticks(linear_ticks(1, end, 8, whole=True))
        figure.y_ticks(linear_ticks(low, high))
        axes.set_xlabel("trial")
        axes.set_ylabel(info.metric)
        ends = [race.steps[-1][1] for race in info.races]
        gap = 14 / (height - 50) * (high - low)
        places = spread(ends, gap, low, high)
        for at, (race, place) in enumerate(zip(info.races, places, strict=True)):
            xs = [trial for trial, _ in race.steps] + [race.end]
            ys = [value for _, value in race.steps] + [race.steps[-1][1]]
            style = _STYLES[at % len(_STYLES)]
            axes.step(xs, ys, where="post", linewidth=1.6, **style)
            inside = min(max(ys[-1], low), high)
            mark = "o" if race.label not in info.beyond else "v" if inside == low else "^"
            axes.plot(xs[-1:], [inside], marker=mark, markersize=4, color=style["color"],
                      clip_on=False)  # fmt: skip
            axes.annotate(
                shorten(race.label, 17), (race.end, inside), xytext=(1.03, place),
                textcoords=("axes fraction", "data"), va="center", color=INK, fontsize=9,
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.4, "shrinkB": 3},
            )  # fmt: skip
        return figure.svg(name, caption(info))


def _limits(steps: ValueRange, last: ValueRange, direction: str, *, few: bool) -> ValueRange:
    """Of many runs their ends and what leads up to them; where all began would squeeze these."""
    room = 0.0 if few else 0.75 * (last.high - last.low)
    low, high = min(steps.low, last.low), max(steps.high, last.high)
    if room and direction == "max":
        low = max(low, last.low - room)
    elif room:
        high = min(high, last.high + room)
    return ValueRange(low, high, 0)


def _race(run: RunView, label: str) -> Race | None:
    steps: list[tuple[int, float]] = []
    for point in points(run):
        if not steps or gain(run, point.value, steps[-1][1]) > 0:
            steps.append((point.trial, point.value))
    if not steps:
        return None
    return Race(run.path.name, label, tuple(steps), max(trial.number for trial in run.trials))

"""The share of trials that reach a value: of all, of those drawn at random, of those chosen."""

from __future__ import annotations

from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import plural
from analysis.plots.ranges import NEAR, ValueRange, good_range, linear_ticks
from analysis.plots.svg import BASELINE, CHANCE, DONE, MUTED, SOFT, Canvas, canvas
from analysis.values import Point, Reference, references, searched_points
from recsearch.run import RunView

FEWEST = 5
"""Trials that a line needs."""
_LINES = {
    "chosen": (DONE, (0, ()), 1.8),
    "random": (MUTED, (0, (4, 2)), 1.3),
    "all": (SOFT, (0, ()), 1.3),
}


class Distribution(NamedTuple):
    """An empirical distribution: values best first; ``shares`` are of trials as good or better.

    ``pruned`` of them have their value from fewer epochs.
    """

    name: str
    label: str
    values: tuple[float, ...]
    shares: tuple[float, ...]
    pruned: int


class EdfInfo(NamedTuple):
    """Distributions of the trials' best objective.

    ``lines`` has ``all``, and where the searcher chose some and drew others, ``random`` and
    ``chosen``; a group of fewer than `FEWEST` is left out.
    """

    metric: str
    direction: str
    lines: tuple[Distribution, ...]
    limits: ValueRange
    references: tuple[Reference, ...]


def edf_info(run: RunView) -> EdfInfo | None:
    """Distributions over trials with a finite objective; None below `FEWEST`."""
    found = searched_points(run)
    origins = {trial.number: trial.origin for trial in run.trials}
    random = [p for p in found if origins[p.trial] == "random"]
    chosen = [p for p in found if origins[p.trial] not in ("random", "default")]
    groups = {"all": ("all trials", list(found))}
    if len(random) >= FEWEST and len(chosen) >= FEWEST:
        groups["random"] = ("drawn at random", random)
        groups["chosen"] = ("chosen by the searcher", chosen)
    lines = references(run)
    limits = good_range([p.value for p in found], run.objective.direction, lines, NEAR)
    if limits is None or len(found) < FEWEST:
        return None
    return EdfInfo(
        metric=run.objective.name,
        direction=run.objective.direction,
        lines=tuple(
            _distribution(name, *group, run.objective.direction) for name, group in groups.items()
        ),
        limits=limits,
        references=lines,
    )


def caption(info: EdfInfo) -> str:
    """What is drawn, with n."""
    counts = "; ".join(f"{line.label}: {len(line.values)}" for line in info.lines)
    side = "low" if info.direction == "min" else "high"
    text = (
        f"Share of trials whose best {info.metric} is at least as good as the value below it "
        f"({side} is good). {counts[0].upper()}{counts[1:]}."
    )
    if len(info.lines) > 1:
        text += (
            " Solid: chosen by the searcher; dashed: drawn at random at the start; pale: all. "
            "Where the solid line lies above the dashed one, more of the chosen trials are as good."
        )
    pruned = [f"{line.pruned} of those {line.label}" for line in info.lines[1:]]
    if any(line.pruned for line in info.lines[1:]):
        text += (
            f" Pruned, with a value from fewer epochs: {', '.join(pruned)}; how far the lines are "
            "apart is in part due to that."
        )
    elif info.lines[0].pruned:
        text += f" {plural(info.lines[0].pruned, 'trial')} pruned, with a value from fewer epochs."
    if info.limits.clipped:
        text += f" {plural(info.limits.clipped, 'trial')} beyond the axis."
    return text


def table(info: EdfInfo) -> Table:
    """One row per step of each line."""
    rows = tuple(
        (line.name, value, share)
        for line in info.lines
        for value, share in zip(line.values, line.shares, strict=True)
    )
    return Table(("trials", info.metric, "share"), rows)


def draw_edf(info: EdfInfo) -> str:
    """A staircase per group, the good side on the left or right as the objective has it."""
    with canvas(420, 260) as figure:
        axes = figure.axes
        low, high = info.limits.low, info.limits.high
        axes.set_xlim(low, high)
        axes.set_ylim(0, 1.02)
        figure.x_ticks(linear_ticks(low, high, 6))
        figure.y_ticks(linear_ticks(0, 1))
        axes.set_xlabel(info.metric)
        axes.set_ylabel("share of trials")
        _references(figure, info)
        bad = high if info.direction == "min" else low
        for line in info.lines:
            colour, style, width = _LINES[line.name] if len(info.lines) > 1 else _LINES["chosen"]
            axes.step([*line.values, bad], [*line.shares, 1.0], where="post", color=colour,
                      linestyle=style, linewidth=width)  # fmt: skip
        return figure.svg("edf", caption(info))


def _distribution(name: str, label: str, found: list[Point], direction: str) -> Distribution:
    ordered = sorted((point.value for point in found), reverse=direction == "max")
    shares = tuple((at + 1) / len(ordered) for at in range(len(ordered)))
    pruned = sum(point.state == "pruned" for point in found)
    return Distribution(name, label, tuple(ordered), shares, pruned)


def _references(figure: Canvas, info: EdfInfo) -> None:
    for reference in info.references:
        if info.limits.holds(reference.value):
            chance = reference.name == "chance"
            figure.axes.axvline(
                reference.value, color=CHANCE if chance else BASELINE, linewidth=1.1,
                linestyle=(0, (1, 2)) if chance else (0, (5, 3)),
            )  # fmt: skip
            figure.axes.annotate(
                reference.label, (reference.value, 0.03), xycoords=("data", "axes fraction"),
                xytext=(3, 0), textcoords="offset points", fontsize=9, rotation=90,
                color=CHANCE if chance else BASELINE,
            )  # fmt: skip

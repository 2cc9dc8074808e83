"""Where in the search space the good trials lie, and what that says about the next search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.formatting import number, plural, value_text
from analysis.parameters import (
    EDGE,
    Parameter,
    parameters_info,
    relative_position,
    value_at,
)
from analysis.values import Point, points
from recsearch.identity import canonical_json
from recsearch.run import RunView

FEWEST = 20
"""Trials that must have ended before anything is said about the best tenth."""
FEWEST_BEST = 5
NARROW = 1 / 3
"""Share of a range, on its own scale, up to which the best trials lie close together."""
FEWEST_ELSEWHERE = 10
"""Trials outside a narrow region that make it more than a habit of the searcher."""


class Choice(NamedTuple):
    """One value of a category: trials that took it, how many of the best did, and if selected."""

    value: Any
    trials: int
    best: int
    selected: bool

    @property
    def text(self) -> str:
        """The value as printed."""
        return value_text(self.value)


class Region(NamedTuple):
    """Where the best trials lie on one parameter.

    Attributes:
        trials: judged trials in which the parameter takes part.
        best: how many of the best trials these include; 0 below `FEWEST` judged trials.
        low, high: least and greatest value among the best; None for categories and without best.
        span: their positions in the range, 0 to 1 on its own scale.
        middle: positions of the quartiles of the best.
        elsewhere: judged trials with a value outside ``low`` to ``high``.
        choices: of a category, in the order of the search file; empty otherwise.
    """

    parameter: Parameter
    trials: int
    best: int
    low: float | None
    high: float | None
    span: tuple[float, float] | None
    middle: tuple[float, float] | None
    elsewhere: int
    choices: tuple[Choice, ...]


def judged(run: RunView) -> tuple[Point, ...]:
    """Trials that the search ran to their end or pruned, and that have a finite objective.

    A pruned one counts with its best epoch: it was pruned for being behind others at the same
    epoch, so that it belongs to the worse ones whatever more epochs would have given.
    """
    return tuple(point for point in points(run) if point.state in ("done", "pruned"))


def best_tenth(run: RunView) -> tuple[Point, ...]:
    """The best tenth of the judged trials, at least five, best first; none below `FEWEST`."""
    found = judged(run)
    if len(found) < FEWEST:
        return ()
    sign = -1.0 if run.objective.direction == "max" else 1.0
    ranked = sorted(found, key=lambda point: (sign * point.value, point.epoch, point.trial))
    return tuple(ranked[: max(FEWEST_BEST, math.ceil(len(ranked) / 10))])


def evenly(found: Sequence[Point], direction: str, most: int) -> tuple[Point, ...]:
    """At most ``most`` of the trials, evenly by rank of the objective, the best among them."""
    if len(found) <= most:
        return tuple(found)
    sign = -1.0 if direction == "max" else 1.0
    order = np.argsort([sign * point.value for point in found], kind="stable")
    kept = order[np.linspace(0, len(found) - 1, most).round().astype(int)]
    return tuple(found[at] for at in sorted(kept.tolist()))


def place(parameter: Parameter, value: Any) -> float | None:
    """Where ``value`` lies, 0 to 1: on the range's own scale, or the middle of its category.

    None where it has no place: not a number, no choice of the file, or outside the range.
    """
    if parameter.scale == "category":
        keys = [canonical_json(choice) for choice in parameter.choices]
        key = canonical_json(value)
        return (keys.index(key) + 0.5) / len(keys) if key in keys else None
    if parameter.low is None or parameter.high is None:
        return None
    found = relative_position(value, parameter.low, parameter.high, parameter.scale)
    return found if found is not None and -1e-9 <= found <= 1 + 1e-9 else None


def regions_info(run: RunView) -> tuple[Region, ...]:
    """One region per parameter, in the order of the search file."""
    values = {trial.number: trial.params for trial in run.trials}
    ended = [values[point.trial] for point in judged(run)]
    best = [values[point.trial] for point in best_tenth(run)]
    return tuple(_region(parameter, ended, best) for parameter in parameters_info(run))


def advice(region: Region, matters: bool | None = None) -> str:
    """What the trials say about one parameter, and what to search next.

    "" below `FEWEST` trials; where fewer than `FEWEST_BEST` of the best take part, the edge alone.

    Args:
        region: where its best trials lie.
        matters: whether it takes the average share of the importance or more by one method; None
            where that is not known, or trials are independent. A searcher that learns crowds its
            trials around its best, on parameters that do not matter too: a narrow region of such
            a one is no reason to cut its range.
    """
    edge = _edge_advice(region, matters) if region.trials >= FEWEST else ""
    if region.best < FEWEST_BEST:
        return edge
    if region.parameter.scale == "category":
        return _category_advice(region, matters)
    return " ".join(filter(None, (_range_advice(region, matters), edge)))


def _region(
    parameter: Parameter, ended: list[dict[str, Any]], best: list[dict[str, Any]]
) -> Region:
    name = parameter.name
    tried = [params[name] for params in ended if name in params]
    good = [params[name] for params in best if name in params]
    empty = Region(parameter, len(tried), len(good), None, None, None, None, 0, ())
    if parameter.scale == "category":
        return empty._replace(choices=_choices(parameter, tried, good))
    placed = sorted((at, float(v)) for v in good if (at := place(parameter, v)) is not None)
    if not placed:
        return empty._replace(best=0)
    places = [at for at, _ in placed]
    low, high = placed[0][1], placed[-1][1]
    first, third = (float(v) for v in np.percentile(places, [25, 75]))
    return empty._replace(
        best=len(placed),
        low=low,
        high=high,
        span=(places[0], places[-1]),
        middle=(first, third),
        elsewhere=sum(not low <= v <= high for v in tried if place(parameter, v) is not None),
    )


def _choices(parameter: Parameter, tried: list[Any], good: list[Any]) -> tuple[Choice, ...]:
    all_keys = [canonical_json(value) for value in tried]
    good_keys = [canonical_json(value) for value in good]
    selected = canonical_json(parameter.selected) if parameter.has_selected else None
    named = {canonical_json(value): value for value in [*parameter.choices, *tried]}
    return tuple(
        Choice(value, all_keys.count(key), good_keys.count(key), key == selected)
        for key, value in named.items()
    )


def _category_advice(region: Region, matters: bool | None) -> str:
    top = max(region.choices, key=lambda choice: choice.best)
    others = region.trials - top.trials
    if top.best < region.best:
        shares = ", ".join(f"{c.best} {c.text}" for c in region.choices if c.best)
        return f"the best {region.best} trials are {shares}; keep these."
    text = f"all of the best {region.best} trials have {top.text}"
    return f"{text}{_verdict(others, 'with another value', 'Fix it.', matters)}"


def _range_advice(region: Region, matters: bool | None) -> str:
    if region.span is None:
        return ""
    low, high = number(region.low, 3), number(region.high, 3)
    where = f"at {low}" if region.low == region.high else f"in {low} to {high}"
    text = f"the best {region.best} trials lie {where}"
    width = region.span[1] - region.span[0]
    if width > 1 - NARROW:
        return f"{text}, most of its range; no part of it can go."
    if width > NARROW:
        return f"{text}, too wide to cut much of its range."
    cut = _cut(region.parameter, *region.span)
    return text + _verdict(region.elsewhere, "elsewhere", cut, matters)


def _cut(row: Parameter, start: float, end: float) -> str:
    """What can go: all but the range of the best trials and half as much on either side."""
    if row.low is None or row.high is None:
        return ""
    margin = max(0.05, (end - start) / 2)
    found = [
        value_at(min(max(at, 0.0), 1.0), row.low, row.high, row.scale)
        for at in (start - margin, end + margin)
    ]
    if row.scale == "log2":
        found = [2.0 ** round(math.log2(value)) for value in found]
    elif row.kind == "int":
        found = [float(round(value)) for value in found]
    digits = 4 if row.kind == "int" else 2
    low, high = (number(value, digits) for value in found)
    if start - margin <= 0:
        return f"What lies above {high} can go."
    if end + margin >= 1:
        return f"What lies below {low} can go."
    return f"Its range can be cut to {low} to {high}."


def _verdict(others: int, where: str, consequence: str, matters: bool | None) -> str:
    """How a crowd of the best trials is to be taken, given how many ``others`` there are."""
    if others < FEWEST_ELSEWHERE:
        return f", but only {plural(others, 'trial')} lie {where}."
    text = f"; of the {plural(others, 'trial')} {where} none is among them."
    if matters is False:
        return (
            f"{text} It matters less than the average by both methods, so the searcher may just "
            "have stayed there."
        )
    return f"{text} {consequence}"


def _edge_advice(region: Region, matters: bool | None) -> str:
    """What to do where the selected value, or a crowd of the best, is at the edge."""
    row, span = region.parameter, region.span
    narrow = matters is not False and span is not None and span[1] - span[0] <= NARROW
    upper = row.edge == "upper" or (narrow and span is not None and span[1] >= 1 - EDGE)
    lower = row.edge == "lower" or (narrow and span is not None and span[0] <= EDGE)
    if not upper and not lower:
        return ""
    who = "The selected value is" if row.edge else "The best are"
    side, beyond = ("upper", "beyond") if upper else ("lower", "below")
    bound = number(row.high if upper else row.low, 3)
    if not upper and row.kind == "int" and row.low in (0, 1):
        return f"{who} at the least it can be, {bound}."
    if matters is False:
        return f"{who} at its {side} edge, {bound}, which matters little."
    return f"{who} at its {side} edge: widen it {beyond} {bound}."

"""Where in the search space the good trials lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.formatting import value_text
from analysis.parameters import EDGE, Parameter, parameters_info, relative_position
from analysis.values import Point, searched_points
from recsearch.identity import canonical_json
from recsearch.run import RunView

FEWEST = 20
"""Trials below which nothing is said about the best tenth, and done ones that stand alone."""
FEWEST_BEST = 5


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
        inside, elsewhere: judged trials with a value in ``low`` to ``high``, and outside.
        edges: how many of the best lie at the lower and at the upper edge.
        choices: of a category, in the order of the search file; empty otherwise.
    """

    parameter: Parameter
    trials: int
    best: int
    low: float | None
    high: float | None
    span: tuple[float, float] | None
    middle: tuple[float, float] | None
    inside: int
    elsewhere: int
    edges: tuple[int, int]
    choices: tuple[Choice, ...]


def ended(run: RunView) -> tuple[Point, ...]:
    """Trials that the search ran to their end or pruned, and that have a finite objective."""
    return tuple(point for point in searched_points(run) if point.state in ("done", "pruned"))


def judged(run: RunView) -> tuple[Point, ...]:
    """Trials whose values are compared: the done ones, and below `FEWEST` the pruned ones too.

    The value of a pruned trial is from fewer epochs, and worse for that: one that is nearly as good
    as the best at the same epoch looks bad beside trials that ran on.
    """
    found = ended(run)
    done = tuple(point for point in found if point.state == "done")
    return done if len(done) >= FEWEST else found


def pruned_among(pruned: int) -> str:
    """What is to be known of ``pruned`` trials that are compared with done ones."""
    words = "was pruned and has its" if pruned == 1 else "were pruned and have their"
    return (
        f"of which {pruned} {words} value from fewer epochs (done ones alone are too few): what "
        "they show is in part what pruning did"
    )


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
    tried = [values[point.trial] for point in judged(run)]
    best = [values[point.trial] for point in best_tenth(run)]
    return tuple(_region(parameter, tried, best) for parameter in parameters_info(run))


def _region(
    parameter: Parameter, trials: list[dict[str, Any]], best: list[dict[str, Any]]
) -> Region:
    name = parameter.name
    tried = [params[name] for params in trials if name in params]
    good = [params[name] for params in best if name in params]
    empty = Region(parameter, len(tried), len(good), None, None, None, None, 0, 0, (0, 0), ())
    if parameter.scale == "category":
        return empty._replace(choices=_choices(parameter, tried, good))
    placed = sorted((at, float(v)) for v in good if (at := place(parameter, v)) is not None)
    if not placed:
        return empty._replace(best=0)
    places = [at for at, _ in placed]
    low, high = placed[0][1], placed[-1][1]
    known = [v for v in tried if place(parameter, v) is not None]
    inside = sum(low <= v <= high for v in known)
    first, third = (float(v) for v in np.percentile(places, [25, 75]))
    return empty._replace(
        best=len(placed),
        low=low,
        high=high,
        span=(places[0], places[-1]),
        middle=(first, third),
        inside=inside,
        elsewhere=len(known) - inside,
        edges=(sum(at <= EDGE for at in places), sum(at >= 1 - EDGE for at in places)),
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

"""How much each parameter matters, by two methods of Optuna side by side, with intervals.

PED-ANOVA (Watanabe et al., IJCAI 2023) asks what sets the best trials apart; fANOVA (Hutter et al.,
ICML 2014) how much of the variance over the whole space goes to each parameter alone. They answer
different questions, and may disagree. Both are Optuna's, on the finished trials of a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.evaluators import Codes, Evaluation
from analysis.formatting import plural
from analysis.parameters import Parameter, parameters_info
from analysis.regions import evenly, place
from analysis.values import Point, searched_points
from recsearch.identity import canonical_json
from recsearch.run import RunView

FEWEST = 20
"""Finished trials below which no importance is shown."""
RESAMPLES = 40
TREES, RESAMPLED_TREES = 32, 3
MOST_TRIALS = 200
"""Trials that are used of more, evenly by rank, so that the time it takes is bounded."""
TOP, FEWEST_TOP = 0.1, 5
"""Share of the trials that PED-ANOVA sets apart, and the number that Optuna asks for at least."""
MOSTLY = 0.8
"""Share of the trials from which on a parameter under no condition counts as always there."""
INTERVAL = (5.0, 95.0)
_SEED = 0


class Estimate(NamedTuple):
    """Share of the importance of all parameters, 0 to 1.

    Attributes:
        share: from all used trials.
        low, high: the `INTERVAL` percentiles over resamples, widened to hold ``share``.
        first: share of the resamples in which the parameter comes first.
    """

    share: float
    low: float
    high: float
    first: float


class Importance(NamedTuple):
    """One parameter by both methods."""

    name: str
    ped: Estimate
    fanova: Estimate

    @property
    def mean(self) -> float:
        """Mean of both shares."""
        return (self.ped.share + self.fanova.share) / 2


class ImportanceInfo(NamedTuple):
    """Importance of the parameters of a run.

    Attributes:
        ranked: by the mean of both methods, most important first; empty where ``reason`` is not.
        n: finished trials that are used, of ``finished``.
        top: the best trials, which PED-ANOVA sets apart.
        resamples: bootstrap resamples behind the intervals.
        left_out: parameters that take part in some of the trials only, and in how many.
        reason: why nothing is shown, in words; "" otherwise.
    """

    metric: str
    ranked: tuple[Importance, ...]
    n: int
    finished: int
    top: int
    resamples: int
    left_out: tuple[tuple[str, int], ...]
    reason: str


def importance_info(run: RunView) -> ImportanceInfo:
    """Rank the parameters that take part in every finished trial.

    Finished means run to its end: what a pruned trial would have reached is not known. Trials with
    a value outside the search space are not used, nor are the few without one for a parameter that
    is under no condition, as a default configuration may be. Objectives to maximise are negated, so
    that both methods minimise. Intervals come from resampling trials with replacement, by a fixed
    seed.
    """
    finished = [point for point in searched_points(run) if point.state == "done"]
    values = {trial.number: trial.params for trial in run.trials}
    parameters = [p for p in parameters_info(run) if _varies(p)]
    taking = {p.name: sum(p.name in values[point.trial] for point in finished) for p in parameters}
    always = [p for p in parameters if finished and _always(p, taking[p.name], len(finished))]
    left_out = tuple((p.name, taking[p.name]) for p in parameters if p not in always)
    sign = -1.0 if run.objective.direction == "max" else 1.0
    used = evenly(finished, run.objective.direction, MOST_TRIALS)
    data = _data(always, used, values, sign)
    empty = ImportanceInfo(
        run.objective.name, (), len(data.costs), len(finished), 0, 0, left_out, ""
    )
    reason = _reason(run.objective.name, data)
    if reason:
        return empty._replace(reason=reason)
    top = max(FEWEST_TOP, math.ceil(TOP * len(data.costs)))
    ranked, resamples = _rank(data, top)
    if not ranked:
        return empty._replace(reason=f"The best {top} trials cannot be told from the others.")
    return empty._replace(ranked=ranked, top=top, resamples=resamples)


def _varies(parameter: Parameter) -> bool:
    if parameter.scale == "category":
        return len(parameter.choices) > 1
    return parameter.low is not None and parameter.high is not None and (
        parameter.high > parameter.low)  # fmt: skip


def _always(parameter: Parameter, taking: int, finished: int) -> bool:
    return taking == finished or (not parameter.condition and taking >= MOSTLY * finished)


def _data(
    parameters: Sequence[Parameter],
    finished: Sequence[Point],
    values: dict[int, dict[str, Any]],
    sign: float,
) -> Codes:
    rows, costs = [], []
    for point in finished:
        params = values[point.trial]
        row = [_code(p, params[p.name]) if p.name in params else None for p in parameters]
        if None not in row:
            rows.append(row)
            costs.append(sign * point.value)
    codes = np.array(rows, dtype=np.float64).reshape(len(costs), len(parameters))
    return Codes(tuple(parameters), codes, np.array(costs, dtype=np.float64))


def _code(parameter: Parameter, value: Any) -> float | None:
    """Position on the parameter's own scale, or number of the choice.

    Optuna's fANOVA weighs a logarithmic range by its values, not by their logarithms: nearly all
    of 1e-12 to 100 would be its last decade. Positions give both methods the measure of the search.
    """
    at = place(parameter, value)
    if at is None or parameter.scale != "category":
        return None if at is None else min(max(at, 0.0), 1.0)
    return float([canonical_json(c) for c in parameter.choices].index(canonical_json(value)))


def _reason(metric: str, data: Codes) -> str:
    n = len(data.costs)
    if not data.parameters:
        return "No parameter takes part in every finished trial." if n else _too_few(n)
    if n < FEWEST:
        return _too_few(n)
    if len(data.parameters) == 1:
        return f"There is one parameter to rank, {data.parameters[0].name}."
    if np.ptp(data.costs) <= 1e-12 * max(1.0, float(np.abs(data.costs).max())):
        return f"All {n} finished trials have the same {metric}: nothing can be told."
    if not np.any(np.ptp(data.codes, axis=0) > 0):
        return "No parameter varies among the finished trials."
    return ""


def _too_few(n: int) -> str:
    return (
        f"Which parameter matters cannot be told yet: {plural(n, 'trial')} finished, and it "
        f"takes {FEWEST}."
    )


def _rank(data: Codes, top: int) -> tuple[tuple[Importance, ...], int]:
    names = [parameter.name for parameter in data.parameters]
    n = len(data.costs)
    with Evaluation(data, top) as evaluation:
        whole = evaluation.shares(np.arange(n), TREES, _SEED)
        if whole is None:
            return (), 0
        rng = np.random.default_rng(_SEED)
        drawn = [rng.integers(0, n, n) for _ in range(RESAMPLES)]
        found = [
            evaluation.shares(rows, RESAMPLED_TREES, seed) for seed, rows in enumerate(drawn, 1)
        ]
    shares = [pair for pair in found if pair is not None]
    by_method = [
        _estimates(whole[method], np.array([pair[method] for pair in shares] or [whole[method]]))
        for method in (0, 1)
    ]
    ranked = [Importance(*row) for row in zip(names, *by_method, strict=True)]
    return tuple(sorted(ranked, key=lambda row: (-row.mean, names.index(row.name)))), len(shares)


def _estimates(whole: np.ndarray, shares: np.ndarray) -> list[Estimate]:
    low, high = np.percentile(shares, INTERVAL, axis=0)
    first = np.bincount(shares.argmax(axis=1), minlength=len(whole)) / len(shares)
    return [
        Estimate(float(w), float(min(w, a)), float(max(w, b)), float(f))
        for w, a, b, f in zip(whole, low, high, first, strict=True)
    ]

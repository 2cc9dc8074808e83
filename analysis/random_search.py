"""What a random search of the same space would have found after n trials."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analysis.values import Point, dig, searched_points
from recsearch.run import RunView
from recsearch.space import DomainError, Space, space_from_tables

FEWEST = 20
"""Trials with a value below which nothing is estimated."""
DRAWN = 2048
"""Random configurations whose objective the forest predicts."""
TREES = 100
LOW, HIGH = 0.1, 0.9
_ABSENT = -1.0


class RandomSearch(NamedTuple):
    """The best of n random trials, n = 1, 2, …: mean, and 10 % and 90 % quantiles.

    ``measured`` says where the values are from: the random trials of the run itself, or a forest's
    predictions for configurations drawn anew.
    """

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    measured: bool
    trials: int


def random_search_info(run: RunView) -> RandomSearch | None:
    """Estimate a random search as long as the run; None below `FEWEST` trials, and for a grid.

    The values of a random search are draws from one distribution, so that what its best of n comes
    to follows from it (Dodge et al., Show Your Work, EMNLP 2019). Trials that a searcher chose are
    no such draws: there a random forest, fitted to all trials, predicts random configurations, as
    surrogate benchmarks do (Eggensperger et al., AAAI 2015).
    """
    found = searched_points(run)
    method = dig(run.identity, "search", "search", "method")
    if len(found) < FEWEST or method == "grid":
        return None
    origins = {trial.number: trial.origin for trial in run.trials}
    drawn = [point.value for point in found if origins[point.trial] == "random"]
    measured = method == "random" and len(drawn) >= FEWEST
    values = np.array(drawn) if measured else _predicted(run, found)
    if values is None:
        return None
    sign = -1.0 if run.objective.direction == "min" else 1.0
    mean, worse, better = best_of(sign * values, len(run.trials))
    low, high = (better, worse) if sign < 0 else (worse, better)
    return RandomSearch(
        _list(sign * mean), _list(sign * low), _list(sign * high), measured, len(values)
    )


def best_of(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest of n draws with replacement from ``values``, n = 1 … most.

    With F the distribution of the values, that of the largest of n is F^n.

    Args:
        values: (m,) measured values, larger is better.
        most: the largest n.

    Returns:
        (most,) mean, `LOW` quantile and `HIGH` quantile.
    """
    ordered = np.sort(values)
    n = np.arange(1, most + 1)[:, None]
    share = (np.arange(len(ordered) + 1) / len(ordered))[None, :] ** n
    mean = np.diff(share, axis=1) @ ordered
    low, high = (ordered[(share[:, 1:] < q).sum(axis=1).clip(max=len(ordered) - 1)]
                 for q in (LOW, HIGH))  # fmt: skip
    return mean, low, high


def _predicted(run: RunView, found: tuple[Point, ...]) -> np.ndarray | None:
    try:
        space = space_from_tables(dig(run.identity, "search", "space", default={}))
    except (DomainError, KeyError, TypeError):
        return None
    if not len(space):
        return None
    from sklearn.ensemble import RandomForestRegressor

    values = np.array([point.value for point in found])
    # Ranks, since a few hopeless trials would take all splits; and with the errors that the trees
    # make on trials they have not seen, lest the best of many be smoothed away.
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable") / (len(values) - 1)
    forest = RandomForestRegressor(n_estimators=TREES, random_state=0, oob_score=True)
    forest.fit([_row(space, run.trial(point.trial).params) for point in found], ranks)
    errors = ranks - forest.oob_prediction_
    rng = np.random.default_rng(0)
    drawn = [_row(space, space.sample(rng)) for _ in range(DRAWN)]
    predicted = (forest.predict(drawn) + rng.choice(errors, DRAWN)).clip(0, 1)
    return np.interp(predicted, np.arange(len(values)) / (len(values) - 1), np.sort(values))


def _row(space: Space, params: dict[str, object]) -> list[float]:
    return [
        domain.to_unit(params[name])
        if name in params and domain.contains(params[name])
        else _ABSENT
        for name, domain in space.items()
    ]


def _list(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.round(values, 12).tolist())

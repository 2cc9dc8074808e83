"""Several objectives at once: what dominates what, the front, and one value to minimise for all.

Everything here works on *losses*: one finite number per objective, the lower the better. One point
dominates another if it is no worse by any objective and better by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from recsearch.evaluation import Metric

Losses: TypeAlias = tuple[float, ...]
"""One point: a finite number per objective, the lower the better."""

BLOCK = 1 << 22
"""Comparisons that are held at a time."""


def losses(metrics: Mapping[str, float | None], objectives: Sequence[Metric]) -> Losses | None:
    """The point of an epoch with these metrics; None where an objective is absent or not finite."""
    found = []
    for objective in objectives:
        value = metrics.get(objective.name)
        if value is None or not math.isfinite(value):
            return None
        found.append(value if objective.direction == "min" else -value)
    return tuple(found)


def dominates(one: Losses, other: Losses) -> bool:
    """Whether ``one`` is no worse by any objective and better by at least one."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def front(points: Sequence[Losses]) -> list[int]:
    """Positions of the points that none dominates, in order; of equal ones the first."""
    kept: list[int] = []
    for position, point in enumerate(points):
        if any(points[k] == point or dominates(points[k], point) for k in kept):
            continue
        kept = [k for k in kept if not dominates(point, points[k])]
        kept.append(position)
    return kept


def layers(points: Sequence[Losses]) -> list[int]:
    """Number of the front of every point: 0 for those that none dominates, 1 for the next.

    Non-dominated sorting (Deb et al., IEEE Trans. Evol. Comp. 6(2), 2002). Equal points are in the
    same front.
    """
    array = np.array(points, dtype=np.float64)
    found = np.full(len(points), -1)
    left = np.arange(len(points))
    layer = 0
    while left.size:
        beaten = _beaten(array[left])
        found[left[~beaten]] = layer
        left, layer = left[beaten], layer + 1
    return [int(number) for number in found]


def trial_values(trials: Sequence[Sequence[Losses]]) -> list[float | None]:
    """One value per trial for a searcher to minimise, from the points of all trials' epochs.

    A trial is as good as its best point. Whole part: the number of that point's front among the
    points of all trials (`layers`); below 1: the mean, over the objectives, of the share of points
    that are better by it. A pure function of the trials that are given. MOTPE (Ozaki et al., GECCO
    2020), too, tells good trials from bad ones by their fronts first.

    Args:
        trials: for each trial the points of its epochs.

    Returns:
        None for a trial without a point.
    """
    own = [[points[k] for k in front(points)] for points in trials]
    pool = [point for points in own for point in points]
    if not pool:
        return [None] * len(trials)
    array = np.array(pool, dtype=np.float64)
    shares = np.stack([_share_better(column) for column in array.T])
    values = (np.array(layers(pool)) + shares.mean(axis=0)).tolist()
    ends = np.cumsum([len(points) for points in own]).tolist()
    return [
        min(values[end - len(points) : end], default=None)
        for points, end in zip(own, ends, strict=True)
    ]


def _share_better(column: np.ndarray) -> np.ndarray:
    """For every value, the part of all values that is below it: from 0 to less than 1."""
    return np.searchsorted(np.sort(column), column, side="left") / len(column)


def _beaten(array: np.ndarray) -> np.ndarray:
    """Which rows of ``(points, objectives)`` another row dominates."""
    beaten = np.zeros(len(array), dtype=bool)
    step = max(1, BLOCK // max(1, array.size))
    for start in range(0, len(array), step):
        rows = array[start : start + step, None, :]
        no_worse = np.all(array[None, :, :] <= rows, axis=2)
        better = np.any(array[None, :, :] < rows, axis=2)
        beaten[start : start + step] = np.logical_and(no_worse, better).any(axis=1)
    return beaten

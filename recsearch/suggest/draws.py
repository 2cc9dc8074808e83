"""Drawing points that have not been tried."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from recsearch.errors import UsageError
from recsearch.identity import derive_seed
from recsearch.space import Space
from recsearch.space.space import identity
from recsearch.suggest.types import Feasible

REDRAWS = 100

CONSTRAINED_REDRAWS = 4000
"""Draws where not every point may be tried: one in a thousand is enough to find one."""


def generator(seed: int, number: int, attempt: int, purpose: str) -> np.random.Generator:
    """Random numbers for one attempt at one suggestion, independent of all others."""
    return np.random.default_rng(derive_seed(seed, "suggest", purpose, str(number), str(attempt)))


def identities(points: Iterable[Mapping[str, Any]]) -> set[Hashable]:
    """What `fresh` compares points by."""
    return {identity(point) for point in points}


def fresh(
    draw: Callable[[int], dict[str, Any]], tried: set[Hashable], attempts: int
) -> Iterator[dict[str, Any]]:
    """Those of ``draw(0)`` … ``draw(attempts - 1)`` that were neither tried nor drawn before."""
    seen = set(tried)
    for attempt in range(attempts):
        point = draw(attempt)
        if identity(point) not in seen:
            seen.add(identity(point))
            yield point


def untried(
    space: Space, rng: np.random.Generator, tried: set[Hashable], feasible: Feasible | None = None
) -> dict[str, Any] | None:
    """A random point of a small space that has not been tried; None if there is none."""
    left = [point for point in allowed(space, feasible) or () if identity(point) not in tried]
    return left[int(rng.integers(len(left)))] if left else None


def allowed(space: Space, feasible: Feasible | None) -> list[dict[str, Any]] | None:
    """All points of a small space that may be tried; None where there are too many to list."""
    points = space.points()
    return points if points is None or feasible is None else list(filter(feasible, points))


def total(space: Space, feasible: Feasible | None) -> int | None:
    """Number of points of a finite space that may be tried; None where it is not known."""
    if feasible is None:
        return space.size
    points = allowed(space, feasible)
    return None if points is None else len(points)


def uniform(
    space: Space, seed: int, number: int, tried: set[Hashable], feasible: Feasible | None = None
) -> dict[str, Any]:
    """An independent draw for trial ``number``; an untried point as long as there is one.

    Args:
        space: what is drawn from.
        seed: root seed of the run.
        number: of the trial.
        tried: what `identities` says of the points before it.
        feasible: whether a point may be tried; others are drawn anew. None for all.

    Raises:
        UsageError: no point that may be tried turns up.
    """

    def draw(attempt: int) -> dict[str, Any]:
        return space.sample(generator(seed, number, attempt, "uniform"))

    attempts = REDRAWS if feasible is None else CONSTRAINED_REDRAWS
    point = next(filter(feasible or _anywhere, fresh(draw, tried, attempts)), None)
    if point is None:
        point = untried(space, generator(seed, number, REDRAWS, "uniform"), tried, feasible)
    if point is None:
        point = next(filter(feasible or _anywhere, map(draw, range(attempts))), None)
    if point is None:
        raise UsageError(
            f"search.constraints: none of {attempts} random points for trial {number} may be "
            "trained: nearly all of the space is outside the constraints.",
            hint="Narrow the ranges of the space to what the constraints allow.",
        )
    return point


def _anywhere(point: Mapping[str, Any]) -> bool:
    """What is feasible without constraints."""
    del point
    return True

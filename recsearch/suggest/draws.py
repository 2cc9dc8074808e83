"""Drawing points that have not been tried."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from recsearch.identity import derive_seed
from recsearch.space import Space
from recsearch.space.space import identity

REDRAWS = 100


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


def untried(space: Space, rng: np.random.Generator, tried: set[Hashable]) -> dict[str, Any] | None:
    """A random point of a small space that has not been tried; None if there is none."""
    left = [point for point in space.points() or () if identity(point) not in tried]
    return left[int(rng.integers(len(left)))] if left else None


def uniform(space: Space, seed: int, number: int, tried: set[Hashable]) -> dict[str, Any]:
    """An independent draw for trial ``number``; an untried point as long as there is one."""

    def draw(attempt: int) -> dict[str, Any]:
        return space.sample(generator(seed, number, attempt, "uniform"))

    point = next(fresh(draw, tried, REDRAWS), None)
    if point is None:
        point = untried(space, generator(seed, number, REDRAWS, "uniform"), tried)
    return draw(0) if point is None else point

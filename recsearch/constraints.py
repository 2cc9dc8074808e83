"""Which points of a space may be trained, and a search without any told from one with few."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.identity import derive_seed
from recsearch.models import Family
from recsearch.space import Params, Space
from recsearch.spec import SearchSpec
from recsearch.suggest.types import Feasible
from recsearch.units import size

DRAWS = 1024
"""Random points among which a search that is constrained must find one that it may train."""

HALVINGS = 40
"""Bisections between the default value of a parameter and the end of its range."""


def model_limit(spec: SearchSpec) -> float | None:
    """Bytes of the largest model that the search trains; None for any."""
    megabytes = spec.search.constraints.max_model_mb
    return None if megabytes is None else megabytes * 1e6


def feasible_of(
    spec: SearchSpec, family: Family, split: Split | Sequence[Split]
) -> Feasible | None:
    """Whether the search may train a point on its split or folds; None for all points."""
    limit = model_limit(spec)
    if limit is None:
        return None
    bound = limit

    def feasible(params: Params) -> bool:
        return model_size(spec, family, split, params) <= bound

    return feasible


def model_size(
    spec: SearchSpec, family: Family, split: Split | Sequence[Split], params: Params
) -> int:
    """Bytes of the model of one point of the space on this data set; the largest of all folds.

    Raises:
        UsageError: the model cannot tell.
    """
    config = family.complete(spec.configuration(params))
    folds = (split,) if isinstance(split, Split) else split
    found = max(family.model_bytes(config, fold) for fold in folds)
    if found <= 0:
        raise UsageError(
            f"{spec.source}: search.constraints.max_model_mb: {family.name} does not say how large "
            "its models are, expected no such key, or a model class with model_bytes."
        )
    return found


def feasible_default(space: Space, default: Params, feasible: Feasible) -> dict[str, Any] | None:
    """The default configuration, moved to where it may be trained; None where no way leads there.

    One parameter is moved, towards an end of its range and no farther than it must be: the one for
    which that is the shortest way. Where no one parameter suffices, all of them would be moved, and
    what is left is no default any more.
    """
    if feasible(default):
        return dict(default)
    ways = []
    for order, name in enumerate(default):
        start, move = space[name].to_unit(default[name]), _mover(space, default, name)
        for end in (0.0, 1.0):
            unit = _nearest(move, start, end, feasible)
            if unit is not None:
                ways.append((abs(unit - start), order, end, move(unit)))
    return min(ways, key=lambda way: way[:3])[3] if ways else None


def check_feasible(
    spec: SearchSpec,
    family: Family,
    split: Split | Sequence[Split],
    seed: int,
    feasible: Feasible,
) -> None:
    """Refuse a search of which no point may be trained.

    Raises:
        UsageError: neither the ends of the ranges nor a thousand random points are small enough.
    """
    smallest: tuple[int, Params] | None = None
    for point in _candidates(spec.space, seed):
        if feasible(point):
            return
        found = model_size(spec, family, split, point)
        if smallest is None or found < smallest[0]:
            smallest = found, point
    if smallest is None:
        return
    least, params = smallest
    words = ", ".join(f"{name} = {value}" for name, value in params.items()) or "no parameters"
    raise UsageError(
        f"{spec.source}: search.constraints.max_model_mb = "
        f"{spec.search.constraints.max_model_mb:g}: the space holds no model that small on this "
        f"data set; the smallest one found takes {size(least)} ({words}). Nothing was written.",
        hint=f"Allow it with --set search.constraints.max_model_mb={_rounded_up(least)}, or widen "
        "the space towards smaller models.",
    )


def _candidates(space: Space, seed: int) -> Iterator[dict[str, Any]]:
    """All points of a small space; else each end of every range by itself, then random points."""
    points = space.points()
    if points is not None and len(points) <= DRAWS:
        yield from points
        return
    for which in (0, -1):
        ends = {name: domain.extremes()[which] for name, domain in space.items()}
        yield space.restrict(ends)
        for name, domain in space.items():
            other = domain.extremes()[-1 - which]
            yield space.restrict({**ends, name: other})
    rng = np.random.default_rng(derive_seed(seed, "suggest", "feasible"))
    for _ in range(DRAWS):
        yield space.sample(rng)


def _mover(space: Space, default: Params, name: str) -> Callable[[float], dict[str, Any]]:
    """The default point with one parameter at another place of its range.

    Parameters that take part only then have the middle of their domain.
    """

    def move(unit: float) -> dict[str, Any]:
        return space.clip({**default, name: space[name].from_unit(unit)})

    return move


def _nearest(
    move: Callable[[float], dict[str, Any]], start: float, end: float, feasible: Feasible
) -> float | None:
    """The place between ``start`` and ``end`` from which on it is feasible, if it is at the end."""
    if not feasible(move(end)):
        return None
    outside, inside = start, end
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        if feasible(move(middle)):
            inside = middle
        else:
            outside = middle
    return inside


def _rounded_up(count: int) -> str:
    """Bytes as megabytes that are no fewer, in few digits."""
    return f"{np.ceil(count / 1e4) / 100:g}" if count >= 1e5 else f"{count / 1e6:g}"

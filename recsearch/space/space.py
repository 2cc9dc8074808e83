"""The space of a search: parameters by dotted name, some of them conditional on others."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from recsearch.errors import UsageError
from recsearch.space.domain import Domain, DomainError
from recsearch.space.numbers import same
from recsearch.space.words import nearest, show

Params: TypeAlias = Mapping[str, Any]
"""Values of the parameters that take part, by dotted name."""

ENUMERABLE = 100_000
"""Largest number of value combinations that `Space.points` lists."""


@dataclass(frozen=True)
class Space(Mapping[str, Domain]):
    """Parameters by dotted name, in the order of the search file.

    Raises:
        DomainError: two names contradict each other, or a condition cannot be met; its key starts
            with the parameter's name.
    """

    domains: Mapping[str, Domain]

    def __post_init__(self) -> None:
        for name, domain in self.domains.items():
            self._check_name(name)
            for other, allowed in domain.when:
                self._check_condition(name, other, allowed)
            self._check_acyclic(name, ())

    def __getitem__(self, name: str) -> Domain:
        return self.domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.domains)

    def __len__(self) -> int:
        return len(self.domains)

    def active(self, values: Params) -> tuple[str, ...]:
        """Names of the parameters that take part, given at least the values they depend on."""
        return tuple(name for name in self.domains if self._is_active(name, values))

    def restrict(self, values: Params) -> dict[str, Any]:
        """``values`` without the parameters whose condition they do not meet."""
        return {name: values[name] for name in self.active(values)}

    def from_units(self, units: Mapping[str, float]) -> dict[str, Any]:
        """Values at a point of the unit cube, given by parameter name."""
        return self.restrict({name: d.from_unit(units[name]) for name, d in self.items()})

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw every parameter independently; those that take no part are left out."""
        return self.restrict({name: domain.sample(rng) for name, domain in self.items()})

    def clip(self, values: Params) -> dict[str, Any]:
        """The point nearest to ``values``; the middle of a domain where there is no value."""
        return self.restrict({name: d.clip(values.get(name)) for name, d in self.items()})

    def contains(self, params: Params) -> bool:
        """Whether ``params`` is a point of this space."""
        try:
            self.validate(params)
        except UsageError:
            return False
        return True

    def validate(self, params: Params) -> None:
        """Check that ``params`` has all parameters that take part, in their domains, and no other.

        Raises:
            UsageError: names the parameter, its value and what was expected.
        """
        for name, value in params.items():
            if name not in self.domains:
                raise UsageError(f"no parameter {name!r} in the space{nearest(name, self)}")
            if not self[name].contains(value):
                raise UsageError(f"{name} = {show(value)}: expected {self[name].describe()}")
        for name in self.domains:
            active = self._is_active(name, params)
            if active and name not in params:
                raise UsageError(f"{name} has no value: expected {self[name].describe()}")
            if not active and name in params:
                raise UsageError(f"{name} takes no part here: {self[name].describe()}")

    @property
    def size(self) -> int | None:
        """Number of distinct points; None where there is no end of them, or none worth counting."""
        points = self.points()
        if points is not None:
            return len(points)
        conditional = any(domain.when for domain in self.values())
        return None if conditional else self._combinations()

    def points(self) -> list[dict[str, Any]] | None:
        """All distinct points, last parameter fastest; None above `ENUMERABLE` combinations."""
        count = self._combinations()
        if count is None or count > ENUMERABLE:
            return None
        return self._product({name: domain.values() for name, domain in self.items()})

    def grid(self) -> list[dict[str, Any]]:
        """The points of a grid search, last parameter fastest.

        Raises:
            UsageError: the grid has more than `ENUMERABLE` points.
        """
        axes = {name: domain.grid_values() for name, domain in self.items()}
        count = math.prod(map(len, axes.values()))
        if count > ENUMERABLE:
            raise UsageError(
                f"the grid has {count} points, expected at most {ENUMERABLE}",
                hint="Give its parameters fewer points, or search with method = tpe.",
            )
        return self._product(axes)

    def nest(self, params: Params) -> dict[str, Any]:
        """``params`` as a nested configuration: ``a.b`` becomes ``{"a": {"b": …}}``."""
        return self.merge({}, params)

    def merge(self, fixed: Mapping[str, Any], params: Params) -> dict[str, Any]:
        """A copy of the nested configuration ``fixed`` with ``params`` laid over it.

        A plain value in ``fixed`` gives way to a table: ``damping = 5`` to ``damping.user``.
        """
        config = copy.deepcopy(dict(fixed))
        for name, value in params.items():
            *parents, leaf = name.split(".")
            table = config
            for parent in parents:
                if not isinstance(table.get(parent), dict):
                    table[parent] = {}
                table = table[parent]
            table[leaf] = value
        return config

    def describe(self) -> dict[str, str]:
        """Every domain in words."""
        return {name: domain.describe() for name, domain in self.items()}

    def tables(self) -> dict[str, dict[str, Any]]:
        """Every domain as a complete table of a search file, JSON-able."""
        return {name: domain.table() for name, domain in self.items()}

    def _combinations(self) -> int | None:
        sizes = [domain.size for domain in self.values()]
        finite = [size for size in sizes if size is not None]
        return math.prod(finite) if len(finite) == len(sizes) else None

    def _product(self, axes: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
        distinct: dict[Hashable, dict[str, Any]] = {}
        for values in itertools.product(*axes.values()):
            params = self.restrict(dict(zip(axes, values, strict=True)))
            distinct.setdefault(identity(params), params)
        return list(distinct.values())

    def _is_active(self, name: str, values: Params) -> bool:
        return all(
            other in values
            and any(same(values[other], value) for value in allowed)
            and self._is_active(other, values)
            for other, allowed in self.domains[name].when
        )

    def _check_name(self, name: str) -> None:
        if not all(name.split(".")):
            raise DomainError(name, "has an empty part", "words separated by single dots")
        for other in self.domains:
            if other.startswith(f"{name}."):
                raise DomainError(name, f"is a parameter and the parent of {other}", "one of them")

    def _check_condition(self, name: str, other: str, allowed: tuple[Any, ...]) -> None:
        key = f"{name}.when.{other}"
        if other not in self.domains:
            expected = "one of " + ", ".join(n for n in self.domains if n != name)
            raise DomainError(
                key, "is no parameter of the space", expected + nearest(other, self.domains)
            )
        if not allowed:
            raise DomainError(key, "is an empty list", "one value or more")
        for value in allowed:
            if not self.domains[other].contains(value):
                raise DomainError(
                    key, f"{show(value)} never occurs", self.domains[other].describe()
                )

    def _check_acyclic(self, name: str, seen: tuple[str, ...]) -> None:
        if name in seen:
            raise DomainError(f"{name}.when", "depends on itself", "conditions without a circle")
        for other, _ in self.domains[name].when:
            self._check_acyclic(other, (*seen, name))


def identity(params: Params) -> Hashable:
    """What two equal points share: names and values, ``1`` and ``true`` kept apart."""
    return frozenset((name, isinstance(value, bool), value) for name, value in params.items())

"""What every parameter domain is: a set of values with a distribution.

Every domain maps the unit interval onto its values (`from_unit`) and back (`to_unit`), so a
searcher needs to know nothing but the unit cube. Bounds are inclusive. A discrete domain divides
the unit interval into one cell per value; the cell's width is the value's probability.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np

from recsearch.space.words import show

Condition: TypeAlias = tuple[tuple[str, tuple[Any, ...]], ...]
"""Other parameters and the values of theirs under which a parameter takes part."""


class DomainError(ValueError):
    """A domain that makes no sense: which key is wrong, what is wrong, and what was expected."""

    def __init__(self, key: str, problem: str, expected: str):
        super().__init__(f"{key}: {problem}, expected {expected}")
        self.key = key
        self.problem = problem
        self.expected = expected


class Domain(ABC):
    """What all domains share."""

    kind: ClassVar[str]
    when: Condition

    @abstractmethod
    def from_unit(self, unit: float) -> Any:
        """The value at ``unit`` in [0, 1]."""

    @abstractmethod
    def to_unit(self, value: Any) -> float:
        """A point of [0, 1] that `from_unit` maps to ``value``: about its cell's centre."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether ``value`` belongs to the domain; ``1`` is not ``True``."""

    @abstractmethod
    def clip(self, value: Any) -> Any:
        """The member nearest to ``value``; the middle where ``value`` is of another kind."""

    @abstractmethod
    def grid_values(self) -> tuple[Any, ...]:
        """The values that a grid search tries, in order."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of distinct values; None for a continuum."""

    @property
    @abstractmethod
    def distribution(self) -> str:
        """The distribution in a word or two, such as ``log-uniform``."""

    @property
    @abstractmethod
    def range_text(self) -> str:
        """The values in words, such as ``4 … 512``."""

    @abstractmethod
    def table(self) -> dict[str, Any]:
        """The domain as a table of a search file, complete and JSON-able."""

    def values(self) -> tuple[Any, ...]:
        """All values of a finite domain in order.

        Raises:
            ValueError: the domain is a continuum.
        """
        if self.size is None:
            raise ValueError("a continuum has no list of values")
        return tuple(self._at(index) for index in range(self.size))

    def sample(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        return self.from_unit(float(rng.random()))

    def describe(self) -> str:
        """The domain in words, such as ``log-uniform integer 4 … 512``."""
        return f"{self._words()}, when {self.condition_text}" if self.when else self._words()

    @property
    def condition_text(self) -> str:
        """When the parameter takes part, such as ``loss = warp``; empty for always."""
        clauses = (f"{name} = {' or '.join(map(show, allowed))}" for name, allowed in self.when)
        return " and ".join(clauses)

    def extremes(self) -> tuple[Any, ...]:
        """The first and last value of a range; every value of a list."""
        return tuple(dict.fromkeys((self.from_unit(0.0), self.from_unit(1.0))))

    def _words(self) -> str:
        return f"{self.distribution} {self.kind} {self.range_text}"

    def _when_table(self) -> dict[str, Any]:
        table = {n: list(v) if len(v) > 1 else v[0] for n, v in self.when}
        return {"when": table} if table else {}

    def _at(self, index: int) -> Any:
        raise NotImplementedError

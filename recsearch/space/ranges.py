"""Ranges of integers and floats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsearch.space.domain import Condition, Domain, DomainError
from recsearch.space.numbers import is_integer, is_power_of_two, is_real
from recsearch.space.words import show

Scale: TypeAlias = Literal["uniform", "log", "pow2"]

DEFAULT_POINTS = 5
"""Number of values that a grid search takes from a range, unless the range says otherwise."""


@dataclass(frozen=True)
class _Range(Domain):
    """A numeric range, bounds inclusive.

    Attributes:
        low, high: smallest and largest value.
        scale: ``uniform``, ``log`` (equal mass per factor) or ``pow2`` (powers of two, all
            equally likely).
        step: distance between values, from ``low`` on; uniform scale only.
        points: number of values of a grid search.
        grid: those values themselves; takes precedence over ``points``.
        when: condition under which the parameter takes part.
    """

    low: Any
    high: Any
    scale: Scale = "uniform"
    step: Any = None
    points: int = DEFAULT_POINTS
    grid: tuple[Any, ...] | None = None
    when: Condition = ()

    _noun: ClassVar[str]

    def __post_init__(self) -> None:
        self._check_bounds()
        self._check_scale()
        if self.step is not None:
            self._check_step()
        if self.points < 2:
            raise DomainError("points", f"{self.points} is too few", "2 or more")
        self._check_grid()

    def _check_bounds(self) -> None:
        if self.low > self.high:
            raise DomainError(
                "min", f"{show(self.low)} is above max = {show(self.high)}", "min <= max"
            )

    def _check_scale(self) -> None:
        if self.scale == "log" and self.low <= 0:
            raise DomainError(
                "min", f"{show(self.low)} has no logarithm", 'a min above 0 for scale = "log"'
            )
        for key, bound in (("min", self.low), ("max", self.high)):
            if self.scale == "pow2" and not is_power_of_two(bound):
                raise DomainError(
                    key, f"{show(bound)} is not a power of two", 'one such as 8 for scale = "pow2"'
                )

    def _check_step(self) -> None:
        if self.step <= 0:
            raise DomainError("step", f"{show(self.step)} leads nowhere", "a step above 0")
        if self.scale != "uniform":
            raise DomainError("step", f'does not go with scale = "{self.scale}"', "no step")

    def _check_grid(self) -> None:
        if self.grid is None:
            return
        if not self.grid:
            raise DomainError("grid", "is empty", "one value or more")
        for position, value in enumerate(self.grid):
            if not self.contains(value):
                raise DomainError("grid", f"{show(value)} is outside", self.describe())
            if value in self.grid[:position]:
                raise DomainError("grid", f"{show(value)} occurs twice", "distinct values")

    def from_unit(self, unit: float) -> Any:
        """The value at ``unit`` in [0, 1]."""
        if self.size is None:
            return self._along(unit)
        return self._at(min(int(unit * self.size), self.size - 1))

    def to_unit(self, value: Any) -> float:
        """Inverse of `from_unit`."""
        if self.size is None:
            return self._fraction(value)
        return (self._index(value) + 0.5) / self.size

    def contains(self, value: Any) -> bool:
        """Whether ``value`` is a number of this range."""
        if not self._is_member_type(value) or not self.low <= value <= self.high:
            return False
        return self.size is None or bool(value == self._at(self._index(value)))

    def clip(self, value: Any) -> Any:
        """The member nearest to ``value``; the middle where ``value`` is no number."""
        if not is_real(value) or math.isnan(value):
            return self.from_unit(0.5)
        inside = min(max(value, self.low), self.high)
        return self._cast(inside) if self.size is None else self._at(self._index(inside))

    def grid_values(self) -> tuple[Any, ...]:
        """``grid``, or ``points`` values that divide the range evenly on its scale."""
        if self.grid is not None:
            return self.grid
        if self.size is not None and self.size <= self.points:
            return self.values()
        fractions = np.linspace(0.0, 1.0, self.points).tolist()
        return tuple(dict.fromkeys(self._spread(fraction) for fraction in fractions))

    @property
    def size(self) -> int | None:
        """Number of distinct values; None for a continuum."""
        if self.low == self.high:
            return 1
        if self.scale == "pow2":
            return round(math.log2(self.high / self.low)) + 1
        if self.step is not None:
            return int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1
        return None

    @property
    def distribution(self) -> str:
        """``uniform``, ``log-uniform``, ``powers of two`` or ``constant``."""
        if self.low == self.high:
            return "constant"
        return {"uniform": "uniform", "log": "log-uniform", "pow2": "powers of two"}[self.scale]

    @property
    def range_text(self) -> str:
        """Bounds and step."""
        if self.low == self.high:
            return show(self.low)
        steps = "" if self.step is None else f", step {show(self.step)}"
        return f"{show(self.low)} … {show(self.high)}{steps}"

    def table(self) -> dict[str, Any]:
        """The domain as a table of a search file."""
        table = {"type": self.kind, "min": self.low, "max": self.high, "scale": self.scale}
        if self.step is not None:
            table["step"] = self.step
        table["points"] = self.points
        if self.grid is not None:
            table["grid"] = list(self.grid)
        return table | self._when_table()

    def _words(self) -> str:
        if self.scale == "pow2" and self.low != self.high:
            return f"{self._noun} {self.range_text}, powers of two"
        return f"{self.distribution} {self._noun} {self.range_text}"

    def _spread(self, fraction: float) -> Any:
        if self.size is None:
            return self._along(fraction)
        return self._at(round(fraction * (self.size - 1)))

    def _along(self, fraction: float) -> Any:
        if self.scale == "log":
            inside = self.low ** (1 - fraction) * self.high**fraction
        else:
            inside = self.low * (1 - fraction) + self.high * fraction
        return self._cast(min(max(inside, self.low), self.high))

    def _fraction(self, value: Any) -> float:
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def _at(self, index: int) -> Any:
        if self.scale == "pow2":
            return self._cast(math.ldexp(float(self.low), index))
        if self.step is None:
            return self._cast(self.low)
        return self._cast(_exact(self.low) + index * _exact(self.step))

    def _index(self, value: Any) -> int:
        assert self.size is not None  # noqa: S101  # callers look at size first
        if self.scale == "pow2" and value > 0:
            index = round(math.log2(value / self.low))
        elif self.step is None:
            index = 0
        else:
            index = round((_exact(value) - _exact(self.low)) / _exact(self.step))
        return min(max(index, 0), self.size - 1)

    def _is_member_type(self, value: Any) -> bool:
        return is_real(value) and math.isfinite(value)

    def _cast(self, value: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Float(_Range):
    """A range of floats."""

    kind = "float"
    _noun = "float"

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        if self.grid is not None:
            object.__setattr__(self, "grid", tuple(map(float, self.grid)))
        super().__post_init__()

    def _check_bounds(self) -> None:
        for key, bound in (("min", self.low), ("max", self.high)):
            if not math.isfinite(bound):
                raise DomainError(key, f"{show(bound)} is not finite", "a finite number")
        super()._check_bounds()

    def _cast(self, value: Any) -> float:
        return float(value)


@dataclass(frozen=True)
class Int(_Range):
    """A range of integers.

    On a log scale the integer v has the mass of [v − ½, v + ½]; the range reaches half an integer
    beyond both bounds, so that these are as likely as their neighbours suggest.
    """

    kind = "int"
    _noun = "integer"

    def __post_init__(self) -> None:
        if self.step is None and self.scale == "uniform":
            object.__setattr__(self, "step", 1)
        super().__post_init__()

    def from_unit(self, unit: float) -> int:
        """The integer at ``unit`` in [0, 1]."""
        if self.scale != "log":
            return int(super().from_unit(unit))
        left, right = self.low - 0.5, self.high + 0.5
        return int(min(max(round(left ** (1 - unit) * right**unit), self.low), self.high))

    def to_unit(self, value: Any) -> float:
        """Inverse of `from_unit`."""
        if self.scale != "log":
            return super().to_unit(value)
        left, right = self.low - 0.5, self.high + 0.5
        return math.log(value / left) / math.log(right / left)

    @property
    def size(self) -> int | None:
        """Number of integers."""
        if self.scale == "log":
            return int(self.high - self.low) + 1
        return super().size

    @property
    def range_text(self) -> str:
        """Bounds, and the step unless it is 1."""
        return super().range_text.removesuffix(", step 1")

    def _check_bounds(self) -> None:
        for key, bound in (("min", self.low), ("max", self.high), ("step", self.step or 1)):
            if not is_integer(bound):
                raise DomainError(key, f"{show(bound)} is not an integer", "an integer")
        super()._check_bounds()

    def _spread(self, fraction: float) -> int:
        return int(self._along(fraction)) if self.scale == "log" else int(super()._spread(fraction))

    def _at(self, index: int) -> int:
        return int(self.low) + index if self.scale == "log" else int(super()._at(index))

    def _index(self, value: Any) -> int:
        if self.scale == "log":
            return min(max(round(value) - int(self.low), 0), int(self.high - self.low))
        return super()._index(value)

    def _is_member_type(self, value: Any) -> bool:
        return is_integer(value)

    def _cast(self, value: Any) -> int:
        return round(value)


def _exact(value: Any) -> Fraction:
    """The decimal number that a search file writes: 0.1 is a tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(float(value)))

"""Lists of values, and booleans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recsearch.space.domain import Condition, Domain, DomainError
from recsearch.space.numbers import same
from recsearch.space.words import show


@dataclass(frozen=True)
class Choice(Domain):
    """A list of values, all equally likely."""

    choices: tuple[Any, ...]
    when: Condition = ()

    kind = "choice"

    def __post_init__(self) -> None:
        if not self.choices:
            raise DomainError("choices", "is empty", "one value or more")
        for position, value in enumerate(self.choices):
            if any(same(value, other) for other in self.choices[:position]):
                raise DomainError("choices", f"{show(value)} occurs twice", "distinct values")

    def from_unit(self, unit: float) -> Any:
        """The value whose cell ``unit`` lies in."""
        return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]

    def to_unit(self, value: Any) -> float:
        """Centre of the cell of ``value``."""
        return (self.index(value) + 0.5) / len(self.choices)

    def index(self, value: Any) -> int:
        """Position of ``value`` among the choices.

        Raises:
            ValueError: it is none of them.
        """
        for position, choice in enumerate(self.choices):
            if same(choice, value):
                return position
        raise ValueError(f"{show(value)} is none of {self.range_text}")

    def contains(self, value: Any) -> bool:
        """Whether ``value`` is one of the choices."""
        return any(same(choice, value) for choice in self.choices)

    def clip(self, value: Any) -> Any:
        """``value`` itself, or the first choice where it is none of them."""
        return value if self.contains(value) else self.choices[0]

    def grid_values(self) -> tuple[Any, ...]:
        """All choices."""
        return self.choices

    def extremes(self) -> tuple[Any, ...]:
        """All choices."""
        return self.choices

    @property
    def size(self) -> int:
        """Number of choices."""
        return len(self.choices)

    @property
    def distribution(self) -> str:
        """``choice``, or ``constant`` where there is none."""
        return "choice" if len(self.choices) > 1 else "constant"

    @property
    def range_text(self) -> str:
        """The choices, separated by commas."""
        return ", ".join(map(show, self.choices))

    def table(self) -> dict[str, Any]:
        """The domain as a table of a search file."""
        return {"type": self.kind, "choices": list(self.choices)} | self._when_table()

    def _words(self) -> str:
        return f"one of {self.range_text}"

    def _at(self, index: int) -> Any:
        return self.choices[index]


@dataclass(frozen=True)
class Bool(Choice):
    """False or true."""

    choices: tuple[Any, ...] = (False, True)

    kind = "bool"

    def table(self) -> dict[str, Any]:
        """The domain as a table of a search file."""
        return {"type": self.kind} | self._when_table()

    def _words(self) -> str:
        return "true or false"

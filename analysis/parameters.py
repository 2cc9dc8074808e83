"""The search space as a table: ranges, the selected values, and which lie at an edge."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from analysis.formatting import ABSENT, value_text
from analysis.values import dig, finite
from recsearch.run import RunView

EDGE = 0.02
"""Share of a range, on its own scale, that counts as its edge."""


class Parameter(NamedTuple):
    """One row of the search space.

    Attributes:
        scale: ``linear``, ``log`` (any base), ``log2`` (powers of two) or ``category``.
        low, high: inclusive bounds; None for categories.
        choices: values of a category in the order of the search file; empty otherwise.
        condition: when the parameter takes part at all, "" for always.
        selected: value in the best configuration; None where it took no part.
        edge: ``lower``, ``upper`` or None.
    """

    name: str
    kind: str
    scale: str
    low: float | None
    high: float | None
    choices: tuple[Any, ...]
    condition: str
    selected: Any
    has_selected: bool
    edge: str | None

    @property
    def distribution(self) -> str:
        """The distribution in words."""
        words = {"linear": "uniform", "log": "log-uniform", "log2": "powers of two"}
        return words.get(self.scale, "choice")

    @property
    def range_text(self) -> str:
        """The range as printed."""
        if self.scale == "category":
            return ", ".join(value_text(choice) for choice in self.choices)
        return f"{value_text(self.low)} to {value_text(self.high)}"

    @property
    def selected_text(self) -> str:
        """The selected value as printed."""
        return value_text(self.selected) if self.has_selected else ABSENT


def parameters_info(run: RunView) -> tuple[Parameter, ...]:
    """Describe every searched parameter, in the order of the search file."""
    space = dig(run.identity, "search", "space", default={})
    best = run.best()
    chosen = best[0].params if best else {}
    return tuple(_parameter(name, domain, chosen) for name, domain in space.items())


def at_edge(value: Any, low: float, high: float, scale: str) -> str | None:
    """Which edge of [low, high] ``value`` lies at: within 2 % of the range on its own scale."""
    position = relative_position(value, low, high, scale)
    if position is None:
        return None
    if position <= EDGE:
        return "lower"
    return "upper" if position >= 1 - EDGE else None


def relative_position(value: Any, low: float, high: float, scale: str) -> float | None:
    """Where ``value`` lies in [low, high] on ``scale``: 0 at low, 1 at high; None if nowhere."""
    number = finite(value)
    if number is None or not high > low:
        return None
    if scale in ("log", "log2"):
        if min(number, low) <= 0:
            return None
        return math.log(number / low) / math.log(high / low)
    return (number - low) / (high - low)


def value_at(position: float, low: float, high: float, scale: str) -> float:
    """The value at ``position`` of [low, high] on ``scale``: what `relative_position` undoes."""
    if scale in ("log", "log2"):
        return low * (high / low) ** position
    return low + position * (high - low)


def _parameter(name: str, domain: dict[str, Any], chosen: dict[str, Any]) -> Parameter:
    kind = str(domain.get("type", "choice"))
    low, high = finite(domain.get("min")), finite(domain.get("max"))
    choices: tuple[Any, ...] = ()
    edge = None
    if kind in ("bool", "choice") or low is None or high is None:
        scale, low, high = "category", None, None
        choices = (False, True) if kind == "bool" else tuple(domain.get("choices") or ())
    else:
        scale = _scale(domain.get("scale"), low)
        edge = at_edge(chosen.get(name), low, high, scale)
    return Parameter(
        name=name,
        kind=kind,
        scale=scale,
        low=low,
        high=high,
        choices=choices,
        condition=_condition(domain.get("when")),
        selected=chosen.get(name),
        has_selected=name in chosen,
        edge=edge,
    )


def _scale(word: Any, low: float) -> str:
    scale = {"log": "log", "pow2": "log2"}.get(str(word), "linear")
    return scale if low > 0 else "linear"


def _condition(when: Any) -> str:
    if not isinstance(when, dict) or not when:
        return ""
    return " and ".join(f"{key} = {value_text(value)}" for key, value in when.items())

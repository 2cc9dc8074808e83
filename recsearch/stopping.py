"""When a trial has trained enough: pure rules over its own objective values."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

from recsearch.errors import SpecError


class StopRule(Protocol):
    """A pure rule; ``name`` is the reason that a journal gives."""

    @property
    def name(self) -> str:
        """Short name, as in search files and journals."""

    def stop(self, values: Sequence[float], direction: str) -> bool:
        """Whether to end a trial whose epochs 1, 2, … had these objective values.

        Args:
            values: one per finished epoch.
            direction: ``min`` or ``max``.
        """


@dataclass(frozen=True)
class NoStop:
    """Train until the last epoch."""

    name: ClassVar[str] = "none"

    def stop(self, values: Sequence[float], direction: str) -> bool:
        """Never."""
        del values, direction
        return False


@dataclass(frozen=True)
class Plateau:
    """Stop when the objective no longer gets better, by LensKit's rule.

    A trial stops when each of its last ``patience`` epochs improved on the best value before it by
    less than ``min_improvement``, relative to that best value. Epoch 1 has no value before it and
    speaks neither way, so with ``patience = grace = 3`` a trial may stop after epoch 3, when epochs
    2 and 3 brought nothing. Where ``patience`` is larger than ``grace`` it is the grace period too.
    On positive values this equals ``RelativePlateauStopper`` of LensKit 2025.8.1.

    Edge cases: gains are measured against the magnitude of the best value, so negative objectives
    work. Any gain over a best value of 0 is an improvement and standing still at 0 is none. Close
    to 0 small gains are large ones, relatively. Values that are not finite improve nothing and are
    never the best; the first finite value after them is an improvement. With ``min_improvement =
    0`` standing still goes on and only getting worse stops.

    Attributes:
        patience: number of epochs without improvement.
        min_improvement: relative gain that counts as one.
        grace: number of epochs that are trained in any case.
    """

    patience: int = 3
    min_improvement: float = 0.005
    grace: int = 3
    name: ClassVar[str] = "plateau"

    def __post_init__(self) -> None:
        for key, least in (("patience", 1), ("grace", 0)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SpecError(
                    f"search.stop.{key} = {value!r}: expected a whole number from {least}."
                )
        value = self.min_improvement
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise SpecError(
                f"search.stop.min_improvement = {value!r}: expected a number from 0, such as 0.005 "
                "for half a percent."
            )

    def stop(self, values: Sequence[float], direction: str) -> bool:
        """Whether the last epochs are a plateau."""
        if len(values) < max(self.grace, self.patience):
            return False
        best = math.nan
        gains: list[float] = []
        for value in values:
            gains.append(_gain(value, best, direction))
            if gains[-1] > 0:
                best = value
        recent = gains[1:][-self.patience :]
        return bool(recent) and all(gain < self.min_improvement for gain in recent)


def _gain(value: float, best: float, direction: str) -> float:
    """Relative improvement of ``value`` on ``best``, negative where it is worse."""
    if not math.isfinite(value):
        return -math.inf
    if not math.isfinite(best):
        return math.inf
    gain = value - best if direction == "max" else best - value
    if best == 0:
        return math.copysign(math.inf, gain) if gain else 0.0
    return gain / abs(best)


_RULES: Mapping[str, type[NoStop | Plateau]] = {"none": NoStop, "plateau": Plateau}


def parse_stop(table: Mapping[str, Any]) -> StopRule:
    """The rule of a search file's ``stop`` table, such as ``{rule = "plateau", patience = 3}``.

    Raises:
        SpecError: an unknown rule or key, or a value out of range.
    """
    options = dict(table)
    name = options.pop("rule", None)
    if name not in _RULES:
        raise SpecError(
            f"search.stop.rule = {name!r}: expected one of {', '.join(sorted(_RULES))}.",
            hint='For example stop = { rule = "plateau", patience = 3 }.',
        )
    rule = _RULES[name]
    valid = [field.name for field in fields(rule)]
    for key in options:
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1)
            raise SpecError(
                f"search.stop.{key}: the rule {name} has no such key; it has "
                f"{', '.join(valid) or 'none'}.",
                hint=f"Did you mean {near[0]}?" if near else None,
            )
    return rule(**options)

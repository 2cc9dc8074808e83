"""Which epochs of a trial stay restorable: small pure rules over (epoch, value) records."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from recsearch.errors import UsageError

Direction: TypeAlias = Literal["min", "max"]
_TERM = re.compile(r"(best|last)(?::([1-9][0-9]{0,5}))?")


@dataclass(frozen=True)
class Record:
    """One epoch and its objective; None or a non-finite value can never be best."""

    epoch: int
    value: float | None


class Policy(Protocol):
    """A rule that names the epochs to keep."""

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        ...


@dataclass(frozen=True)
class All:
    """Keep every epoch."""

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        return {record.epoch for record in records}


@dataclass(frozen=True)
class BestAndLast:
    """Keep the ``best`` epochs by objective and the ``last`` ones by number.

    Ties go to the earlier epoch.
    """

    direction: Direction
    best: int = 1
    last: int = 1

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        sign = 1.0 if self.direction == "min" else -1.0
        ranked = sorted(
            (sign * record.value, record.epoch)
            for record in records
            if record.value is not None and math.isfinite(record.value)
        )
        epochs = sorted({record.epoch for record in records}, reverse=True)
        return {epoch for _, epoch in ranked[: self.best]} | set(epochs[: self.last])


@dataclass(frozen=True)
class AnyOf:
    """Keep what any of several policies keeps."""

    policies: tuple[Policy, ...]

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records`` that stay."""
        return set[int]().union(*(policy.keep(records) for policy in self.policies))


def parse_policy(text: str, direction: Direction) -> Policy:
    """Read ``all``, ``best``, ``last``, ``best+last`` or ``best:2+last:3``.

    Raises:
        UsageError: the text is none of these.
    """
    if text == "all":
        return All()
    counts = {"best": 0, "last": 0}
    for term in text.split("+"):
        match = _TERM.fullmatch(term.strip())
        if match is None or counts[match[1]]:
            raise UsageError(
                f"{text!r} is not a retention policy: expected all, or best and last with "
                "optional counts, such as best+last or best:2+last:3"
            )
        counts[match[1]] = int(match[2] or 1)
    return BestAndLast(direction, **counts)

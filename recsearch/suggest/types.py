"""What a searcher sees and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

Origin: TypeAlias = Literal["default", "random", "tpe", "grid"]
Feasible: TypeAlias = Callable[[Mapping[str, Any]], bool]
"""Whether a point of the space may be tried; pure."""


@dataclass(frozen=True)
class Observation:
    """A finished trial.

    Attributes:
        number: of the trial.
        params: values by dotted name.
        value: its best objective in the metric's own direction, or with several objectives one
            value for all of them, the lower the better; None where it ended in an error.
    """

    number: int
    params: Mapping[str, Any]
    value: float | None


@dataclass(frozen=True)
class Prior:
    """A trial of something else than this run: its parameters, a point of the space, and value."""

    params: Mapping[str, Any]
    value: float


@dataclass(frozen=True)
class Priors:
    """Trials that are learnt from before trial 1, and are no trials of the run.

    Attributes:
        trials: the oldest first.
        comparable: whether their values stand beside those of the run. Otherwise, as on another
            data set, both are replaced by their ranks, each among its own kind.
    """

    trials: tuple[Prior, ...] = ()
    comparable: bool = True


NO_PRIORS = Priors()


@dataclass(frozen=True)
class Suggestion:
    """A point of the space and how it was found."""

    params: dict[str, Any]
    origin: Origin


class Suggester(Protocol):
    """A pure searcher.

    The answer depends on the search, the seed and the arguments alone. A searcher that is built
    anew in a later process therefore goes on exactly where the former one ended.
    """

    @property
    def total(self) -> int | None:
        """Number of suggestions in all; None where there is no end of them."""
        ...

    def suggest(
        self,
        number: int,
        observed: Sequence[Observation],
        pending: Sequence[Mapping[str, Any]],
    ) -> Suggestion:
        """The parameters of trial ``number``.

        Args:
            number: 1-based.
            observed: finished trials that may be learnt from, by number.
            pending: parameters of the other trials before ``number``.
        """
        ...

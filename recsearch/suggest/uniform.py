"""Random search: every trial is drawn independently (Bergstra and Bengio, JMLR 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recsearch.space import Params, Space
from recsearch.suggest.draws import identities, total, uniform
from recsearch.suggest.types import Feasible, Observation, Suggestion


@dataclass(frozen=True)
class UniformSuggester:
    """Draws from the space's own distributions; repeats no point while there are others.

    Attributes:
        space: parameters and their distributions.
        seed: root seed of the run.
        default: parameters of trial 1; None to draw it, too.
        feasible: whether a point may be tried; None for all.
    """

    space: Space
    seed: int
    default: Params | None = None
    feasible: Feasible | None = None

    @cached_property
    def total(self) -> int | None:
        """Number of points of a finite space."""
        return total(self.space, self.feasible)

    def suggest(
        self,
        number: int,
        observed: Sequence[Observation],
        pending: Sequence[Mapping[str, Any]],
    ) -> Suggestion:
        """The parameters of trial ``number``."""
        if number == 1 and self.default is not None:
            return Suggestion(dict(self.default), "default")
        tried = identities([*(seen.params for seen in observed), *pending])
        point = uniform(self.space, self.seed, number, tried, self.feasible)
        return Suggestion(point, "random")

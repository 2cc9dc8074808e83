"""Grid search: every combination in the order of the search file, the last parameter fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from recsearch.space import Params, Space
from recsearch.space.space import identity
from recsearch.suggest.types import Feasible, Observation, Suggestion


class GridSuggester:
    """The default configuration first, then every grid point that is not the default.

    Args:
        space: parameters with their grid values.
        default: parameters of trial 1; None to begin with the grid.
        feasible: whether a point may be tried; others are left out. None for all.
    """

    def __init__(
        self, space: Space, default: Params | None = None, feasible: Feasible | None = None
    ):
        self._space = space
        self._default = default
        self._feasible = feasible

    @property
    def total(self) -> int | None:
        """Number of grid points, and one more where the default is none of them."""
        return len(self._plan)

    def suggest(
        self,
        number: int,
        observed: Sequence[Observation],
        pending: Sequence[Mapping[str, Any]],
    ) -> Suggestion:
        """The parameters of trial ``number``; results play no part.

        Raises:
            IndexError: the grid has fewer points.
        """
        del observed, pending
        origin = "default" if number == 1 and self._default is not None else "grid"
        return Suggestion(dict(self._plan[number - 1]), origin)  # type: ignore[arg-type]

    @cached_property
    def _plan(self) -> list[dict[str, Any]]:
        points = self._space.grid()
        if self._feasible is not None:
            points = list(filter(self._feasible, points))
        if self._default is None:
            return points
        first = dict(self._default)
        return [first, *(point for point in points if identity(point) != identity(first))]

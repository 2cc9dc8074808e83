"""Searchers: pure functions from what is known to the next trial. None of them knows Ray."""

from __future__ import annotations

from collections.abc import Callable

from recsearch.space import Params
from recsearch.spec import SearchSpec
from recsearch.suggest.defaults import default_params
from recsearch.suggest.grid import GridSuggester
from recsearch.suggest.tpe import TpeSuggester
from recsearch.suggest.types import (
    NO_PRIORS,
    Feasible,
    Observation,
    Prior,
    Priors,
    Suggester,
    Suggestion,
)
from recsearch.suggest.uniform import UniformSuggester

__all__ = [
    "NO_PRIORS",
    "Feasible",
    "Observation",
    "Prior",
    "Priors",
    "Suggester",
    "Suggestion",
    "default_params",
    "make_suggester",
]


def make_suggester(
    spec: SearchSpec,
    seed: int,
    default_params: Params | None,
    cost_of: Callable[[Params], float],
    feasible: Feasible | None = None,
    priors: Priors = NO_PRIORS,
) -> Suggester:
    """The searcher that a search asks for.

    Args:
        spec: its space, method and objective.
        seed: root seed of the run.
        default_params: parameters of trial 1, a point of the space; None to leave it out.
        cost_of: parameters to the cost of an epoch, in any unit.
        feasible: whether a point may be tried; None for all.
        priors: what TPE learns from before trial 1.

    Raises:
        UsageError: ``default_params`` is no point of the space, or a grid is too large.
    """
    if default_params is not None:
        spec.space.validate(default_params)
    if spec.search.method == "grid":
        return GridSuggester(spec.space, default_params, feasible)
    if spec.search.method == "random":
        return UniformSuggester(spec.space, seed, default_params, feasible)
    return TpeSuggester(
        spec.space,
        seed,
        # What is observed of several objectives is one value, which is minimised.
        spec.direction if len(spec.objectives) == 1 else "min",
        default_params,
        cheapest_of=spec.search.cheapest_of,
        cost_of=cost_of,
        feasible=feasible,
        priors=priors,
    )

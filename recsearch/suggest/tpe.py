"""Tree-structured Parzen estimator (Bergstra et al., NIPS 2011), computed by hyperopt.

The settings come from an experiment on three synthetic functions of five parameters shaped like
those of ALS (one that dominates, with its optimum at an edge or inside; two regularisations, with
an interaction or with several valleys; two nearly inert), 100 trials, lag 8, median regret over 16
seeds. Regret on the three, in units of 1e-4: random search 25, 9, 77; these settings 3, 2, 10.

* hyperopt's own gamma of 0.25 gives 11, 5, 26 (6 seeds): with 2 or 3 good trials its densities are
  too narrow. 0.5 to 2 differ little; 1 is the best of them on average.
* Pending trials as bad ones (hyperopt's own habit; equal to giving them the mean or the median) 3,
  2, 10; leaving them out 6, 4, 16: without them a lag of 8 gives eight near copies.
* More or fewer candidates (12, 48, 128), 12 to 30 random trials, and a scrambled Sobol sequence
  instead of random ones stay within the noise.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from recsearch.identity import derive_seed
from recsearch.space import Choice, Params, Space
from recsearch.suggest.draws import fresh, identities, total, uniform
from recsearch.suggest.types import NO_PRIORS, Feasible, Observation, Priors, Suggestion

STARTUP = 12
"""Number of scored trials below which trials are drawn at random."""

GAMMA = 1.0
"""The best ``ceil(GAMMA * sqrt(n))`` of n trials count as good."""

CANDIDATES = 24
"""Number of draws per parameter among which the most promising is suggested."""

REDRAWS = 8

CONSTRAINED = 4
"""Factor on that where not every proposal may be tried."""


class TpeSuggester:
    """Suggests where the density of good trials is highest relative to that of the others.

    hyperopt works in the unit cube alone: our domains map it onto their values, so bounds are
    inclusive and every integer has its exact mass. A parameter that takes no part in a trial is
    absent from that trial's record, and what hyperopt says about it is dropped.

    Args:
        space: parameters and their distributions.
        seed: root seed of the run.
        direction: of the objective.
        default: parameters of trial 1; None to draw it, too.
        cheapest_of: number of proposals of which the cheapest is suggested.
        cost_of: parameters to the cost of an epoch, in any unit.
        feasible: whether a point may be tried; other proposals are passed over. None for all.
        priors: trials of something else, which stand before those observed. Their points may be
            suggested: here, nobody has tried them.

    Raises:
        ValueError: ``cheapest_of`` is above 1 and there is no ``cost_of``.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        direction: Literal["min", "max"],
        default: Params | None = None,
        *,
        cheapest_of: int = 1,
        cost_of: Callable[[Params], float] | None = None,
        feasible: Feasible | None = None,
        priors: Priors = NO_PRIORS,
    ):
        if cheapest_of > 1 and cost_of is None:
            raise ValueError("cheapest_of: the cheapest needs cost_of")
        self._cheapest_of = cheapest_of
        self._cost_of = cost_of
        self._space = space
        self._seed = seed
        self._sign = 1.0 if direction == "min" else -1.0
        self._default = default
        self._feasible = feasible
        self._priors = priors
        self._free = [name for name, domain in space.items() if domain.size != 1]

    @cached_property
    def total(self) -> int | None:
        """Number of points of a finite space."""
        return total(self._space, self._feasible)

    def suggest(
        self,
        number: int,
        observed: Sequence[Observation],
        pending: Sequence[Mapping[str, Any]],
    ) -> Suggestion:
        """The parameters of trial ``number``."""
        if number == 1 and self._default is not None:
            return Suggestion(dict(self._default), "default")
        tried = identities([*(seen.params for seen in observed), *pending])
        losses = self._losses(observed)
        if sum(loss is not None for loss in losses) >= STARTUP and self._free:
            before = [prior.params for prior in self._priors.trials]
            rows = [*before, *(seen.params for seen in observed)]
            documents = self._documents([*rows, *pending], [*losses, *(None for _ in pending)])

            def propose(attempt: int) -> dict[str, Any]:
                return self._propose(number, attempt, documents)

            proposals = fresh(propose, tried, self._attempts)
            if self._feasible is not None:
                proposals = filter(self._feasible, proposals)
            points = list(islice(proposals, self._cheapest_of))
            if points:
                return Suggestion(self._cheapest(points), "tpe")
        point = uniform(self._space, self._seed, number, tried, self._feasible)
        return Suggestion(point, "random")

    @property
    def _attempts(self) -> int:
        attempts = REDRAWS + self._cheapest_of - 1
        return attempts if self._feasible is None else CONSTRAINED * attempts

    def _cheapest(self, points: list[dict[str, Any]]) -> dict[str, Any]:
        """The first of the cheapest points."""
        if self._cost_of is None:
            return points[0]
        return min(points, key=self._cost_of)

    def _losses(self, observed: Sequence[Observation]) -> list[float | None]:
        """What is minimised, of the priors and then of the trials observed."""
        before = [self._loss(prior.value) for prior in self._priors.trials]
        losses = [self._loss(seen.value) for seen in observed]
        if self._priors.comparable:
            return [*before, *losses]
        return [*shares(before), *shares(losses)]

    def _loss(self, value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else self._sign * value

    def _propose(
        self, number: int, attempt: int, documents: list[dict[str, Any]]
    ) -> dict[str, Any]:
        from hyperopt import tpe
        from hyperopt.base import trials_from_docs

        found = tpe.suggest(
            [len(documents)],
            self._domain,
            trials_from_docs(documents, validate=False),
            derive_seed(self._seed, "suggest", "tpe", str(number), str(attempt)),
            n_startup_jobs=0,
            n_EI_candidates=CANDIDATES,
            gamma=GAMMA,
            verbose=False,
        )
        values = {name: domain.from_unit(0.5) for name, domain in self._space.items()}
        for name, drawn in found[0]["misc"]["vals"].items():
            domain = self._space[name]
            if isinstance(domain, Choice):
                values[name] = domain.choices[int(drawn[0])]
            else:
                values[name] = domain.from_unit(float(drawn[0]))
        return self._space.restrict(values)

    @cached_property
    def _domain(self) -> Any:
        from hyperopt import hp
        from hyperopt.base import Domain

        space = {}
        for name in self._free:
            domain = self._space[name]
            if isinstance(domain, Choice):
                space[name] = hp.randint(name, domain.size)
            else:
                space[name] = hp.uniform(name, 0.0, 1.0)
        return Domain(lambda _: 0.0, space)

    def _documents(
        self, rows: Iterable[Params], losses: Iterable[float | None]
    ) -> list[dict[str, Any]]:
        """Trials as hyperopt keeps them; one without a loss counts as the worst of all."""
        return [
            self._document(tid, params, loss)
            for tid, (params, loss) in enumerate(zip(rows, losses, strict=True))
        ]

    def _document(self, tid: int, params: Params, loss: float | None) -> dict[str, Any]:
        from hyperopt.base import JOB_STATE_DONE

        values = {
            name: [self._coordinate(name, params[name])] if name in params else []
            for name in self._free
        }
        return {
            "tid": tid,
            "state": JOB_STATE_DONE,
            "result": {} if loss is None else {"loss": loss},
            "misc": {
                "tid": tid,
                "idxs": {name: [tid] * len(found) for name, found in values.items()},
                "vals": values,
            },
        }

    def _coordinate(self, name: str, value: Any) -> float | int:
        domain = self._space[name]
        return domain.index(value) if isinstance(domain, Choice) else domain.to_unit(value)


def shares(losses: Sequence[float | None]) -> list[float | None]:
    """The place of each loss among all of them, 0 to 1; equal losses have equal places.

    With it, losses of different scales can stand beside each other (Salinas et al., A
    quantile-based approach for hyperparameter transfer learning, ICML 2020).
    """
    known = sorted(loss for loss in losses if loss is not None)
    return [
        None
        if loss is None
        else (bisect_left(known, loss) + bisect_right(known, loss)) / (2 * len(known))
        for loss in losses
    ]

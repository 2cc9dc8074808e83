"""Which trial comes next: a function of the search, the seed and the journal alone.

Trial *k* is suggested from the results of trials 1 … *k − lag*; those in between are pending. So
the plan depends neither on the number of workers nor on the order in which results arrive, and the
order in which determined trials are started is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from recsearch.epochs import TrialView, best_row
from recsearch.ledger import Ledger
from recsearch.pareto import losses, trial_values
from recsearch.suggest import Observation, Suggester

TAIL = 2
"""Trials left to start, per worker, from which on the costliest one comes first."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial to run now; ``keys`` are those of its folds where there are several."""

    number: int
    config: Mapping[str, Any]
    key: str
    keys: tuple[str, ...] = ()


class Wait:
    """Whether there is a next trial, or which, depends on trials that still run."""


class Plan(Protocol):
    """What one command has to run."""

    @property
    def total(self) -> int:
        """Number of trials that the run will have."""

    @property
    def nothing_left(self) -> bool:
        """Whether every trial has ended."""

    @property
    def erred(self) -> bool:
        """Whether one of its trials has ended in an error."""

    def begin(self) -> None:
        """Journal what has been decided; the command has opened the run."""

    def next(self) -> PlannedTrial | Wait | None:
        """The next trial to start, `Wait`, or None when all have ended."""

    def again(self, number: int) -> None:
        """Hand out a trial once more: it stopped without having ended."""


class Planner:
    """Hands out unfinished trials of the journal first, then new ones, by number.

    Towards the end it suggests as far ahead as the lag allows and hands out the costliest trial
    first: a long one that is started last would leave all other workers idle. Before, the oldest
    trial comes first, because it is the one that later suggestions wait for.

    Args:
        ledger: the run's journal and record.
        suggester: the pure searcher.
        total: number of trials in all, those of earlier sessions included.
        lag: how many trials back a suggestion may look at the earliest.
        complete: sampled parameters to the complete model configuration.
        key_of: complete configuration to its address in the store.
        keys_of: complete configuration to the addresses of its folds; none where there is one.
        cost_of: complete configuration to its cost, in any unit.
        workers: trials at a time.
        retry_errors: whether trials that ended in an error are run again.
    """

    def __init__(
        self,
        ledger: Ledger,
        suggester: Suggester,
        *,
        total: int,
        lag: int,
        complete: Callable[[dict[str, Any]], dict[str, Any]],
        key_of: Callable[[Mapping[str, Any]], str],
        keys_of: Callable[[Mapping[str, Any]], tuple[str, ...]] = lambda config: (),
        cost_of: Callable[[Mapping[str, Any]], float] = lambda config: 0.0,
        workers: int = 1,
        retry_errors: bool = False,
    ):
        self._ledger = ledger
        self._suggester = suggester
        self._lag = lag
        self._complete = complete
        self._key_of = key_of
        self._keys_of = keys_of
        self._cost_of = cost_of
        self._tail = TAIL * workers
        self._observed: dict[int, tuple[TrialView, Observation]] = {}
        self._total = total if suggester.total is None else min(total, suggester.total)
        self._queue = [
            trial
            for _, trial in sorted(ledger.record.trials.items())
            if not trial.searched.finished or (retry_errors and trial.searched.state == "error")
        ]
        # Views as they were: what is run again has not ended, though its last event says so.
        self._rerun = {trial.number: trial for trial in self._queue}

    @property
    def total(self) -> int:
        """Number of trials that the run will have: fewer than asked for on a small grid."""
        return self._total

    @property
    def nothing_left(self) -> bool:
        """Whether every trial has ended."""
        return not self._queue and len(self._ledger.record.trials) >= self._total

    @property
    def erred(self) -> bool:
        """Whether the search has ended one of its trials in an error."""
        return any(t.searched.state == "error" for t in self._ledger.record.trials.values())

    def begin(self) -> None:
        """Nothing: a suggestion is journalled when it is made."""

    def next(self) -> PlannedTrial | Wait | None:
        """The next trial to start, `Wait`, or None when all have ended.

        Not before they have: a trial whose worker dies comes back.
        """
        while self._may_suggest() and self._suggest():
            pass
        if not self._queue:
            trials = self._ledger.record.trials.values()
            all_ended = len(trials) >= self._total and all(map(self._has_ended, trials))
            return None if all_ended else Wait()
        trial = min(self._queue, key=self._turn)
        self._queue.remove(trial)
        return PlannedTrial(trial.number, trial.config, trial.key, trial.keys)

    def again(self, number: int) -> None:
        """Hand out a trial once more: it stopped without having ended."""
        self._queue.append(self._ledger.record.trials[number])

    @property
    def _near_end(self) -> bool:
        unstarted = self._total - len(self._ledger.record.trials) + len(self._queue)
        return unstarted <= self._tail

    def _turn(self, trial: TrialView) -> tuple[float, int]:
        return -self._cost_of(trial.config) if self._near_end else 0.0, trial.number

    def _may_suggest(self) -> bool:
        return (not self._queue or self._near_end) and (
            len(self._ledger.record.trials) < self._total
        )

    def _suggest(self) -> bool:
        """Journal and queue the next new trial, unless it depends on one that has not ended."""
        number = len(self._ledger.record.trials) + 1
        seen, pending = self._known_to(number)
        if not all(map(self._has_ended, seen)):
            return False
        suggestion = self._suggester.suggest(
            number,
            self._observations(seen),
            [trial.params for trial in pending],
        )
        config = self._complete(dict(suggestion.params))
        key, keys = self._key_of(config), self._keys_of(config)
        params = dict(suggestion.params)
        self._ledger.suggested(number, params, config, key, suggestion.origin, keys)
        self._queue.append(self._ledger.record.trials[number])
        return True

    def _has_ended(self, trial: TrialView) -> bool:
        """Whether the search has ended a trial for good."""
        return trial.searched.finished and self._rerun.get(trial.number) is not trial

    def _known_to(self, number: int) -> tuple[list[TrialView], list[TrialView]]:
        trials = [self._ledger.record.trials[n].searched for n in range(1, number)]
        split = max(0, number - self._lag)
        return trials[:split], trials[split:]

    def _observations(self, seen: list[TrialView]) -> list[Observation]:
        objectives = self._ledger.record.objectives
        if len(objectives) == 1:
            return [self._observation(trial) for trial in seen]
        rows = [() if trial.state == "error" else trial.epochs for trial in seen]
        points = [[losses(row.metrics, objectives) for row in each] for each in rows]
        values = trial_values([[p for p in each if p is not None] for each in points])
        return [
            Observation(trial.number, dict(trial.params), value)
            for trial, value in zip(seen, values, strict=True)
        ]

    def _observation(self, trial: TrialView) -> Observation:
        known = self._observed.get(trial.number)
        if known is not None and known[0] is trial:
            return known[1]
        metric = self._ledger.record.objective
        row = None if trial.state == "error" else best_row(trial.epochs, metric)
        value = None if row is None else row.value(metric.name)
        observation = Observation(trial.number, dict(trial.params), value)
        self._observed[trial.number] = (trial, observation)
        return observation

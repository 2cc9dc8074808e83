"""Which trial comes next: a function of the search, the seed and the journal alone.

Trial *k* is suggested from the results of trials 1 … *k − lag*; those in between are pending. So
the plan depends neither on the number of workers nor on the order in which results arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsearch.ledger import Ledger
from recsearch.record import TrialView, best_row
from recsearch.suggest import Observation, Suggester


@dataclass(frozen=True)
class PlannedTrial:
    """A trial to run now."""

    number: int
    config: Mapping[str, Any]
    key: str


class Wait:
    """Whether there is a next trial, or which, depends on trials that still run."""


class Planner:
    """Hands out unfinished trials of the journal first, then new ones.

    Args:
        ledger: the run's journal and record.
        suggester: the pure searcher.
        total: number of trials in all, those of earlier sessions included.
        lag: how many trials back a suggestion may look at the earliest.
        complete: sampled parameters to the complete model configuration.
        key_of: complete configuration to its address in the store.
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
        retry_errors: bool = False,
    ):
        self._ledger = ledger
        self._suggester = suggester
        self._lag = lag
        self._complete = complete
        self._key_of = key_of
        self._total = total if suggester.total is None else min(total, suggester.total)
        self._unfinished = [
            trial
            for _, trial in sorted(ledger.record.trials.items())
            if not trial.finished or (retry_errors and trial.state == "error")
        ]

    @property
    def total(self) -> int:
        """Number of trials that the run will have: fewer than asked for on a small grid."""
        return self._total

    @property
    def nothing_left(self) -> bool:
        """Whether every trial has ended."""
        return not self._unfinished and len(self._ledger.record.trials) >= self._total

    def next(self) -> PlannedTrial | Wait | None:
        """The next trial to start, `Wait`, or None when all have ended.

        Not before they have: a trial whose worker dies comes back.
        """
        if self._unfinished:
            trial = self._unfinished.pop(0)
            return PlannedTrial(trial.number, trial.config, trial.key)
        trials = self._ledger.record.trials
        number = len(trials) + 1
        if number > self._total:
            return None if all(trial.finished for trial in trials.values()) else Wait()
        seen, pending = self._known_to(number)
        if any(not trial.finished for trial in seen):
            return Wait()
        suggestion = self._suggester.suggest(
            number,
            [self._observation(trial) for trial in seen],
            [trial.params for trial in pending],
        )
        config = self._complete(dict(suggestion.params))
        key = self._key_of(config)
        self._ledger.suggested(number, dict(suggestion.params), config, key, suggestion.origin)
        return PlannedTrial(number, config, key)

    def again(self, number: int) -> None:
        """Hand out a trial once more, before any other: it stopped without having ended."""
        self._unfinished.insert(0, self._ledger.record.trials[number])

    def _known_to(self, number: int) -> tuple[list[TrialView], list[TrialView]]:
        trials = self._ledger.record.trials
        seen = [trials[n] for n in range(1, number) if n <= number - self._lag]
        pending = [trials[n] for n in range(1, number) if n > number - self._lag]
        return seen, pending

    def _observation(self, trial: TrialView) -> Observation:
        metric = self._ledger.record.objective
        row = None if trial.state == "error" else best_row(trial.epochs, metric)
        value = None if row is None else row.value(metric.name)
        return Observation(trial.number, dict(trial.params), value)

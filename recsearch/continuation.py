"""Which trials of a run are continued after the search has ended them, and for how long.

A continuation is no part of the search: the search goes on seeing each trial as it ended it (see
`recsearch.epochs.TrialView.searched`), so a run can be continued and then searched further, in any
order, and suggests and prunes what it would have without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recsearch.epochs import TrialView, best_row
from recsearch.errors import UsageError
from recsearch.ledger import Ledger
from recsearch.planner import PlannedTrial, Wait
from recsearch.record import Record
from recsearch.stopping import StopRule


def choose(
    record: Record, top: int | None, named: Sequence[int], epochs: int, again: str
) -> list[TrialView]:
    """The trials that a command asks for: the best first, then those that it names.

    Last come those that an interrupted command was continuing for as many epochs: where the search
    has gone on in between, they may be among the best no more.

    The ranking is by the best epoch up to where the search ended a trial, so that the same command
    chooses the same trials again, however far it came.

    Args:
        record: the run.
        top: how many of the best trials; None for none.
        named: numbers of further trials.
        epochs: how many epochs each is to have.
        again: the command that resumes the search.

    Raises:
        UsageError: a named trial does not exist, has not ended, or ended in an error.
    """
    ended = [trial for trial in record.trials.values() if _continuable(trial)]
    ranked = sorted(ended, key=lambda trial: _rank(trial, record))[: top or 0]
    chosen = {trial.number: trial for trial in ranked}
    for number in named:
        trial = record.trials.get(number)
        if trial is None:
            last = max(record.trials, default=0)
            raise UsageError(f"--trial {number}: there is none; the run has trials 1 to {last}.")
        if not trial.searched.finished:
            raise UsageError(
                f"--trial {number}: the search has not ended it yet.",
                hint=f"Let the search end first: {again}",
            )
        if not _continuable(trial):
            raise UsageError(
                f"--trial {number}: it ended in an error, so there is nothing to continue from.",
                hint=f"Run it again: {again} --retry-errors",
            )
        chosen[number] = trial
    for trial in record.trials.values():
        if trial.target == epochs and not trial.finished:
            chosen[trial.number] = trial
    return list(chosen.values())


def _continuable(trial: TrialView) -> bool:
    return trial.searched.state in {"done", "pruned"} and bool(trial.searched.epochs)


def _rank(trial: TrialView, record: Record) -> tuple[float, int, int]:
    metric = record.objective
    row = best_row(trial.searched.epochs, metric)
    if row is None:
        return math.inf, 0, trial.number
    value = row.value(metric.name)
    return -value if metric.direction == "max" else value, row.epoch, trial.number


class Continuation:
    """Hands out the trials that are to have more epochs; what is left of them after a kill.

    Args:
        ledger: the run's journal and record.
        trials: numbers of the chosen trials.
        epochs: how many epochs each is to have, those of the search included.
        stop: what else may end it.
        cost_of: complete configuration to its cost of an epoch, in any unit.
        total: number of trials of the run.
        retry_errors: whether trials whose continuation ended in an error are continued again.
    """

    def __init__(
        self,
        ledger: Ledger,
        trials: Iterable[int],
        epochs: int,
        stop: StopRule,
        *,
        cost_of: Callable[[Mapping[str, Any]], float],
        total: int,
        retry_errors: bool = False,
    ):
        self._ledger = ledger
        self._epochs = epochs
        self._stop = stop
        self._total = total
        self._asked = tuple(trials)
        found = (ledger.record.trials[number] for number in self._asked)
        left = [
            trial
            for trial in found
            if (retry_errors or trial.state != "error") and not self._has_ended(trial)
        ]
        # The longest first: it would be what all others wait for at the end.
        # Models that do not say what an epoch costs are taken to cost all the same.
        left.sort(key=lambda t: -(cost_of(t.config) or 1.0) * (epochs - len(t.epochs)))
        self.numbers = tuple(trial.number for trial in left)
        self._queue = list(self.numbers)

    @property
    def total(self) -> int:
        """Number of trials of the run."""
        return self._total

    @property
    def nothing_left(self) -> bool:
        """Whether every trial has its epochs."""
        return not self._queue

    @property
    def erred(self) -> bool:
        """Whether one of the chosen trials has ended in an error."""
        return any(self._ledger.record.trials[n].state == "error" for n in self._asked)

    def begin(self) -> None:
        """Journal what each trial is continued for, unless an interrupted command has done so."""
        for number in self.numbers:
            trial = self._ledger.record.trials[number]
            if trial.finished or trial.target != self._epochs:
                self._ledger.continued(number, self._epochs)

    def next(self) -> PlannedTrial | Wait | None:
        """The next trial to continue, `Wait`, or None when all have ended."""
        trials = self._ledger.record.trials
        if self._queue:
            trial = trials[self._queue.pop(0)]
            return PlannedTrial(trial.number, trial.config, trial.key, trial.keys)
        return None if all(trials[number].finished for number in self.numbers) else Wait()

    def again(self, number: int) -> None:
        """Hand out a trial once more: it stopped without having ended."""
        self._queue.insert(0, number)

    def _has_ended(self, trial: TrialView) -> bool:
        """Whether a trial has all its epochs, or would stop at one that it has."""
        if not trial.finished and trial.target == self._epochs:
            return False
        histories = [(m, trial.history(m.name)) for m in self._ledger.record.objectives]
        stops = (
            all(self._stop.stop(values[:n], m.direction) for m, values in histories)
            for n in range(1, len(trial.epochs) + 1)
        )
        return len(trial.epochs) >= self._epochs or any(stops)

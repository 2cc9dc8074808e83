"""The driver's book-keeping: journal and record in step, decisions, and the best files.

Exactly one process writes a run. Events are journalled before anything is derived from them, and an
event that the journal already has (an epoch replayed from the store after a kill) is not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from recsearch.epochs import EpochRow, TrialView
from recsearch.evaluation import Metric
from recsearch.journal import Event
from recsearch.pruning import Rule
from recsearch.record import Record


class Appends(Protocol):
    """What a ledger needs of a journal."""

    def append(self, event: str, **values: Any) -> Event:
        """Write one event durably and return it."""


class Ledger:
    """Writes events and answers what they add up to.

    Args:
        journal: the run's journal, open for appending.
        record: the fold over the journal's events so far.
        lag: trial *k* is judged against trials 1 … *k − lag*.
        on_change: called after every event (the display).
        on_best: called when the best (trial, epoch) changes.
        on_note: called with what a worker has to tell the user.
        on_front: called when the Pareto front of several objectives changes.
    """

    def __init__(
        self,
        journal: Appends,
        record: Record,
        *,
        lag: int,
        on_change: Callable[[Record], None] = lambda record: None,
        on_best: Callable[[TrialView, EpochRow], None] = lambda trial, row: None,
        on_note: Callable[[str], None] = lambda text: None,
        on_front: Callable[[Record], None] = lambda record: None,
    ):
        self.record = record
        self._journal = journal
        self._lag = lag
        self._on_change = on_change
        self._on_best = on_best
        self._on_note = on_note
        self._on_front = on_front
        self._histories: dict[tuple[int, str], tuple[TrialView, list[float]]] = {}
        best = record.best()
        self._best = None if best is None else best[1]

    def write(self, event: str, **values: Any) -> None:
        """Journal one event and take it into the record."""
        self.record.apply(self._journal.append(event, **values))
        self._on_change(self.record)

    @property
    def lag(self) -> int:
        """How many trials back results may be looked at, which bounds how many run at a time."""
        return self._lag

    def suggested(
        self,
        number: int,
        params: Mapping[str, Any],
        config: Mapping[str, Any],
        key: str,
        origin: str,
        keys: Sequence[str] = (),
    ) -> None:
        """A new trial exists; ``keys`` are those of its folds where there are several."""
        self.write(
            "suggested",
            trial=number,
            params=dict(params),
            config=dict(config),
            key=key,
            origin=origin,
            **({"keys": list(keys)} if keys else {}),
        )

    def started(self, number: int) -> None:
        """A worker takes up the trial."""
        self.write("started", trial=number)

    def continued(self, number: int, epochs: int) -> None:
        """A trial that the search has ended is to have this many epochs."""
        self.write("continued", trial=number, epochs=epochs)

    def interrupted(self, number: int, reason: str) -> None:
        """The trial stopped without having ended; it will be continued."""
        if not self.record.trials[number].finished:
            epochs = len(self.record.trials[number].epochs)
            self.write("interrupted", trial=number, epoch=epochs, reason=reason)

    def failed(self, number: int, kind: str, message: str) -> None:
        """The trial ended in an error."""
        if not self.record.trials[number].finished:
            epoch = len(self.record.trials[number].epochs) + 1
            self.write("error", trial=number, epoch=epoch, kind=kind, message=message)

    def report(self, number: int, report: Mapping[str, Any], rule: Rule) -> bool:
        """Take in what a worker reports after one epoch; whether the trial ends here."""
        if "error" in report:
            self.failed(number, report["error"]["kind"], report["error"]["message"])
            return True
        outcome = dict(report["outcome"])
        finished, note = outcome.pop("finished"), outcome.pop("note", None)
        if outcome.get("folds") is None:
            outcome.pop("folds", None)
        if note:
            self.write("note", text=f"trial {number}: {note}")
            self._on_note(f"trial {number}: {note}")
        self._epoch(number, outcome)
        epoch = outcome["epoch"]
        if finished:
            self.write("done", trial=number, epoch=epoch, reason=finished)
            return True
        # By several objectives, a trial is hopeless only if it is by every one of them.
        if not any(self._keeps(number, epoch, rule, metric) for metric in self.record.objectives):
            self.write("pruned", trial=number, epoch=epoch, rule=rule.name)
            return True
        return False

    def _epoch(self, number: int, outcome: Mapping[str, Any]) -> None:
        known = self.record.trials[number].epochs
        if outcome["epoch"] <= len(known):
            return
        self.write("epoch", trial=number, **outcome)
        row = self.record.trials[number].epochs[-1]
        best = self.record.best()
        if best is not None and best[1] is row and row is not self._best:
            self._best = row
            self._on_best(self.record.trials[number], row)
        if self.record.others and any(found is row for _, found in self.record.front()):
            self._on_front(self.record)

    def _keeps(self, number: int, epoch: int, rule: Rule, metric: Metric) -> bool:
        history = self._history(self.record.trials[number], metric)[:epoch]
        return rule.keep(history, self._peers(number, metric), metric.direction)

    def _peers(self, number: int, metric: Metric) -> Sequence[Sequence[float]]:
        trials = self.record.trials
        peers = [trials[n].searched for n in range(1, number - self._lag + 1)]
        return [self._history(peer, metric) for peer in peers if peer.state in {"done", "pruned"}]

    def _history(self, trial: TrialView, metric: Metric) -> list[float]:
        # Every epoch looks at all peers again; a view is replaced when its trial changes.
        known = self._histories.get((trial.number, metric.name))
        if known is not None and known[0] is trial:
            return known[1]
        values = trial.history(metric.name)
        history = [value if math.isfinite(value) else math.nan for value in values]
        self._histories[trial.number, metric.name] = (trial, history)
        return history

"""Keeps the checkpoints of a running search to its retention and quota, and frees the bytes.

A trial drops its own epochs while it runs. What needs the other trials is done here: what is left
of a trial that has ended, and what gives way where a quota is full.
"""

from __future__ import annotations

import time
from collections.abc import Set

from recsearch.epochs import TrialView
from recsearch.errors import StoreError
from recsearch.keeping import ManyRetention, record_of
from recsearch.plan import owner_of
from recsearch.record import Record
from recsearch.store import Store
from recsearch.store.holdings import Holdings
from recsearch.store.retention import NOTHING, Retention, TrialRecords
from recsearch.store.retention import Record as Judged
from recsearch.units import size

EVERY_S = 60.0
"""Time between collections, and for how long a marked pack is left for readers."""
LITTER = 0.1
"""Bytes written between two collections, as a part of the quota. They may exceed it by that."""


class Housekeeper:
    """Drops and collects now and then. Several searches may share the store: one at a time does.

    Args:
        store: Where the checkpoints are.
        record: The run, as it grows.
        retention: What it keeps.
        run_id: Whose checkpoints these are.
        quota: Bytes that they may hold; None for any number.

    Attributes:
        problem: What could not be done the last time, if anything.
    """

    def __init__(
        self,
        store: Store,
        record: Record,
        retention: Retention | ManyRetention,
        run_id: str,
        quota: int | None,
    ):
        self._store = store
        self._record = record
        self._retention = retention
        self._run_id = run_id
        self._quota = quota
        self._holdings = Holdings(store)
        self._seen: dict[int, tuple[int, str]] = {}
        self._judged: object = None
        self._dropped: dict[int, set[int]] = {}
        self._known: dict[int, tuple[TrialView, TrialRecords]] = {}
        self._settled: dict[int, TrialRecords] = {}
        self._leader: int | None = None
        self._last = time.monotonic()
        self._collected = self._written()
        self.problem: str | None = None

    def tick(self) -> None:
        """Drop what retention and quota ask for; collect if the last time is long enough ago.

        Raises:
            StoreError: the quota is full of what may not be dropped, or the store fails.
        """
        self._retain()
        if not self._fits():
            raise self._full()
        if time.monotonic() - self._last >= EVERY_S:
            self._collect(EVERY_S)
        elif self._quota is not None and self._written() - self._collected > LITTER * self._quota:
            self._collect(0)

    def finish(self) -> None:
        """Drop and collect all that the run has left."""
        self._retain()
        self._seen.clear()
        fits = self._fits()
        self._collect(0)
        if not fits:
            self.problem = self._full().message

    def _retain(self) -> None:
        """Apply the rules for trials that have ended; their own best epochs were kept till now."""
        ended = sum(trial.finished for trial in self._record.trials.values())
        best = self._record.best()
        state = (ended, [row for _, row in self._record.front()])
        if state == self._judged:
            return
        trials = self._to_judge(None if best is None else best[1].trial)
        kept = self._retention.keep(trials)
        for trial in trials:
            stays, known = kept[trial.number], self._dropped.get(trial.number, set())
            if trial.ended and not self._retention.training.keep(trial.records) - known <= stays:
                self._drop(trial.number, {record.epoch for record in trial.records} - stays)
            self._settled[trial.number] = trial
        self._judged = state

    def _to_judge(self, best: int | None) -> list[TrialRecords]:
        """The trials for which the rules may say something new.

        Unless trials are ranked, that is those that have changed and the two that the best epoch
        has moved between.
        """
        trials = self._trials()
        if self._retention.top_trials is None:
            moved = {best, self._leader}
            known = self._settled
            trials = [t for t in trials if known.get(t.number) is not t or t.number in moved]
        self._leader = best
        return trials

    def _fits(self) -> bool:
        """Whether the quota suffices, after dropping what may give way."""
        if self._quota is None:
            return True
        for number, trial in self._record.trials.items():
            state = (len(trial.epochs), trial.state)
            if self._seen.get(number) != state:
                self._look(trial)
                self._seen[number] = state
        if self._holdings.total <= self._quota:
            return True
        for number, epochs in self._retention.expendable(self._trials()):
            trial = self._record.trials[number]
            owner = owner_of(self._run_id, number)
            held = (self._holdings.epochs(key, owner) for key in trial.fold_keys)
            there = set[int]().union(*held)
            if epochs & there:
                self._drop(number, epochs & there)
                self._look(trial)
            if self._holdings.total <= self._quota:
                break
        self._collect(0)
        return self._holdings.total <= self._quota

    def _full(self) -> StoreError:
        quota = self._quota or 0
        why = (
            "retention all keeps every epoch"
            if self._retention.keeps_all
            else "all that is left is the best epoch and what unfinished trials continue from"
        )
        return StoreError(
            f"the checkpoints of this run hold {size(self._holdings.total)}, more than its quota "
            f"of {size(quota)}, and no more may be dropped: {why}.",
            hint="Nothing is lost: the same command goes on with a larger --quota, or with none.",
        )

    def _look(self, trial: TrialView) -> None:
        owner = owner_of(self._run_id, trial.number)
        for key in trial.fold_keys:
            self._holdings.update(key, owner, len(trial.epochs))

    def _drop(self, number: int, epochs: Set[int]) -> None:
        self._dropped[number] = self._dropped.get(number, set()) | epochs
        judged = [Judged(epoch, None) for epoch in sorted(epochs)]
        owner = owner_of(self._run_id, number)
        for key in self._record.trials[number].fold_keys:
            self._store.retain(key, NOTHING, judged, owner=owner)

    def _trials(self) -> list[TrialRecords]:
        return [self._records(trial) for trial in self._record.trials.values()]

    def _records(self, trial: TrialView) -> TrialRecords:
        """The same object until the trial changes."""
        known = self._known.get(trial.number)
        if known is not None and known[0] is trial:
            return known[1]
        objectives = self._record.objectives
        made = TrialRecords(
            trial.number,
            tuple(record_of(row.epoch, row.metrics, objectives) for row in trial.epochs),
            ended=trial.finished,
            pruned=trial.state == "pruned",
        )
        self._known[trial.number] = (trial, made)
        return made

    def _written(self) -> int:
        trials = self._record.trials.values()
        return sum(row.stored_bytes for trial in trials for row in trial.epochs)

    def _collect(self, grace_s: float) -> None:
        # Another process may be collecting, or a manifest of another run be damaged: neither is
        # a reason to stop this search, and nothing is deleted then.
        try:
            self._store.collect(grace_s=grace_s)
            self.problem = None
        except StoreError as err:
            self.problem = f"dropped checkpoints not freed: {err}"
        self._last = time.monotonic()
        self._collected = self._written()

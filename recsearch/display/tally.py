"""Counts over the trials of a run, kept up to date without looking at all epochs again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from recsearch.epochs import TrialView


class Change(NamedTuple):
    """A trial and how it was before; None if it is new."""

    trial: TrialView
    before: TrialView | None


class Tally:
    """Sums that follow the trials of a record.

    Attributes:
        states: Trials by state.
        cached: Trials of which every epoch came from the store.
        finished: Trials that have ended.
        trained: Epochs that were trained, not taken from the store.
        written: Bytes that the run has stored.
        worked: Trials that have ended and were trained, at least in part.
    """

    def __init__(self) -> None:
        self._known: dict[int, TrialView] = {}
        self.states: Counter[str] = Counter()
        self.cached = self.finished = self.trained = self.written = self.worked = 0

    def update(self, trials: Iterable[TrialView]) -> list[Change]:
        """Take in how the trials are now; those that have changed."""
        changes = []
        for trial in trials:
            before = self._known.get(trial.number)
            # A view is replaced when its trial changes.
            if before is not trial:
                changes.append(Change(trial, before))
                self._known[trial.number] = trial
                self._add(trial, 1)
                if before is not None:
                    self._add(before, -1)
        return changes

    def _add(self, trial: TrialView, sign: int) -> None:
        self.states[trial.state] += sign
        self.cached += sign * trial.cached
        self.finished += sign * trial.finished
        self.worked += sign * (trial.finished and not trial.cached)
        self.trained += sign * sum(not row.cached for row in trial.epochs)
        self.written += sign * sum(row.stored_bytes for row in trial.epochs)

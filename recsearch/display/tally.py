"""Counts over the trials of a run, kept up to date without looking at all epochs again."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from recsearch.epochs import TrialView

LATEST = 6
"""Trials that have ended and are still shown."""


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
        latest: The trials that ended last, the latest first.
    """

    def __init__(self) -> None:
        self._known: dict[int, TrialView] = {}
        self._first: dict[str, Any] = {}
        self._differs: dict[str, bool] = {}
        self._running: dict[int, TrialView] = {}
        self.latest: list[TrialView] = []
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
                if before is None:
                    self._compare(trial.params)
                else:
                    self._add(before, -1)
        self._follow(changes)
        return changes

    @property
    def running(self) -> list[TrialView]:
        """Trials at work, the oldest first."""
        return [self._running[number] for number in sorted(self._running)]

    @property
    def names(self) -> list[str]:
        """Parameters that trials differ in, in the order of the search; all of a single trial.

        A parameter that one trial has and another has not is one of them.
        """
        several = len(self._known) > 1
        return [name for name, differs in self._differs.items() if differs or not several]

    def _follow(self, changes: list[Change]) -> None:
        """Keep the trials at work and those that ended last."""
        among: Iterable[TrialView] = self.latest
        for trial, before in changes:
            if trial.state == "training":
                self._running[trial.number] = trial
            else:
                self._running.pop(trial.number, None)
            if before is not None and before.finished:
                # It may be one of the latest no more, and then another is that ended long ago.
                among = self._known.values()
        ended = {t.number: t for t in (*among, *(c.trial for c in changes)) if t.finished}
        self.latest = heapq.nlargest(LATEST, ended.values(), key=_when)

    def _compare(self, params: dict[str, Any]) -> None:
        """Take in the parameters of a new trial: they do not change."""
        if len(self._known) == 1:
            self._first = params
        for name in self._first | params:
            here, there = name in self._first, name in params
            differs = here != there or self._first[name] != params[name]
            self._differs[name] = self._differs.get(name, False) or differs

    def _add(self, trial: TrialView, sign: int) -> None:
        self.states[trial.state] += sign
        self.cached += sign * trial.cached
        self.finished += sign * trial.finished
        self.worked += sign * (trial.finished and not trial.cached)
        self.trained += sign * sum(not row.cached for row in trial.epochs)
        self.written += sign * sum(row.stored_bytes for row in trial.epochs)


def _when(trial: TrialView) -> tuple[str, int]:
    return trial.ended or "", trial.number

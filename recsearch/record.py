"""What a journal says: a fold over its events into trials, their states and the best epoch.

The driver applies events as it writes them and pages apply them as they read them, so both see the
same run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from recsearch.epochs import EpochRow, TrialView, beats, best_row, join_front
from recsearch.errors import RecsearchError
from recsearch.evaluation import Metric
from recsearch.journal import Event
from recsearch.pareto import losses

KILLED = "its command was killed"
"""Why a trial is interrupted of which the journal has no end."""


@dataclass
class Record:
    """The state of a run after the events applied so far.

    ``others`` are the objectives beside the first, where a search has several. ``tests`` has an
    event for every time that test data was read.
    """

    objective: Metric
    others: tuple[Metric, ...] = ()
    trials: dict[int, TrialView] = field(default_factory=dict)
    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)
    _best: EpochRow | None = None
    _front: list[EpochRow] = field(default_factory=list)

    @classmethod
    def replay(
        cls, objective: Metric, events: Iterable[Event], others: Iterable[Metric] = ()
    ) -> Record:
        """Fold all ``events``, oldest first; ``others`` are objectives beside the first.

        Raises:
            RecsearchError: an event contradicts those before it; names its line.
        """
        record = cls(objective, tuple(others))
        for number, event in enumerate(events, start=1):
            record.apply_line(number, event)
        return record

    def apply(self, event: Event) -> None:
        """Take in one event."""
        _APPLY[event["event"]](self, event)

    def apply_line(self, number: int, event: Event) -> None:
        """Take in the event of one line of a journal.

        Raises:
            RecsearchError: it contradicts those before it; names the line.
        """
        try:
            self.apply(event)
        except (KeyError, TypeError, AttributeError, ValueError) as err:
            raise RecsearchError(
                f"journal line {number}: a {event['event']} event that does not follow from "
                f"the lines before it ({type(err).__name__}: {err}); nothing was changed.",
                hint="Mend the line by hand, or start over beside it: the same command with "
                "--fresh (finished epochs are taken from the store, not trained again).",
            ) from err

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All objectives, the first of them first."""
        return (self.objective, *self.others)

    @property
    def planned(self) -> int | None:
        """Total number of trials asked for by the latest command, if any ran."""
        return self.sessions[-1]["trials"] if self.sessions else None

    @property
    def quota(self) -> str | None:
        """What the latest command allowed the run's checkpoints, as it is written in a search."""
        return next((s["quota"] for s in reversed(self.sessions) if "quota" in s), None)

    def best(self, metric: Metric | None = None) -> tuple[TrialView, EpochRow] | None:
        """The best (trial, epoch); ties go to the earlier epoch, then the lower trial.

        With several objectives those by which ``metric`` does not decide come first, so that the
        best by each objective is on the front.
        """
        if metric is None or metric == self.objective:
            row = self._best
        else:
            rows = (r for t in self.trials.values() for r in t.epochs)
            row = best_row(rows, metric, self.objectives if self.others else ())
        return None if row is None else (self.trials[row.trial], row)

    def best_of(self, trial: TrialView, metric: Metric | None = None) -> EpochRow | None:
        """The best epoch of one trial, by the same rules; None if it has none."""
        ranked = self.objectives if self.others else ()
        return best_row(trial.epochs, metric or self.objective, ranked)

    def front(self) -> list[tuple[TrialView, EpochRow]]:
        """The epochs that no other one beats by every objective, best by the first one first.

        With one objective that is the best epoch. Of epochs with equal objectives the earlier one
        is meant, then that of the lower trial. One of which an objective was not measured is none.
        """
        rows = self._front if self.others else [row for row in [self._best] if row is not None]
        ordered = sorted(rows, key=lambda row: (losses(row.metrics, self.objectives), row.trial))
        return [(self.trials[row.trial], row) for row in ordered]

    def counts(self) -> dict[str, int]:
        """Trials by state, trials served from the store, and epochs (all, and cached)."""
        states = Counter(trial.state for trial in self.trials.values())
        rows = [row for trial in self.trials.values() for row in trial.epochs]
        names = ("done", "pruned", "error", "interrupted", "training", "queued")
        return {
            **{name: states[name] for name in names},
            "cached": sum(trial.cached for trial in self.trials.values()),
            "epochs": len(rows),
            "cached_epochs": sum(row.cached for row in rows),
        }


def _opened(record: Record, event: Event) -> None:
    # One process works on a run: whatever the one before was at, it is no more.
    for number, trial in record.trials.items():
        if trial.state == "training":
            record.trials[number] = replace(trial, state="interrupted", reason=KILLED)
    record.sessions.append(dict(event))


def _closed(record: Record, event: Event) -> None:
    if record.sessions:
        record.sessions[-1]["closed"] = event["time"]
        record.sessions[-1]["exit_code"] = event["exit_code"]


def _baseline(record: Record, event: Event) -> None:
    record.baselines[event["name"]] = {
        "config": event.get("config", {}),
        "metrics": event["metrics"],
        **({"folds": event["folds"]} if "folds" in event else {}),
    }


def _suggested(record: Record, event: Event) -> None:
    number = event["trial"]
    record.trials[number] = TrialView(
        number=number,
        params=event["params"],
        config=event["config"],
        key=event["key"],
        origin=event["origin"],
        keys=tuple(event.get("keys", ())),
    )


def _started(record: Record, event: Event) -> None:
    trial = record.trials[event["trial"]]
    record.trials[trial.number] = replace(
        trial,
        state="training",
        started=trial.started or event["time"],
        reason=None,
        spans=(*trial.spans, (event["time"], "")),
    )


def _epoch(record: Record, event: Event) -> None:
    trial = record.trials[event["trial"]]
    if event["epoch"] != len(trial.epochs) + 1 or not isinstance(event["metrics"], dict):
        raise ValueError(f"epoch {event['epoch']} after {len(trial.epochs)} epochs")
    names = EpochRow.__dataclass_fields__.keys()
    row = EpochRow(**{name: event[name] for name in names if name in event})
    record.trials[trial.number] = replace(trial, epochs=(*trial.epochs, row))
    if beats(row, record._best, record.objectives):
        record._best = row
    if record.others:
        join_front(record._front, row, record.objectives)


def _ended(state: str, reason: str) -> Callable[[Record, Event], None]:
    def apply(record: Record, event: Event) -> None:
        trial = record.trials[event["trial"]]
        record.trials[trial.number] = replace(
            trial,
            state=state,
            reason=event.get(reason),
            message=event.get("message"),
            ended=event["time"],
            spans=_closed_at(trial.spans, event["time"]),
        )

    return apply


def _closed_at(spans: tuple[tuple[str, str], ...], time: str) -> tuple[tuple[str, str], ...]:
    if not spans or spans[-1][1]:
        return spans
    return (*spans[:-1], (spans[-1][0], time))


def _continued(record: Record, event: Event) -> None:
    trial = record.trials[event["trial"]]
    if not trial.searched.finished:
        raise ValueError(f"trial {trial.number} had not ended")
    record.trials[trial.number] = replace(
        trial,
        state="queued",
        reason=None,
        message=None,
        target=event["epochs"],
        ended_by_search=trial.searched,
    )


def _note(record: Record, event: Event) -> None:
    record.notes.append(event["text"])


def _test(record: Record, event: Event) -> None:
    record.tests.append(dict(event))


_APPLY: dict[str, Callable[[Record, Event], None]] = {
    "opened": _opened,
    "closed": _closed,
    "baseline": _baseline,
    "suggested": _suggested,
    "started": _started,
    "epoch": _epoch,
    "pruned": _ended("pruned", "rule"),
    "done": _ended("done", "reason"),
    "error": _ended("error", "kind"),
    "interrupted": _ended("interrupted", "reason"),
    "continued": _continued,
    "note": _note,
    "test": _test,
}

"""What a live table shows, at one moment: values only, nothing of how they are drawn."""

from __future__ import annotations

from typing import NamedTuple

from recsearch.display.base import About
from recsearch.display.clock import Clock
from recsearch.display.tally import Tally
from recsearch.epochs import EpochRow, TrialView
from recsearch.evaluation import Metric
from recsearch.record import Record
from recsearch.summary import gain


class Row(NamedTuple):
    """A trial of the table.

    Attributes:
        trial: The trial.
        curve: Its objective by epoch.
        top: Its best epoch; None if none has a finite value.
        aim: Epochs that it has at most, where that is known and it is running.
        best: Whether the best of all is one of its epochs.
    """

    trial: TrialView
    curve: tuple[float, ...]
    top: EpochRow | None
    aim: int | None
    best: bool


class Gain(NamedTuple):
    """By how much the best is better than a baseline, which is the positive direction."""

    baseline: str
    value: float


class Snapshot(NamedTuple):
    """A search at one moment.

    Attributes:
        about: What its record does not say.
        objectives: What is searched for.
        best: The best trial and epoch.
        gain: What it is better by.
        names: Parameters that trials differ in.
        running: Trials at work, the oldest first.
        finished: Those that ended last, the latest first.
        front: How many epochs no other beats; None with one objective.
    """

    about: About
    objectives: tuple[Metric, ...]
    best: tuple[TrialView, EpochRow] | None
    gain: Gain | None
    names: tuple[str, ...]
    running: tuple[Row, ...]
    finished: tuple[Row, ...]
    front: int | None


class Times(NamedTuple):
    """What changes while nothing is journalled: seconds, epochs per minute, bytes."""

    elapsed: float
    left: float | None
    pace: float | None
    store: int | None


def take(record: Record, tally: Tally, about: About) -> Snapshot:
    """The search as its record has it now, which the tally has been told of."""
    best, found = record.best(), gain(record)
    leader = None if best is None else best[0].number

    def row(trial: TrialView) -> Row:
        curve = tuple(trial.history(record.objective.name))
        aim = trial.target or about.max_epochs if not trial.finished else None
        return Row(trial, curve, record.best_of(trial), aim, trial.number == leader)

    return Snapshot(
        about,
        record.objectives,
        best,
        None if found is None else Gain(found[0], found[1]),
        tuple(tally.names),
        tuple(map(row, tally.running)),
        tuple(map(row, tally.latest)),
        len(record.front()) if record.others else None,
    )


def times(clock: Clock, tally: Tally, store: int | None) -> Times:
    """What the clock says now."""
    return Times(clock.elapsed(), clock.left(), clock.pace(tally), store)

"""What the pages take from a run: one value per trial, reference lines, gains, elapsed time."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NamedTuple

from analysis.formatting import moment
from recsearch.epochs import EpochRow, TrialView
from recsearch.run import RunView

BASELINE_LABELS = {"bias": "tuned bias", "popular": "popularity", "chance": "chance"}
STATES = ("done", "pruned", "error", "interrupted", "training", "queued")


class Point(NamedTuple):
    """The best epoch of one trial. ``value`` is that epoch's objective, always finite."""

    trial: int
    state: str
    value: float
    epoch: int


class Reference(NamedTuple):
    """A horizontal line to compare with: a baseline's or chance's value of the objective."""

    name: str
    label: str
    value: float


class Session(NamedTuple):
    """One command at work on the run."""

    start: datetime
    end: datetime


def trial_point(run: RunView, trial: TrialView) -> Point | None:
    """The best epoch of ``trial``; None where no epoch has a finite objective."""
    row = run.trial_best(trial)
    if row is None:
        return None
    return Point(trial.number, trial.state, row.value(run.objective.name), row.epoch)


def points(run: RunView) -> tuple[Point, ...]:
    """The best epoch of every trial that has one, by trial number."""
    found = (trial_point(run, trial) for trial in run.trials)
    return tuple(point for point in found if point is not None)


def searched_points(run: RunView) -> tuple[Point, ...]:
    """`points` as the search saw them: without the epochs that trials were continued for.

    What judges searcher, scheduler or space by trials must compare like with like.
    """
    found = (trial_point(run, trial.searched) for trial in run.trials)
    return tuple(point for point in found if point is not None)


def curve(run: RunView, trial: TrialView) -> tuple[tuple[int, float], ...]:
    """(epoch, objective) by epoch; NaN where the objective is not finite."""
    rows = {row.epoch: row for row in trial.epochs}
    values = ((epoch, rows[epoch].value(run.objective.name)) for epoch in sorted(rows))
    return tuple((epoch, v if math.isfinite(v) else math.nan) for epoch, v in values)


def epochs_completed(trial: TrialView) -> int:
    """Number of different epochs that the trial finished."""
    return len({row.epoch for row in trial.epochs})


def references(run: RunView) -> tuple[Reference, ...]:
    """Finite values of the objective by baseline: bias, popularity, chance, then others."""
    order = {name: rank for rank, name in enumerate(BASELINE_LABELS)}
    found = []
    for name, baseline in run.baselines.items():
        value = finite(baseline.get("metrics", {}).get(run.objective.name))
        if value is not None:
            found.append(Reference(name, BASELINE_LABELS.get(name, name), value))
    return tuple(sorted(found, key=lambda ref: (order.get(ref.name, len(order)), ref.name)))


def best_point(run: RunView) -> Point | None:
    """The best (trial, epoch) of the run."""
    best = run.best()
    if best is None:
        return None
    trial, row = best
    return Point(trial.number, trial.state, row.value(run.objective.name), row.epoch)


def main_baseline(run: RunView) -> Reference | None:
    """The baseline that a model must beat: tuned bias for ratings, popularity for rankings."""
    wanted = "bias" if run.objective.kind == "rating" else "popular"
    return next((ref for ref in references(run) if ref.name == wanted), None)


def chance_level(run: RunView) -> Reference | None:
    """The objective of a uniformly random ranking, where it is defined."""
    return next((ref for ref in references(run) if ref.name == "chance"), None)


def default_point(run: RunView) -> Point | None:
    """The trial of the default configuration, if it was run and has a finite objective."""
    trial = next((trial for trial in run.trials if trial.origin == "default"), None)
    return None if trial is None else trial_point(run, trial)


def gain(run: RunView, value: float, other: float) -> float:
    """How much better ``value`` is than ``other``; positive is better in either direction."""
    return value - other if run.objective.direction == "max" else other - value


def sessions(run: RunView) -> tuple[Session, ...]:
    """When commands worked on the run; one that never closed ends with its last event."""
    starts = [start for row in run.sessions if (start := moment(row.get("time")))]
    closed = [moment(row.get("closed")) for row in run.sessions if moment(row.get("time"))]
    seen = sorted(_event_times(run))
    found = []
    for number, (start, end) in enumerate(zip(starts, closed, strict=True)):
        limit = starts[number + 1] if number + 1 < len(starts) else None
        inside = [time for time in seen if time >= start and (limit is None or time < limit)]
        found.append(Session(start, max(start, end or max(inside, default=start))))
    return tuple(found)


def active_seconds(found: tuple[Session, ...], until: datetime | None = None) -> float:
    """Seconds that commands were at work on the run, pauses between them left out."""
    total = 0.0
    for session in found:
        end = session.end if until is None else min(session.end, until)
        total += max(0.0, (end - session.start).total_seconds())
    return total


def moment_of_best(run: RunView) -> datetime | None:
    """When the best epoch was finished."""
    best = run.best()
    return None if best is None else moment(best[1].time)


def cpu_seconds(run: RunView) -> float:
    """Seconds that trials took in workers, which have one thread each; cached epochs left out."""
    rows = [row for row in all_rows(run) if not row.cached]
    return sum(row.train_s + row.eval_s + row.save_s for row in rows)


def all_rows(run: RunView) -> list[EpochRow]:
    """Every epoch of every trial, by trial and epoch."""
    rows = [row for trial in run.trials for row in trial.epochs]
    return sorted(rows, key=lambda row: (row.trial, row.epoch))


def dig(tree: Any, *keys: str, default: Any = None) -> Any:
    """The value at a path of keys in nested dicts, ``default`` where the path ends early."""
    for key in keys:
        if not isinstance(tree, dict) or key not in tree:
            return default
        tree = tree[key]
    return tree


def finite(value: Any) -> float | None:
    """``value`` as a float if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _event_times(run: RunView) -> list[datetime]:
    texts = [row.time for row in all_rows(run)]
    texts += [text for trial in run.trials for text in (trial.started, trial.ended) if text]
    return [time for text in texts if (time := moment(text))]

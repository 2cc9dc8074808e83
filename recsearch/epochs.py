"""One trial and its epochs, as a journal has them, and which epoch is best."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recsearch.evaluation import Metric, better
from recsearch.pareto import dominates, losses

FINISHED = frozenset({"done", "pruned", "error"})
"""States in which a trial takes part in no further training."""


@dataclass(frozen=True)
class EpochRow:
    """One finished epoch of one trial, as its journal line has it. Seconds and bytes.

    ``folds`` has the metrics of every validation fold where there are several: ``metrics`` are
    their means then.
    """

    trial: int
    epoch: int
    metrics: dict[str, float]
    train_s: float = 0.0
    eval_s: float = 0.0
    save_s: float = 0.0
    stored_bytes: int = 0
    logical_bytes: int = 0
    cached: bool = False
    time: str = ""
    folds: list[dict[str, float]] | None = None

    def value(self, metric: str) -> float:
        """The value of ``metric``, NaN where it was not measured."""
        found = self.metrics.get(metric)
        return math.nan if found is None else found

    def of_fold(self, fold: int) -> dict[str, float]:
        """The metrics that one fold measured."""
        return self.metrics if self.folds is None else self.folds[fold]


@dataclass(frozen=True)
class TrialView:
    """One trial: its configuration, state and epochs.

    ``state`` is one of queued, training, done, pruned, error, interrupted. ``reason`` is the rule
    that ended it (plateau, max_epochs, one_shot, asha, halving, median) or the kind of its error.

    ``key`` is the trial's address in the store, that of fold 0; ``keys`` has those of all folds
    where there are several.

    ``spans`` are the times between which workers had it, (start, end): the end is "" while it is
    being trained, and where a kill left none.

    ``target`` is the number of epochs that it was continued for after the search had ended it, and
    ``ended_by_search`` the trial as it was then.
    """

    number: int
    params: dict[str, Any]
    config: dict[str, Any]
    key: str
    origin: str
    state: str = "queued"
    reason: str | None = None
    message: str | None = None
    epochs: tuple[EpochRow, ...] = ()
    started: str | None = None
    ended: str | None = None
    target: int | None = None
    ended_by_search: TrialView | None = None
    keys: tuple[str, ...] = ()
    spans: tuple[tuple[str, str], ...] = ()

    @property
    def fold_keys(self) -> tuple[str, ...]:
        """The address of every fold in the store, fold 0 first."""
        return self.keys or (self.key,)

    @property
    def finished(self) -> bool:
        """Whether the trial is done, pruned or in error."""
        return self.state in FINISHED

    @property
    def begun_at(self) -> str | None:
        """When it began, as far as the journal says."""
        return next(iter(self._times), None)

    @property
    def left_at(self) -> str | None:
        """When it ended, or the last that is known of it."""
        return next(reversed(self._times), None)

    @property
    def _times(self) -> list[str]:
        known = (self.started, *(row.time for row in self.epochs), self.ended)
        return [time for time in known if time]

    @property
    def searched(self) -> TrialView:
        """The trial as the search sees it: without what it was continued for.

        Suggestions and pruning look at nothing else, so that continuing a trial changes no search.
        """
        return self.ended_by_search or self

    @property
    def cached(self) -> bool:
        """Whether every epoch came from another run's checkpoints."""
        return bool(self.epochs) and all(row.cached for row in self.epochs)

    def history(self, metric: str) -> list[float]:
        """Values of ``metric`` by epoch, epoch 1 first."""
        return [row.value(metric) for row in self.epochs]


def best_row(
    rows: Iterable[EpochRow], metric: Metric, others: Iterable[Metric] = ()
) -> EpochRow | None:
    """The best of ``rows`` by ``metric``, and of equal ones by ``others``.

    Values that are not finite never win.
    """
    ranked, best = (metric, *others), None
    for row in rows:
        if beats(row, best, ranked):
            best = row
    return best


def beats(row: EpochRow, best: EpochRow | None, ranked: tuple[Metric, ...]) -> bool:
    """Whether ``row`` is better than ``best``: by the first of the metrics in which they differ.

    Of equal rows the earlier epoch is, then that of the lower trial.
    """
    if not math.isfinite(row.value(ranked[0].name)):
        return False
    if best is None:
        return True
    for metric in ranked:
        value, other = row.value(metric.name), best.value(metric.name)
        if better(metric, value, other):
            return True
        if better(metric, other, value):
            return False
    return (row.epoch, row.trial) < (best.epoch, best.trial)


def join_front(rows: list[EpochRow], row: EpochRow, objectives: tuple[Metric, ...]) -> None:
    """Put ``row`` among the ``rows`` of the front, if it belongs there, and drop what it beats."""
    point = losses(row.metrics, objectives)
    if point is None:
        return
    for other in list(rows):
        there = losses(other.metrics, objectives)
        if there is None or dominates(point, there):
            rows.remove(other)
        elif dominates(there, point):
            return
        elif there == point:
            if (other.epoch, other.trial) < (row.epoch, row.trial):
                return
            rows.remove(other)
    rows.append(row)

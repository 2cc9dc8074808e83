"""Which checkpoints stay where a search has several objectives.

The same policies and retentions as for one (`recsearch.store.retention`), applied to every
objective in turn: an epoch stays if it would by one of them. Besides, no epoch of the front is
dropped: none of the trial's own while it is training, as it may be on that of the search, and none
of the search's ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from recsearch.evaluation import Metric
from recsearch.pareto import Losses, front
from recsearch.store.retention import (
    Policy,
    Record,
    Retention,
    TrialRecords,
    parse_retention,
)


@dataclass(frozen=True)
class Scored(Record):
    """One epoch and all its objectives, as losses: the lower the better. NaN where it has none."""

    losses: Losses = ()


def scored(epoch: int, metrics: Mapping[str, Any], objectives: Sequence[Metric]) -> Scored:
    """What policies judge of an epoch with these metrics."""
    values = [metrics.get(objective.name) for objective in objectives]
    found = [math.nan if value is None else float(value) for value in values]
    signs = [1.0 if objective.direction == "min" else -1.0 for objective in objectives]
    return Scored(epoch, found[0], tuple(s * v for s, v in zip(signs, found, strict=True)))


@dataclass(frozen=True)
class ByAny:
    """Keep what one of several policies keeps, each by its own objective, and the trial's front.

    Attributes:
        policies: one per objective; each minimises.
    """

    policies: tuple[Policy, ...]

    def keep(self, records: Sequence[Record]) -> set[int]:
        """The epochs among ``records``, all of them `Scored`, that stay."""
        found = _front(records)
        for number, policy in enumerate(self.policies):
            found |= policy.keep(_by(records, number))
        return found


@dataclass(frozen=True)
class ManyRetention:
    """What a search with several objectives keeps of all its trials.

    It answers what `Retention` answers. Ranks (``topk-trials``) are by each objective in turn; what
    may be dropped where a quota is full is judged by the first.

    Attributes:
        each: the retention of the search file, once per objective; each minimises.
    """

    each: tuple[Retention, ...]

    @property
    def direction(self) -> str:
        """Losses are minimised."""
        return "min"

    @property
    def keeps_all(self) -> bool:
        """Whether no epoch of any trial may ever be dropped."""
        return self.each[0].keeps_all

    @property
    def top_trials(self) -> int | None:
        """All trials are judged together: whether one is on the front depends on the others."""
        return self.each[0].top_trials or len(self.each)

    @property
    def training(self) -> Policy:
        """Rule for a trial that has not ended."""
        return ByAny(tuple(retention.training for retention in self.each))

    def keep(self, trials: Sequence[TrialRecords]) -> dict[int, set[int]]:
        """The epochs that stay, by trial number."""
        found = self._protected(trials)
        for number, retention in enumerate(self.each):
            for trial, epochs in retention.keep([_trial_by(t, number) for t in trials]).items():
                found[trial] |= epochs
        for trial_ in trials:
            if not trial_.ended:
                found[trial_.number] |= _front(trial_.records)
        return found

    def expendable(self, trials: Sequence[TrialRecords]) -> Iterator[tuple[int, set[int]]]:
        """What may be dropped if there is no room for it: trials and epochs, first things first."""
        kept = self._protected(trials)
        for trial, epochs in self.each[0].expendable([_trial_by(t, 0) for t in trials]):
            yield trial, epochs - kept[trial]

    def _protected(self, trials: Sequence[TrialRecords]) -> dict[int, set[int]]:
        """The front of the search, by trial number; the best by every objective is on it."""
        rows = [
            (record.epoch, trial.number, record) for trial in trials for record in trial.records
        ]
        rows.sort(key=lambda row: row[:2])
        rows = [row for row in rows if _finite(row[2])]
        found: dict[int, set[int]] = {trial.number: set() for trial in trials}
        for position in front([_losses(record) for _, _, record in rows]):
            epoch, number, _ = rows[position]
            found[number].add(epoch)
        return found


def retention_of(text: str, objectives: Sequence[Metric]) -> Retention | ManyRetention:
    """The retention of a search file, for one objective or several.

    Raises:
        UsageError: the text is no retention.
    """
    if len(objectives) == 1:
        return parse_retention(text, objectives[0].direction)
    return ManyRetention(tuple(parse_retention(text, "min") for _ in objectives))


def record_of(epoch: int, metrics: Mapping[str, Any], objectives: Sequence[Metric]) -> Record:
    """What a retention judges of an epoch: its objective, or all of several."""
    if len(objectives) > 1:
        return scored(epoch, metrics, objectives)
    value = metrics.get(objectives[0].name)
    return Record(epoch, math.nan if value is None else float(value))


def _losses(record: Record) -> Losses:
    return cast("Scored", record).losses


def _finite(record: Record) -> bool:
    return all(map(math.isfinite, _losses(record)))


def _front(records: Sequence[Record]) -> set[int]:
    """Epochs that no other of the same trial beats by every objective."""
    judged = sorted(filter(_finite, records), key=lambda record: record.epoch)
    return {judged[k].epoch for k in front([_losses(record) for record in judged])}


def _by(records: Sequence[Record], number: int) -> list[Record]:
    return [Record(record.epoch, _losses(record)[number]) for record in records]


def _trial_by(trial: TrialRecords, number: int) -> TrialRecords:
    records = tuple(_by(trial.records, number))
    return TrialRecords(trial.number, records, trial.ended, trial.pruned)

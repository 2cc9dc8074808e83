"""What one trial is: all that decides its numbers, and its address in the store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsearch.data import Split
from recsearch.evaluation import EVALUATION_VERSION, parse
from recsearch.identity import digest
from recsearch.models import Family
from recsearch.stopping import StopRule
from recsearch.store.retention import Policy, Record, parse_retention


@dataclass(frozen=True)
class TrialPlan:
    """All that decides the numbers of one trial, and what its checkpoints are bound to.

    ``about`` is copied into every manifest (search, data set, split, code versions). ``key`` is
    that of fold 0; ``keys`` has those of all folds where there are several.
    """

    number: int
    config: Mapping[str, Any]
    key: str
    seed: int
    max_epochs: int
    stop: StopRule
    objective: str
    metrics: tuple[str, ...]
    retention: str
    recompute: bool
    run_id: str
    about: Mapping[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """Whose checkpoints these are: a trial drops its own and no other's."""
        return owner_of(self.run_id, self.number)

    @property
    def policy(self) -> Policy:
        """Which epochs stay while the trial goes on; the driver narrows that when it has ended."""
        return parse_retention(self.retention, parse(self.objective).direction).training

    def claim(self) -> dict[str, Any]:
        """The part of a manifest's ``info`` that says who keeps the checkpoint, and why.

        Where there are several folds, what is kept of one can be judged only with the others.
        """
        folds: dict[str, Any] = {}
        if self.keys:
            folds = {"fold": self.keys.index(self.key), "fold_keys": list(self.keys)}
        return {
            "owner": self.owner,
            "run": self.run_id,
            "trial": self.number,
            "objective": self.objective,
            "retention": self.retention,
            **folds,
        }

    def fold(self, number: int, split: Split) -> TrialPlan:
        """The plan of one fold, whose checkpoints are bound to the split of that fold."""
        if not self.keys:
            return self
        about = {**self.about, "split_id": split.split_id}
        return replace(self, key=self.keys[number], about=about)

    def trained(self, row: Mapping[str, Any]) -> bool:
        """Whether this trial itself has trained the epoch of a history row."""
        return (row["run"], row["trial"]) == (self.run_id, self.number)

    def values(self, history: Sequence[Mapping[str, Any]]) -> list[float]:
        """Objective values of history rows; NaN where one was not measured."""
        found = (row["metrics"].get(self.objective) for row in history)
        return [math.nan if value is None else float(value) for value in found]

    def finish_reason(self, values: Sequence[float]) -> str | None:
        """Why the trial ends after the epochs with these objective values; None to go on."""
        if len(values) >= self.max_epochs:
            return "one_shot" if self.max_epochs == 1 else "max_epochs"
        if self.stop.stop(values, parse(self.objective).direction):
            return self.stop.name
        return None


CLAIM = ("owner", "run", "trial", "objective", "retention", "fold", "fold_keys")
"""All that a claim can say: what one owner says of a checkpoint holds for no other."""


def owner_of(run_id: str, number: int) -> str:
    """How the store names the owner of a trial's checkpoints."""
    return f"{run_id}/{number}"


def trial_key(
    family: Family, config: Mapping[str, Any], split: Split, seed: int, metrics: Sequence[str]
) -> str:
    """Address of a trial in the store: equal numbers by construction, wherever it runs."""
    # Only where it is another: keys of trials on the CPU stay what they were.
    where = {} if family.device == "cpu" else {"device": family.device}
    return digest(
        {
            "split": split.split_id,
            "part": split.part,
            "model": family.class_path,
            "config": dict(config),
            "seed": seed,
            "metrics": sorted(metrics),
            "evaluation": EVALUATION_VERSION,
            "code": family.code_version,
            "versions": family.versions(),
            **where,
        }
    )


def trial_keys(
    family: Family,
    config: Mapping[str, Any],
    splits: Sequence[Split],
    seed: int,
    metrics: Sequence[str],
) -> tuple[str, ...]:
    """The key of every fold of a trial, fold 0 first."""
    return tuple(trial_key(family, config, split, seed, metrics) for split in splits)


def records(values: Sequence[float]) -> list[Record]:
    """What a retention policy judges: epochs 1, 2, … with these objective values."""
    return [Record(epoch, value) for epoch, value in enumerate(values, start=1)]

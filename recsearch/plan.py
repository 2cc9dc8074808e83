"""What one trial is: all that decides its numbers, and its address in the store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsearch.data import Split
from recsearch.evaluation import EVALUATION_VERSION, Metric, parse
from recsearch.identity import digest
from recsearch.keeping import record_of, retention_of
from recsearch.models import Family
from recsearch.stopping import StopRule
from recsearch.store.retention import Policy, Record


@dataclass(frozen=True)
class TrialPlan:
    """All that decides the numbers of one trial, and what its checkpoints are bound to.

    ``about`` is copied into every manifest (search, data set, split, code versions). ``key`` is
    that of fold 0; ``keys`` has those of all folds where there are several. ``others`` are the
    objectives beside the first, where a search has several.
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
    others: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """Whose checkpoints these are: a trial drops its own and no other's."""
        return owner_of(self.run_id, self.number)

    @property
    def policy(self) -> Policy:
        """Which epochs stay while the trial goes on; the driver narrows that when it has ended."""
        return retention_of(self.retention, self.objectives).training

    @property
    def best_and_last(self) -> Policy:
        """The epochs that a trial goes on from or may be reported with."""
        return retention_of("best+last", self.objectives).training

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All objectives, the first of them first."""
        return tuple(parse(name) for name in (self.objective, *self.others))

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
            **({"objectives": [self.objective, *self.others]} if self.others else {}),
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

    def values(
        self, history: Sequence[Mapping[str, Any]], objective: str | None = None
    ) -> list[float]:
        """Values of the objective, or of another one, in history rows; NaN where not measured."""
        found = (row["metrics"].get(objective or self.objective) for row in history)
        return [math.nan if value is None else float(value) for value in found]

    def records(self, history: Sequence[Mapping[str, Any]]) -> list[Record]:
        """What a retention policy judges: epochs 1, 2, … with the metrics of these rows."""
        rows = enumerate(history, start=1)
        return [record_of(epoch, row["metrics"], self.objectives) for epoch, row in rows]

    def finish_reason(self, history: Sequence[Mapping[str, Any]]) -> str | None:
        """Why the trial ends after these epochs; None to go on.

        With several objectives the stop rule ends it only where it would by every one of them.
        """
        if len(history) >= self.max_epochs:
            return "one_shot" if self.max_epochs == 1 else "max_epochs"
        if all(
            self.stop.stop(self.values(history, metric.name), metric.direction)
            for metric in self.objectives
        ):
            return self.stop.name
        return None


CLAIM = (
    "owner", "run", "trial", "objective", "objectives", "retention", "fold", "fold_keys",
)  # fmt: skip
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

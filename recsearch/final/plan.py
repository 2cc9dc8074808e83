"""What is measured on test data: configurations, parts and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsearch.errors import UsageError
from recsearch.evaluation import EVALUATION_VERSION
from recsearch.folds import folds_of
from recsearch.identity import digest
from recsearch.loading import split_spec
from recsearch.models import Family
from recsearch.prediction import LIST_LENGTH
from recsearch.run import RunView

CONFIGS = ("best", "default")
"""What can be measured: the best epoch of the search, and what nobody tuned."""


@dataclass(frozen=True)
class Candidate:
    """A configuration of the run.

    Attributes:
        name: ``best`` or ``default``.
        config: complete configuration.
        epochs: how many epochs it is trained; decided by the search, on validation data.
        trial: its trial in the search, if it had one.
        validation: its metrics at that epoch of the search; empty without a trial.
    """

    name: str
    config: Mapping[str, Any]
    epochs: int
    trial: int | None
    validation: Mapping[str, float]


@dataclass(frozen=True)
class Unit:
    """One model to train and to measure: a configuration on one test part with one seed.

    It holds all that a process of its own needs to do so.
    """

    candidate: Candidate
    part: int
    seed: int
    key: str
    metrics: tuple[str, ...]
    identity: Mapping[str, Any]
    store_url: str
    root: Path

    @property
    def owner(self) -> str:
        """Whose checkpoints these are, in the store.

        Units of one key that stop after other numbers of epochs keep other checkpoints.
        """
        return f"{self.identity['run_id']}/final/{self.key[:16]}-{self.candidate.epochs}"

    @property
    def folder(self) -> Path:
        """Where its results are; named by what decides them, so that none is overwritten."""
        measured = {
            "key": self.key,
            "epochs": self.candidate.epochs,
            "metrics": self.metrics,
            "evaluation": EVALUATION_VERSION,
            "list": LIST_LENGTH,
        }
        return self.root / "units" / f"part-{self.part}-seed-{self.seed}-{digest(measured)[:12]}"

    @property
    def lists(self) -> Path:
        """Recommendation lists of the part's users."""
        return self.folder / "lists.parquet"

    @property
    def predictions(self) -> Path:
        """Predictions of the held-out ratings; models of ratings only."""
        return self.folder / "predictions.parquet"

    @property
    def users(self) -> Path:
        """Metrics by user."""
        return self.folder / "per-user.parquet"

    @property
    def result(self) -> Path:
        """Means over the users; written last."""
        return self.folder / "result.json"

    def __str__(self) -> str:
        return f"{self.candidate.name}, part {self.part}, seed {self.seed}"


def parts_to_test(identity: Mapping[str, Any], wanted: Sequence[int] = ()) -> list[int]:
    """The parts to measure on: ``wanted``, or all that the search has not validated on.

    Raises:
        UsageError: one of ``wanted`` is none, or the split has none.
    """
    searched, parts = folds_of(identity), split_spec(identity).parts
    there = list(range(searched, parts))
    if not there:
        raise UsageError(
            f"{identity['name']}: the search validated on all {parts} parts of its split, so no "
            "part is left to test on.",
            hint="Search with fewer --folds than the split has parts.",
        )
    wrong = [part for part in wanted if part not in there]
    if wrong:
        raise UsageError(
            f"--parts {wrong[0]}: is no test part of {identity['name']}: those are "
            f"{', '.join(map(str, there))}; the search saw "
            f"{', '.join(map(str, range(searched)))}.",
            hint="Leave --parts out to measure on all test parts.",
        )
    return sorted(set(wanted)) if wanted else there


def candidates(view: RunView, family: Family, names: Iterable[str] = CONFIGS) -> list[Candidate]:
    """The configurations to measure, in the order of `CONFIGS`.

    The default is the trial that the search began with, for as many epochs as it was best after;
    a search that has none gives way to the model's own defaults for the epochs of the best.

    Raises:
        UsageError: no epoch has finished yet.
    """
    best = view.best()
    if best is None:
        raise UsageError(
            f"{view.name}: no epoch has finished yet, so there is no best configuration.",
            hint=f"See how far it is: recsearch status {view.path}",
        )
    trial, row = best
    found = {"best": Candidate("best", trial.config, row.epoch, trial.number, row.metrics)}
    first = next((t for t in view.trials if t.origin == "default"), None)
    top = None if first is None else view.trial_best(first)
    if first is not None and top is not None:
        found["default"] = Candidate("default", first.config, top.epoch, first.number, top.metrics)
    else:
        config = family.complete(view.identity["search"]["model"]["config"])
        found["default"] = Candidate("default", config, row.epoch, None, {})
    return [found[name] for name in CONFIGS if name in set(names)]


def make_units(
    view: RunView,
    family: Family,
    chosen: Sequence[Candidate],
    parts: Sequence[int],
    seeds: Sequence[int],
    store_url: str,
) -> list[Unit]:
    """Every model to measure, the best configuration of a part first. Reads no test data."""
    return [
        Unit(
            candidate=candidate,
            part=part,
            seed=seed,
            key=unit_key(view.identity, family, candidate.config, part, seed),
            metrics=tuple(view.identity["metrics"]),
            identity=view.identity,
            store_url=store_url,
            root=view.path.resolve() / "final",
        )
        for part in parts
        for seed in seeds
        for candidate in chosen
    ]


def unit_key(
    identity: Mapping[str, Any], family: Family, config: Mapping[str, Any], part: int, seed: int
) -> str:
    """Address of a model in the store: equal numbers by construction, whatever run asks for it.

    The key of a trial has the id of the split that it was trained on. That of a test part is known
    only once the part has been read, so here the split of the search and the number of the part
    stand for it. Nothing is measured while it is trained, so no metrics are in it.
    """
    where = {} if family.device == "cpu" else {"device": family.device}
    return digest(
        {
            "final": 1,
            "split": identity["split"]["split_id"],
            "part": part,
            "model": family.class_path,
            "config": dict(config),
            "seed": seed,
            "code": family.code_version,
            "versions": family.versions(),
            **where,
        }
    )

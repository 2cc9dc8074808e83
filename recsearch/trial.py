"""One trial as a plain generator of epochs: train, evaluate, commit, report. No Ray here.

A trial is addressed in the store by its key. Epochs that the store already has, from this run
before it was killed or from any other run of an equal trial, are reported from their checkpoint's
own record instead of being trained again; training continues after the last of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsearch.baselines import bias_scores
from recsearch.data import Split
from recsearch.errors import CheckpointNotFoundError, RecsearchError
from recsearch.evaluation import EVALUATION_VERSION, evaluate, parse
from recsearch.identity import derive_seed, digest
from recsearch.models import Family, Model
from recsearch.state import State
from recsearch.stopping import StopRule
from recsearch.store import Record as RetentionRecord
from recsearch.store import Store, parse_policy


class NonFiniteObjectiveError(RecsearchError):
    """The objective or the model of an epoch is NaN or infinite: the trial diverged."""


@dataclass(frozen=True)
class TrialPlan:
    """All that decides the numbers of one trial, and what its checkpoints are bound to.

    ``about`` is copied into every manifest (search, data set, split, code versions).
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
    run_id: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def finish_reason(self, values: Sequence[float]) -> str | None:
        """Why the trial ends after the epochs with these objective values; None to go on."""
        if len(values) >= self.max_epochs:
            return "one_shot" if self.max_epochs == 1 else "max_epochs"
        if self.stop.stop(values, parse(self.objective).direction):
            return self.stop.name
        return None


@dataclass(frozen=True)
class EpochResult:
    """One epoch as reported: seconds of wall time, bytes as stored and as logical size.

    ``replayed`` says that it was read from the store, ``cached`` that another run had trained it;
    ``finished`` is the reason the trial ends here.
    """

    epoch: int
    metrics: dict[str, float]
    train_s: float
    eval_s: float
    save_s: float
    stored_bytes: int
    logical_bytes: int
    cached: bool
    finished: str | None
    replayed: bool = False


def trial_key(
    family: Family, config: Mapping[str, Any], split: Split, seed: int, metrics: Sequence[str]
) -> str:
    """Address of a trial in the store: equal numbers by construction, wherever it runs."""
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
        }
    )


def run_trial(plan: TrialPlan, family: Family, split: Split, store: Store) -> Iterator[EpochResult]:
    """Yield the epochs of a trial, each after its checkpoint is durable.

    Raises:
        NonFiniteObjectiveError: the objective diverged; earlier checkpoints stay.
        StoreError: a checkpoint cannot be written or read back.
    """
    history: list[dict[str, Any]] = []
    for row in _stored_history(store, plan.key):
        history.append(row)
        finished = plan.finish_reason(_values(history, plan.objective))
        yield _replayed(row, plan, finished)
        if finished:
            return
    model = create_model(plan, family, split)
    if history:
        parts = family.continue_parts
        model.load_state(store.restore(plan.key, history[-1]["epoch"], parts=parts))
    while True:
        result = _train_one(plan, family, model, split, store, history)
        yield result
        if result.finished:
            return


def measure(model: Model, family: Family, split: Split, metrics: Sequence[str]) -> dict[str, float]:
    """The metrics of a model on the held-out part, as every epoch records them.

    Where a rating predictor has no score, LensKit's undamped bias model predicts, as in LensKit's
    own rating pipelines.
    """

    def bias(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        return bias_scores(split, 0.0, 0.0)(users, items)

    fallback = bias if family.predicts_ratings else None
    return evaluate(model.scores, split, metrics, fallback=fallback)


def create_model(plan: TrialPlan, family: Family, split: Split) -> Model:
    """The untrained model. One seed initialises all trials of a run: it is no hyperparameter."""
    return family.create(dict(plan.config), split, derive_seed(plan.seed, "init"))


def _train_one(
    plan: TrialPlan,
    family: Family,
    model: Model,
    split: Split,
    store: Store,
    history: list[dict[str, Any]],
) -> EpochResult:
    epoch = len(history) + 1
    began = time.perf_counter()
    model.train_epoch()
    trained = time.perf_counter()
    state = model.state()
    _check_finite(state, epoch)
    # Encoding and hashing the blobs overlaps with the evaluation.
    staged = store.stage(state)
    try:
        metrics = measure(model, family, split, plan.metrics)
        _check_objective(plan.objective, metrics, epoch)
    except BaseException:
        staged.abandon()
        raise
    evaluated = time.perf_counter()
    row: dict[str, Any] = {
        "epoch": epoch,
        "metrics": {name: _or_none(value) for name, value in metrics.items()},
        "train_s": trained - began,
        "eval_s": evaluated - trained,
        "run": plan.run_id,
    }
    info = {
        **plan.about,
        "run": plan.run_id,
        "trial": plan.number,
        "config": dict(plan.config),
        "objective": plan.objective,
        "retention": plan.retention,
        "metrics": row["metrics"],
        "history": [*history, row],
    }
    saved = staged.commit(plan.key, epoch, info)
    history.append(row)
    _retain(plan, store, history)
    return EpochResult(
        epoch=epoch,
        metrics=row["metrics"],
        train_s=row["train_s"],
        eval_s=row["eval_s"],
        save_s=time.perf_counter() - evaluated,
        stored_bytes=saved.stored_bytes,
        logical_bytes=saved.logical_bytes,
        cached=False,
        finished=plan.finish_reason(_values(history, plan.objective)),
    )


def _check_finite(state: State, epoch: int) -> None:
    """A diverged model could otherwise score like the bias model that stands in for its NaN."""
    for part_name, part in state.items():
        for name, array in part.tensors.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise NonFiniteObjectiveError(
                    f"{name} of the {part_name} is not finite after epoch {epoch}: it diverged."
                )


def _check_objective(objective: str, metrics: Mapping[str, float], epoch: int) -> None:
    if not math.isfinite(metrics[objective]):
        raise NonFiniteObjectiveError(
            f"{objective} is {metrics[objective]} after epoch {epoch}: it diverged."
        )


def _stored_history(store: Store, key: str) -> list[dict[str, Any]]:
    try:
        return list(store.read(key).info["history"])
    except CheckpointNotFoundError:
        return []


def _replayed(row: Mapping[str, Any], plan: TrialPlan, finished: str | None) -> EpochResult:
    return EpochResult(
        epoch=row["epoch"],
        metrics=dict(row["metrics"]),
        train_s=row["train_s"],
        eval_s=row["eval_s"],
        save_s=0.0,
        stored_bytes=0,
        logical_bytes=0,
        cached=row["run"] != plan.run_id,
        finished=finished,
        replayed=True,
    )


def _retain(plan: TrialPlan, store: Store, history: Sequence[Mapping[str, Any]]) -> None:
    policy = parse_policy(plan.retention, parse(plan.objective).direction)
    values = _values(history, plan.objective)
    records = [
        RetentionRecord(row["epoch"], value) for row, value in zip(history, values, strict=True)
    ]
    store.retain(plan.key, policy, records, owner=plan.run_id)


def _values(history: Sequence[Mapping[str, Any]], objective: str) -> list[float]:
    found = (row["metrics"].get(objective) for row in history)
    return [math.nan if value is None else float(value) for value in found]


def _or_none(value: float) -> float | None:
    """JSON has no NaN: a metric that cannot be measured is recorded as null."""
    return float(value) if math.isfinite(value) else None

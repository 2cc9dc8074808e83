"""One trial as a plain generator of epochs: train, evaluate, commit, report. No Ray here.

A trial is addressed in the store by its key. Epochs that the store already has, from this run before
it was killed or from any other run of an equal trial, are reported from their checkpoint's own
record instead of being trained again; training continues after the last of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsearch.bias import learn_bias
from recsearch.data import Split
from recsearch.errors import CheckpointNotFoundError, RecsearchError
from recsearch.evaluation import EVALUATION_VERSION, Scores, evaluate, parse
from recsearch.identity import derive_seed, digest
from recsearch.models import Family, Model
from recsearch.stopping import StopRule
from recsearch.store import Record as RetentionRecord
from recsearch.store import Store, parse_policy


class NonFiniteObjectiveError(RecsearchError):
    """The objective of an epoch is NaN or infinite: the trial diverged."""


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

    ``cached`` says that another run trained it; ``finished`` is the reason the trial ends here.
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


def run_trial(
    plan: TrialPlan, family: Family, split: Split, store: Store, fallback: Scores | None = None
) -> Iterator[EpochResult]:
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
        result = _train_one(plan, model, split, store, history, fallback)
        yield result
        if result.finished:
            return


def create_model(plan: TrialPlan, family: Family, split: Split) -> Model:
    """The untrained model. One seed initialises all trials of a run: it is no hyperparameter."""
    return family.create(dict(plan.config), split, derive_seed(plan.seed, "init"))


def bias_fallback(split: Split) -> Scores:
    """Predictions where a model has none: LensKit's rating pipelines use an undamped bias model."""
    offset, item_bias, user_bias = learn_bias(split.train, split.n_items, 0.0, 0.0)

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        chosen = item_bias if items is None else item_bias[items]
        block: np.ndarray = offset + user_bias[users][:, None] + chosen[None, :]
        return block.astype(np.float32)

    return scores


def _train_one(
    plan: TrialPlan,
    model: Model,
    split: Split,
    store: Store,
    history: list[dict[str, Any]],
    fallback: Scores | None,
) -> EpochResult:
    epoch = len(history) + 1
    began = time.perf_counter()
    model.train_epoch()
    trained = time.perf_counter()
    # Encoding and hashing the blobs overlaps with the evaluation.
    staged = store.stage(model.state())
    try:
        metrics = evaluate(model.scores, split, plan.metrics, fallback=fallback)
    except BaseException:
        staged.abandon()
        raise
    evaluated = time.perf_counter()
    if not math.isfinite(metrics[plan.objective]):
        staged.abandon()
        raise NonFiniteObjectiveError(
            f"{plan.objective} is {metrics[plan.objective]} after epoch {epoch}: the trial diverged."
        )
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

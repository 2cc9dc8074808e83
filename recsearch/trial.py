"""One trial as a plain generator of epochs: train, evaluate, commit, report. No Ray here.

A trial is addressed in the store by its key. Epochs that the store already has, from this run
before it was killed or from any other run of an equal trial, are reported from their checkpoint's
own record instead of being trained again; training continues after the last of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsearch.baselines import bias_scores
from recsearch.data import Split
from recsearch.errors import RecsearchError, StoreDamagedError
from recsearch.evaluation import evaluate
from recsearch.identity import derive_seed
from recsearch.models import Family, Model, Remade
from recsearch.models.piped import NOTE, gives_blocks, pipeline_scores
from recsearch.plan import TrialPlan
from recsearch.state import State
from recsearch.store import Saved, Store
from recsearch.store.retention import All
from recsearch.store.staged import Staged
from recsearch.store.track import Codec, Track
from recsearch.takeover import take_over


class NonFiniteObjectiveError(RecsearchError):
    """The objective or the model of an epoch is NaN or infinite: the trial diverged."""


@dataclass(frozen=True)
class EpochResult:
    """One epoch as reported: seconds of wall time, bytes as stored and as logical size.

    ``replayed`` says that it was read from the store, ``cached`` that another run had trained it;
    ``finished`` is the reason the trial ends here; ``note`` is what the user should be told.
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
    note: str | None = None


def run_trial(
    plan: TrialPlan, family: Family, split: Split, store: Store
) -> Generator[EpochResult, None, None]:
    """Yield the epochs of a trial, each after its checkpoint is durable.

    Close it where it is not run to its end: it keeps what it saved last in memory.

    Raises:
        NonFiniteObjectiveError: the objective diverged; earlier checkpoints stay.
        StoreError: a checkpoint cannot be written or read back.
    """
    taken = take_over(plan, family, store)
    history: list[dict[str, Any]] = []
    note = taken.damage
    for row in taken.rows:
        history.append(row)
        finished = plan.finish_reason(history)
        yield replace(_replayed(row, plan, finished), note=note)
        note = None
        if finished:
            return
    model = create_model(plan, family, split)
    if not gives_blocks(model):
        note = NOTE if note is None else f"{note}; {NOTE}"
    if taken.state is not None:
        model.load_state(taken.state)
    # Where every epoch stays, each is stored as little more than its difference to the one before.
    codec: Codec = "small" if plan.policy == All() else "auto"
    made = family.remade(plan.config) if _recomputes(plan) else None
    # A difference keeps what it is over: none where epochs are to go, nor to an array that is.
    stays: tuple[str, ...] = (made.part,) if made else ()
    whole = stays if plan.policy == All() else None
    with store.track(codec=codec, after=taken.base, whole=whole) as track:
        del taken
        while True:
            result = _train_one(plan, family, model, split, store, track, history)
            result, note = replace(result, note=note), None
            if made:
                _thin(plan, made, store, history)
            if result.finished:
                break
            yield result
    yield result


def measure(model: Model, family: Family, split: Split, metrics: Sequence[str]) -> dict[str, float]:
    """The metrics of a model on the held-out part, as every epoch records them.

    Where a rating predictor has no score, LensKit's undamped bias model predicts, as in LensKit's
    own rating pipelines. A model that gives no blocks of scores is asked through its pipeline.
    """

    def bias(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        return bias_scores(split, 0.0, 0.0)(users, items)

    fallback = bias if family.predicts_ratings else None
    scores = model.scores if gives_blocks(model) else pipeline_scores(model, split)
    return evaluate(scores, split, metrics, fallback=fallback)


def create_model(plan: TrialPlan, family: Family, split: Split) -> Model:
    """The untrained model. One seed initialises all trials of a run: it is no hyperparameter."""
    return family.create(dict(plan.config), split, derive_seed(plan.seed, "init"))


def _train_one(
    plan: TrialPlan,
    family: Family,
    model: Model,
    split: Split,
    store: Store,
    track: Track,
    history: list[dict[str, Any]],
) -> EpochResult:
    epoch = len(history) + 1
    began = time.perf_counter()
    model.train_epoch()
    trained = time.perf_counter()
    state = model.state()
    _check_finite(state, epoch)
    # Encoding and hashing the blobs overlaps with the evaluation.
    staged = track.stage(state)
    try:
        metrics = measure(model, family, split, plan.metrics)
        for objective in plan.objectives:
            _check_objective(objective.name, metrics, epoch)
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
        "trial": plan.number,
    }
    info = {
        **plan.about,
        **plan.claim(),
        "config": dict(plan.config),
        "metrics": row["metrics"],
        "history": [*history, row],
    }
    saved = _commit(plan, store, staged, epoch, info)
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
        finished=plan.finish_reason(history),
    )


def _commit(
    plan: TrialPlan, store: Store, staged: Staged, epoch: int, info: dict[str, Any]
) -> Saved:
    try:
        return staged.commit(plan.key, epoch, info)
    except StoreDamagedError:
        # Another run's manifest of the same epoch: ours takes its place.
        if not store.quarantine(plan.key, epoch):
            raise
        return staged.commit(plan.key, epoch, info)


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


def _replayed(row: Mapping[str, Any], plan: TrialPlan, finished: str | None) -> EpochResult:
    return EpochResult(
        epoch=row["epoch"],
        metrics=dict(row["metrics"]),
        train_s=row["train_s"],
        eval_s=row["eval_s"],
        save_s=0.0,
        stored_bytes=0,
        logical_bytes=0,
        cached=(row["run"], row["trial"]) != (plan.run_id, plan.number),
        finished=finished,
        replayed=True,
    )


def _retain(plan: TrialPlan, store: Store, history: Sequence[Mapping[str, Any]]) -> None:
    store.retain(plan.key, plan.policy, plan.records(history), owner=plan.owner)


def _recomputes(plan: TrialPlan) -> bool:
    return plan.recompute and plan.policy == All()


def _thin(
    plan: TrialPlan, made: Remade, store: Store, history: Sequence[Mapping[str, Any]]
) -> None:
    """Of epochs that are neither best nor last any more, store no longer what can be computed."""

    def others(rows: Sequence[Mapping[str, Any]]) -> set[int]:
        needed = plan.best_and_last.keep(plan.records(rows))
        return set(range(1 + made.epochs_back, len(rows) + 1)) - needed

    for epoch in others(history) - others(history[:-1]):
        source = (epoch - made.epochs_back, *made.source)
        store.thin(plan.key, epoch, (made.part, made.array), source, owner=plan.owner)


def _or_none(value: float) -> float | None:
    """JSON has no NaN: a metric that cannot be measured is recorded as null."""
    return float(value) if math.isfinite(value) else None

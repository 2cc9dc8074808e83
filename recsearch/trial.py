"""One trial as a plain generator of epochs: train, evaluate, commit, report. No Ray here.

A trial is addressed in the store by its key. Epochs that the store already has, from this run
before it was killed or from any other run of an equal trial, are reported from their checkpoint's
own record instead of being trained again; training continues after the last of them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from recsearch.data import Split
from recsearch.fold import FoldEpoch, FoldTrainer, NonFiniteObjectiveError, create_model
from recsearch.folds import merged_row
from recsearch.models import Family, Remade
from recsearch.models.piped import NOTE
from recsearch.plan import TrialPlan
from recsearch.store import Store
from recsearch.store.retention import All
from recsearch.takeover import take_over

__all__ = ["EpochResult", "NonFiniteObjectiveError", "create_model", "run_trial"]


@dataclass(frozen=True)
class EpochResult:
    """One epoch as reported: seconds of wall time, bytes as stored and as logical size.

    With several folds, ``metrics`` are the means, seconds and bytes the sums over them, and
    ``folds`` has the metrics of each.

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
    folds: list[dict[str, float]] | None = None


def run_trial(
    plan: TrialPlan, family: Family, split: Split | Sequence[Split], store: Store
) -> Generator[EpochResult, None, None]:
    """Yield the epochs of a trial, each after its checkpoint is durable.

    Folds are trained in step: an epoch is reported, and what it supersedes dropped, once every fold
    has committed it under its own key. So a trial that is killed in between continues with the
    folds that do not have the epoch yet.

    Close it where it is not run to its end: it keeps what it saved last in memory.

    Args:
        plan: of the trial.
        family: of its model.
        split: what it trains and validates on; one for each of ``plan.keys`` where it has folds.
        store: where its checkpoints are.

    Raises:
        NonFiniteObjectiveError: the objective diverged; earlier checkpoints stay.
        StoreError: a checkpoint cannot be written or read back.
    """
    splits = (split,) if isinstance(split, Split) else tuple(split)
    plans = [plan.fold(number, each) for number, each in enumerate(splits)]
    taken = take_over(plans, family, store)
    made = family.remade(plan.config) if plan.recompute and plan.policy == All() else None
    history: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folds = [
            stack.enter_context(FoldTrainer(own, family, each, store, begin, made))
            for own, each, begin in zip(plans, splits, taken.folds, strict=True)
        ]
        served, note = len(taken.rows), taken.damage
        del taken
        while True:
            epochs = [fold.reach(len(history) + 1) for fold in folds]
            history.append(merged_row([epoch.row for epoch in epochs]))
            reached = time.perf_counter()
            if len(history) >= served:
                # Also after the last served one: a kill may have come before this.
                _tidy(plan, folds, made if len(history) > served else None, history)
            if len(history) == served + 1 and not all(fold.gives_blocks for fold in folds):
                note = NOTE if note is None else f"{note}; {NOTE}"
            result = _result(plan, epochs, history, time.perf_counter() - reached, note)
            note = None
            if result.finished:
                break
            yield result
    yield result


def _result(
    plan: TrialPlan,
    epochs: Sequence[FoldEpoch],
    history: Sequence[Mapping[str, Any]],
    tidy_s: float,
    note: str | None,
) -> EpochResult:
    row = history[-1]
    replayed = not any(epoch.trained for epoch in epochs)
    return EpochResult(
        epoch=row["epoch"],
        metrics=dict(row["metrics"]),
        train_s=row["train_s"],
        eval_s=row["eval_s"],
        save_s=0.0 if replayed else tidy_s + sum(epoch.save_s for epoch in epochs),
        stored_bytes=sum(epoch.stored_bytes for epoch in epochs),
        logical_bytes=sum(epoch.logical_bytes for epoch in epochs),
        cached=not any(plan.trained(epoch.row) for epoch in epochs),
        finished=plan.finish_reason(history),
        replayed=replayed,
        note=note,
        folds=row.get("folds"),
    )


def _tidy(
    plan: TrialPlan,
    folds: Sequence[FoldTrainer],
    made: Remade | None,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Drop, or store less of, what the last epoch has superseded: all folds have it now."""
    thinned = _thinned(plan, made, history) if made else set()
    for fold in folds:
        fold.retain(history)
        if made:
            fold.thin(made, thinned)


def _thinned(plan: TrialPlan, made: Remade, history: Sequence[Mapping[str, Any]]) -> set[int]:
    """Epochs that are neither best nor last any more, of which less need be stored."""

    def others(rows: Sequence[Mapping[str, Any]]) -> set[int]:
        needed = plan.best_and_last.keep(plan.records(rows))
        return set(range(1 + made.epochs_back, len(rows) + 1)) - needed

    return others(history) - others(history[:-1])

"""Other metrics of trained models: from their checkpoints, without training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from recsearch.epochs import TrialView
from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, UsageError
from recsearch.evaluation import parse
from recsearch.folds import folds_of, mean_metrics
from recsearch.loading import EpochName, fold_split, open_checkpoint
from recsearch.measuring import measure
from recsearch.run import RunView


@dataclass(frozen=True)
class Reevaluated:
    """One trial: the epoch that was measured, or why it was not.

    Attributes:
        trial: its number.
        epoch: 1-based.
        metrics: what was asked for, the mean over the folds; None where there is no checkpoint.
        folds: the same of each fold, where the search has several.
        problem: why there are none.
    """

    trial: int
    epoch: int
    metrics: dict[str, float | None] | None
    folds: tuple[dict[str, float], ...] = ()
    problem: str | None = None


def trials_to_measure(view: RunView, which: str) -> list[TrialView]:
    """``best``, ``all`` (that have an epoch with a finite objective), or a number.

    Raises:
        UsageError: no such trial, or no epoch yet.
    """
    if which not in ("best", "all"):
        return [view.trial(int(which))]
    best = view.best()
    if best is None:
        raise UsageError(
            f"{view.name}: no epoch has finished yet.",
            hint=f"See how far it is: recsearch status {view.path}",
        )
    if which == "best":
        return [best[0]]
    return [trial for trial in view.trials if view.trial_best(trial) is not None]


def reevaluate(
    view: RunView,
    trials: Iterable[TrialView],
    epoch: EpochName,
    metrics: Sequence[str],
    store: str | None = None,
) -> Iterator[Reevaluated]:
    """Measure the checkpoints of ``trials`` on the validation part, or parts, of their run.

    Raises:
        UsageError: an unknown metric, or one that the model has not.
        StoreError: the store cannot be read.
    """
    names = [parse(name).name for name in metrics]
    several = list(trials)
    for trial in several:
        if len(several) > 1 and isinstance(epoch, int) and epoch > len(trial.epochs):
            problem = f"trial {trial.number} of {view.name} ended after epoch {len(trial.epochs)}."
            yield Reevaluated(trial.number, epoch, None, problem=problem)
            continue
        number = _number(view, trial, epoch)
        try:
            folds = tuple(
                _measure(view, trial, number, fold, names, store)
                for fold in range(folds_of(view.identity))
            )
        except (CheckpointNotFoundError, StoreDamagedError) as err:
            yield Reevaluated(trial.number, number, None, problem=err.message)
            continue
        yield Reevaluated(
            trial.number, number, mean_metrics(folds), folds if len(folds) > 1 else ()
        )


def _measure(
    view: RunView,
    trial: TrialView,
    epoch: int,
    fold: int,
    names: Sequence[str],
    store: str | None,
) -> dict[str, float]:
    loaded = open_checkpoint(view.path, trial=trial.number, epoch=epoch, fold=fold, store=store)
    return measure(loaded.model, loaded.family, fold_split(view.identity, fold), names)


def _number(view: RunView, trial: TrialView, epoch: EpochName) -> int:
    """Which epoch is meant; the trial has one."""
    best = view.trial_best(trial)
    if isinstance(epoch, int):
        return epoch
    return best.epoch if epoch == "best" and best is not None else trial.epochs[-1].epoch

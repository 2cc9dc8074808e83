"""Other metrics of trained models: from their checkpoints, without training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from recsearch.epochs import TrialView
from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, UsageError
from recsearch.evaluation import parse
from recsearch.loading import EpochName, open_checkpoint, split_of
from recsearch.measuring import measure
from recsearch.run import RunView


@dataclass(frozen=True)
class Reevaluated:
    """One trial: the epoch that was measured, or why it was not.

    Attributes:
        trial: its number.
        epoch: 1-based.
        metrics: what was asked for; None where there is no checkpoint.
        problem: why there are none.
    """

    trial: int
    epoch: int
    metrics: dict[str, float] | None
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
    """Measure the checkpoints of ``trials`` on the validation part of their run.

    Raises:
        UsageError: an unknown metric, or one that the model has not.
        StoreError: the store cannot be read.
    """
    names = [parse(name).name for name in metrics]
    split = split_of(view.identity)
    several = list(trials)
    for trial in several:
        if len(several) > 1 and isinstance(epoch, int) and epoch > len(trial.epochs):
            problem = f"trial {trial.number} of {view.name} ended after epoch {len(trial.epochs)}."
            yield Reevaluated(trial.number, epoch, None, problem)
            continue
        try:
            loaded = open_checkpoint(view.path, trial=trial.number, epoch=epoch, store=store)
        except (CheckpointNotFoundError, StoreDamagedError) as err:
            yield Reevaluated(trial.number, _number(view, trial, epoch), None, err.message)
            continue
        found = measure(loaded.model, loaded.family, split, names)
        yield Reevaluated(trial.number, loaded.row.epoch, found)


def _number(view: RunView, trial: TrialView, epoch: EpochName) -> int:
    """Which epoch is meant; the trial has one."""
    best = view.trial_best(trial)
    if isinstance(epoch, int):
        return epoch
    return best.epoch if epoch == "best" and best is not None else trial.epochs[-1].epoch

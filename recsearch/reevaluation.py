"""Other metrics of trained models: from their checkpoints, without training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError
from recsearch.evaluation import parse
from recsearch.loading import EpochName, open_checkpoint, split_of
from recsearch.measuring import measure
from recsearch.record import TrialView
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
    """``best``, ``all`` (that have an epoch), or a number.

    Raises:
        UsageError: no such trial.
    """
    if which == "all":
        return [trial for trial in view.trials if trial.epochs]
    if which == "best":
        found = view.best()
        return [] if found is None else [found[0]]
    return [view.trial(int(which))]


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
    for trial in trials:
        try:
            loaded = open_checkpoint(view.path, trial=trial.number, epoch=epoch, store=store)
        except (CheckpointNotFoundError, StoreDamagedError) as err:
            row = view.trial_best(trial) if epoch == "best" else trial.epochs[-1]
            number = epoch if isinstance(epoch, int) else (row.epoch if row else 0)
            yield Reevaluated(trial.number, number, None, err.message)
            continue
        found = measure(loaded.model, loaded.family, split, names)
        yield Reevaluated(trial.number, loaded.row.epoch, found)

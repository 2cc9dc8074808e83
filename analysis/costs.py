"""What an epoch of a trial cost, for trade-offs: seconds of training, bytes of model state."""

from __future__ import annotations

from collections.abc import Callable

from analysis.values import finite
from recsearch.epochs import TrialView
from recsearch.run import RunView


def seconds_to(trial: TrialView, epoch: int) -> float | None:
    """Training time up to ``epoch``, all folds together; None where none was measured."""
    return finite(sum(row.train_s for row in trial.epochs if row.epoch <= epoch)) or None


def mebibytes_of(run: RunView) -> Callable[[TrialView, int], float | None]:
    """What the state of the model of one fold takes after an epoch of a trial, in MiB.

    An epoch from the store does not say it: then it is that of another epoch, of this trial or of
    one with the same configuration, which has the same key; None where no such epoch says it.
    Of several folds some may have come from the store, so the epoch that says most counts.
    """
    known: dict[str, dict[int, float]] = {}
    folded = False
    for trial in run.trials:
        for row in trial.epochs:
            folded = folded or bool(row.folds)
            if row.logical_bytes:
                size = row.logical_bytes / len(row.folds or (None,)) / 2**20
                known.setdefault(trial.key, {}).setdefault(row.epoch, size)

    def mebibytes(trial: TrialView, epoch: int) -> float | None:
        sizes = known.get(trial.key, {})
        return (None if folded else sizes.get(epoch)) or max(sizes.values(), default=None)

    return mebibytes

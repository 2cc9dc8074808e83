"""What a tracker is, and which one a target names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from recsearch.epochs import EpochRow, TrialView
from recsearch.run import RunView
from recsearch.tracking.targets import Target


class Tracker(Protocol):
    """Brings one tool up to the journal.

    The contract that every tracker keeps: `log` may be called with any state of a trial that the
    journal has had, in any order, by a process that knows nothing of those before it, and those may
    have been killed at any point. After it the tool has every (metric, epoch) of the trial, each
    once, with rising steps.
    """

    def log(self, trial: TrialView) -> None:
        """Bring the tool up to this state of a trial."""

    def close(self) -> None:
        """Write what is left and let go of the tool; trials that go on are marked as stopped."""


def open_tracker(target: Target, run: RunView) -> Tracker:
    """The tracker of a target, with nothing logged yet.

    Args:
        target: what it feeds.
        run: the run, for its folder, identity and objectives; its trials are not looked at.
    """
    if target.tool == "tensorboard":
        from recsearch.tracking.tensorboard import TensorBoard

        return TensorBoard(run)
    if target.tool == "wandb":
        from recsearch.tracking.wandb import Wandb

        return Wandb(run, offline=target.place is not None)
    from recsearch.tracking.mlflow import MLflow

    return MLflow(run, target.place)


def measured(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that have a number; NaN and the infinities are numbers that tools can take."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def label(trial: TrialView) -> str:
    """Name of a trial that sorts by number: ``trial-0007``."""
    return f"trial-{trial.number:04d}"


def outcome(trial: TrialView, best: EpochRow | None) -> dict[str, Any]:
    """State, reason and best epoch of a trial, as tags."""
    return {
        "state": trial.state,
        **({"reason": trial.reason} if trial.reason else {}),
        **({"best_epoch": best.epoch} if best is not None else {}),
    }


def facts(run: RunView, trial: TrialView) -> dict[str, Any]:
    """What tells a trial of a run from all others."""
    return {
        "run": run.name,
        "run_id": run.identity["run_id"],
        "trial": trial.number,
        "key": trial.key,
        "origin": trial.origin,
        "dataset": run.identity["dataset"]["name"],
        "seed": run.identity["seed"],
    }

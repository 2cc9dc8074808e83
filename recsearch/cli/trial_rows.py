"""Trials as rows of a table, and which of them a user wants to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recsearch.epochs import EpochRow, TrialView
from recsearch.folds import folds_of, std_metrics
from recsearch.run import RunView


def trial_row(view: RunView, trial: TrialView) -> dict[str, Any]:
    """State, best epoch and parameters of a trial; of these the names begin with ``params.``."""
    row = view.trial_best(trial)
    name = view.objective.name
    return {
        "trial": trial.number,
        "state": trial.state,
        "reason": "cached" if trial.cached else trial.reason,
        "message": trial.message,
        "epochs": len(trial.epochs),
        name: None if row is None else row.value(name),
        **_folds(view, row),
        "best_epoch": None if row is None else row.epoch,
        **{f"params.{key}": value for key, value in trial.params.items()},
    }


def wanted(view: RunView, *, failed: bool, where: str | None) -> Callable[[TrialView], bool]:
    """Whether a trial is among those that a user asked for.

    Args:
        view: the run; trials may come that it has not yet.
        failed: only those that ended in an error.
        where: a condition on the rest, as `recsearch.where` reads it.

    Raises:
        UsageError: the condition cannot be read.
    """
    if where is None:
        return lambda trial: not failed or trial.state == "error"
    from recsearch.where import condition

    test = condition(where, _names(view))
    return lambda trial: (not failed or trial.state == "error") and test(_facts(view, trial))


def _names(view: RunView) -> set[str]:
    """What conditions can name, whichever trials are looked at: also what none has as yet."""
    some = TrialView(number=0, params={}, config={}, key="", origin="")
    return {
        *view.identity["search"].get("space", {}),
        *view.identity.get("metrics", ()),
        *(name for trial in (some, *view.trials) for name in _facts(view, trial)),
    }


def _facts(view: RunView, trial: TrialView) -> dict[str, Any]:
    """What a condition can ask of a trial: its row, parameters by name, all metrics at its best."""
    best = view.trial_best(trial)
    row = {k: v for k, v in trial_row(view, trial).items() if not k.startswith("params.")}
    return {**row, **({} if best is None else best.metrics), **trial.params}


def _folds(view: RunView, row: EpochRow | None) -> dict[str, Any]:
    """How the objective spreads over the folds, and its value in each."""
    folds = folds_of(view.identity)
    if folds == 1:
        return {}
    name = view.objective.name
    values = None if row is None else row.folds
    found = [None] * folds if values is None else [fold.get(name) for fold in values]
    spread = None if values is None else std_metrics(values)[name]
    return {
        f"{name}.std": spread,
        **{f"{name}.fold{fold}": value for fold, value in enumerate(found)},
    }

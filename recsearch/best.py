"""The two files that a run is for: the best configuration, and the result of its best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsearch.epochs import EpochRow, TrialView
from recsearch.evaluation import Metric
from recsearch.folds import std_metrics
from recsearch.record import Record

CONFIG_FORMAT = 1


def config_document(
    identity: Mapping[str, Any], trial: TrialView, row: EpochRow, by: Metric | None = None
) -> dict[str, Any]:
    """All that is needed to retrain the best epoch, and the metrics it must then have.

    ``epochs`` is the 1-based number of epochs to train: that of the best epoch, not the last.
    Where there are several validation folds, ``metrics`` are the means over them, ``folds`` has
    those of each, ``validation`` their splits and ``keys`` their addresses in the store.
    ``by`` is what it is best by, if not the run's (first) objective.
    """
    search = identity["search"]
    metric = search["search"]["metric"] if by is None else by.name
    return {
        "format": CONFIG_FORMAT,
        "run": identity["name"],
        "model": search["model"]["class"],
        "config": trial.config,
        "params": trial.params,
        "epochs": row.epoch,
        "seed": identity["seed"],
        **{key: identity[key] for key in ("device",) if key in identity},
        "objective": metric,
        "direction": identity["direction"] if by is None else by.direction,
        "value": row.value(metric),
        "metrics": row.metrics,
        **({"folds": row.folds} if row.folds else {}),
        "dataset": identity["dataset"],
        "split": identity["split"],
        **{key: identity[key] for key in ("validation",) if key in identity},
        "trial": trial.number,
        "key": trial.key,
        **({"keys": list(trial.keys)} if trial.keys else {}),
        "code": identity["code"],
        "versions": identity["versions"],
    }


def result_document(
    identity: Mapping[str, Any], trial: TrialView, row: EpochRow, by: Metric | None = None
) -> dict[str, Any]:
    """The metrics of the best epoch, read from the row of that very epoch.

    Where there are several validation folds, ``metrics`` are the means over them, ``std`` the
    sample standard deviations, and ``folds`` has the metrics of each. ``by`` is what it is best by,
    if not the run's (first) objective.
    """
    metric = identity["search"]["search"]["metric"] if by is None else by.name
    return {
        "format": CONFIG_FORMAT,
        "run": identity["name"],
        "trial": trial.number,
        "epoch": row.epoch,
        "objective": metric,
        "direction": identity["direction"] if by is None else by.direction,
        "value": row.value(metric),
        "metrics": row.metrics,
        **({"std": std_metrics(row.folds), "folds": row.folds} if row.folds else {}),
        "params": trial.params,
        "checkpoint": _checkpoint(trial, row),
        "train_s": row.train_s,
        "eval_s": row.eval_s,
        "time": row.time,
    }


def front_document(identity: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """The Pareto front: every epoch on it with its configuration, and what it is best by."""
    bests = {metric.name: record.best(metric) for metric in record.objectives}
    return {
        "format": CONFIG_FORMAT,
        "run": identity["name"],
        "objectives": [{"name": m.name, "direction": m.direction} for m in record.objectives],
        "front": [
            {
                "trial": trial.number,
                "epoch": row.epoch,
                "best_by": [n for n, best in bests.items() if best is not None and best[1] is row],
                "objectives": {m.name: row.value(m.name) for m in record.objectives},
                "metrics": row.metrics,
                **({"folds": row.folds} if row.folds else {}),
                "params": trial.params,
                "config": trial.config,
                "checkpoint": _checkpoint(trial, row),
            }
            for trial, row in record.front()
        ],
    }


def _checkpoint(trial: TrialView, row: EpochRow) -> dict[str, Any]:
    keys = {"keys": list(trial.keys)} if trial.keys else {}
    return {"key": trial.key, **keys, "epoch": row.epoch}

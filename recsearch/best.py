"""The two files that a run is for: the best configuration, and the result of its best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsearch.folds import std_metrics
from recsearch.record import EpochRow, TrialView

CONFIG_FORMAT = 1


def config_document(identity: Mapping[str, Any], trial: TrialView, row: EpochRow) -> dict[str, Any]:
    """All that is needed to retrain the best epoch, and the metrics it must then have.

    ``epochs`` is the 1-based number of epochs to train: that of the best epoch, not the last.
    Where there are several validation folds, ``metrics`` are the means over them, ``folds`` has
    those of each, ``validation`` their splits and ``keys`` their addresses in the store.
    """
    search = identity["search"]
    return {
        "format": CONFIG_FORMAT,
        "run": identity["name"],
        "model": search["model"]["class"],
        "config": trial.config,
        "params": trial.params,
        "epochs": row.epoch,
        "seed": identity["seed"],
        **{key: identity[key] for key in ("device",) if key in identity},
        "objective": search["search"]["metric"],
        "direction": identity["direction"],
        "value": row.value(search["search"]["metric"]),
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


def result_document(identity: Mapping[str, Any], trial: TrialView, row: EpochRow) -> dict[str, Any]:
    """The metrics of the best epoch, read from the row of that very epoch.

    Where there are several validation folds, ``metrics`` are the means over them, ``std`` the
    sample standard deviations, and ``folds`` has the metrics of each.
    """
    metric = identity["search"]["search"]["metric"]
    return {
        "format": CONFIG_FORMAT,
        "run": identity["name"],
        "trial": trial.number,
        "epoch": row.epoch,
        "objective": metric,
        "direction": identity["direction"],
        "value": row.value(metric),
        "metrics": row.metrics,
        **({"std": std_metrics(row.folds), "folds": row.folds} if row.folds else {}),
        "params": trial.params,
        "checkpoint": {
            "key": trial.key,
            **({"keys": list(trial.keys)} if trial.keys else {}),
            "epoch": row.epoch,
        },
        "train_s": row.train_s,
        "eval_s": row.eval_s,
        "time": row.time,
    }

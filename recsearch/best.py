"""The two files that a run is for: the best configuration, and the result of its best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsearch.record import EpochRow, TrialView

CONFIG_FORMAT = 1


def config_document(identity: Mapping[str, Any], trial: TrialView, row: EpochRow) -> dict[str, Any]:
    """All that is needed to retrain the best epoch, and the metrics it must then have.

    ``epochs`` is the 1-based number of epochs to train: that of the best epoch, not the last.
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
        "dataset": identity["dataset"],
        "split": identity["split"],
        "trial": trial.number,
        "key": trial.key,
        "code": identity["code"],
        "versions": identity["versions"],
    }


def result_document(identity: Mapping[str, Any], trial: TrialView, row: EpochRow) -> dict[str, Any]:
    """The metrics of the best epoch, read from the row of that very epoch."""
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
        "params": trial.params,
        "checkpoint": {"key": trial.key, "epoch": row.epoch},
        "train_s": row.train_s,
        "eval_s": row.eval_s,
        "time": row.time,
    }

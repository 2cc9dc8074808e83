"""The files beside a page: best configuration, trials and epochs, with exact numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from analysis.folds import fold_cells, fold_columns
from analysis.formatting import exact
from analysis.results import parameter_names
from analysis.values import all_rows
from recsearch.best import config_document, front_document
from recsearch.epochs import EpochRow, TrialView
from recsearch.run import RunView


def best_config_json(run: RunView) -> str | None:
    """The best configuration as ``recsearch verify`` reads it; None before there is one."""
    best = run.best()
    if best is None:
        return None
    document = exact(config_document(run.identity, *best))
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def pareto_json(run: RunView) -> str | None:
    """The Pareto front with configurations; None for one objective, or before there is one."""
    if len(run.objectives) < 2 or not run.front():
        return None
    document = exact(front_document(run.identity, run.record))
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def trials_csv(run: RunView) -> str:
    """One row per trial, with the metrics of its best epoch and its parameters.

    Empty cells are absent values; a metric that is not finite is ``nan`` or ``inf``. Where there
    are several folds, a metric is their mean, and further columns have what each measured.
    """
    names, metrics = parameter_names(run), metric_names(run)
    head = ["trial", "state", "reason", "origin", "cached", "epochs", "best_epoch"]
    spread = fold_columns(run, metrics)
    tail = ["train_s", "eval_s", "save_s", "stored_bytes", "logical_bytes", "started", "ended",
            "key", "message"]  # fmt: skip
    rows = []
    for trial in run.trials:
        best = run.trial_best(trial)
        measured = [None if best is None else best.metrics.get(m) for m in metrics]
        rows.append(
            [
                trial.number, trial.state, trial.reason, trial.origin, trial.cached,
                len({row.epoch for row in trial.epochs}), None if best is None else best.epoch,
                *measured, *fold_cells(run, best, metrics), *_params(trial, names),
                *_costs(trial.epochs),
                trial.started, trial.ended, trial.key, trial.message,
            ]
        )  # fmt: skip
    return csv_text([*head, *metrics, *spread, *(f"param.{n}" for n in names), *tail], rows)


def epochs_csv(run: RunView) -> str:
    """One row per epoch of every trial, with all metrics and the trial's parameters."""
    names, metrics = parameter_names(run), metric_names(run)
    trials = {trial.number: trial for trial in run.trials}
    head = ["trial", "epoch", "time", "cached"]
    spread = fold_columns(run, metrics)
    tail = ["train_s", "eval_s", "save_s", "stored_bytes", "logical_bytes"]
    rows = [
        [
            row.trial, row.epoch, row.time, row.cached,
            *(row.metrics.get(m) for m in metrics), *fold_cells(run, row, metrics),
            *_params(trials[row.trial], names), *_costs((row,)),
        ]
        for row in all_rows(run)
    ]  # fmt: skip
    return csv_text([*head, *metrics, *spread, *(f"param.{n}" for n in names), *tail], rows)


def metric_names(run: RunView) -> list[str]:
    """All metrics of the run, the objective first, the rest as first recorded."""
    names = dict.fromkeys([run.objective.name])
    for row in all_rows(run):
        names.update(dict.fromkeys(row.metrics))
    return list(names)


def _params(trial: TrialView, names: Iterable[str]) -> list[Any]:
    return [trial.params.get(name) for name in names]


def _costs(rows: Iterable[EpochRow]) -> list[Any]:
    rows = list(rows)
    return [
        sum(row.train_s for row in rows),
        sum(row.eval_s for row in rows),
        sum(row.save_s for row in rows),
        sum(row.stored_bytes for row in rows),
        sum(row.logical_bytes for row in rows),
    ]


def csv_text(head: list[str], rows: Iterable[list[Any]]) -> str:
    """A CSV file; absent values are empty cells, numbers have all their digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)

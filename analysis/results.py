"""The tables of a page: best metrics, trials, checkpoints."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from analysis.formatting import ABSENT, exact, metric, value_text
from analysis.values import all_rows, dig, finite, trial_point
from recsearch.epochs import EpochRow, TrialView
from recsearch.errors import UsageError
from recsearch.evaluation import parse
from recsearch.run import RunView

TOP = 1000
"""Trials that a page lists; the files beside it have all of them."""


class MetricRow(NamedTuple):
    """One metric of the best epoch beside what the baselines score."""

    name: str
    direction: str
    value: float | None
    baselines: tuple[float | None, ...]
    objective: bool


class BestInfo(NamedTuple):
    """The best configuration, and every metric of that very epoch."""

    trial: int
    epoch: int
    state: str
    origin: str
    key: str
    config_json: str
    baseline_names: tuple[str, ...]
    metrics: tuple[MetricRow, ...]


class TrialRow(NamedTuple):
    """One row of the trial table; ``params`` are in the order of the search space."""

    number: int
    state: str
    reason: str
    value: str
    epoch: str
    epochs: int
    origin: str
    params: tuple[str, ...]
    best: bool


class FrontRow(NamedTuple):
    """One epoch of the Pareto front; ``values`` are in the order of the objectives."""

    trial: int
    epoch: int
    state: str
    values: tuple[str, ...]
    best_by: tuple[str, ...]
    params: tuple[str, ...]


class Checkpoints(NamedTuple):
    """Bytes and seconds of the epochs trained by this run; cached ones cost nothing here.

    ``logical`` is what full uncompressed checkpoints would take, ``stored`` what was written.
    """

    epochs: int
    stored: int
    logical: int
    save_s: float
    train_s: float
    eval_s: float

    @property
    def ratio(self) -> float | None:
        """Logical bytes per stored byte."""
        return self.logical / self.stored if self.stored else None

    @property
    def save_share(self) -> float | None:
        """Seconds of saving per second of training, evaluating and saving."""
        total = self.save_s + self.train_s + self.eval_s
        return self.save_s / total if total else None


def best_info(run: RunView) -> BestInfo | None:
    """The best configuration and its metrics; None before the first finite objective."""
    best = run.best()
    if best is None:
        return None
    trial, row = best
    names = tuple(sorted(run.baselines))
    return BestInfo(
        trial=trial.number,
        epoch=row.epoch,
        state=trial.state,
        origin=trial.origin,
        key=trial.key,
        config_json=json.dumps(
            {**exact(trial.config), "epochs": row.epoch}, indent=2, ensure_ascii=False
        ),
        baseline_names=names,
        metrics=tuple(_metric_row(run, row, name, names) for name in _metric_names(run, row)),
    )


def front_rows(run: RunView) -> tuple[FrontRow, ...]:
    """The Pareto front, best by the first objective first; nothing for one objective."""
    if len(run.objectives) < 2:
        return ()
    bests = {metric.name: run.record.best(metric) for metric in run.objectives}
    names = parameter_names(run)
    return tuple(
        FrontRow(
            trial=trial.number,
            epoch=row.epoch,
            state=trial.state,
            values=tuple(metric(row.value(objective.name)) for objective in run.objectives),
            best_by=tuple(name for name, best in bests.items() if best and best[1] is row),
            params=tuple(_param(trial, name) for name in names),
        )
        for trial, row in run.front()
    )


def trials_info(run: RunView, top: int = TOP) -> tuple[TrialRow, ...]:
    """The ``top`` trials by objective; trials without a finite one are left out."""
    sign = -1.0 if run.objective.direction == "max" else 1.0
    found = [(p, t) for t in run.trials if (p := trial_point(run, t)) is not None]
    found.sort(key=lambda pair: (sign * pair[0].value, pair[0].epoch, pair[0].trial))
    names = parameter_names(run)
    best = run.best()
    return tuple(
        TrialRow(
            number=trial.number,
            state=trial.state,
            reason=trial.reason or "",
            value=metric(point.value),
            epoch=str(point.epoch),
            epochs=len({row.epoch for row in trial.epochs}),
            origin=trial.origin,
            params=tuple(_param(trial, name) for name in names),
            best=best is not None and best[0].number == trial.number,
        )
        for point, trial in found[:top]
    )


def parameter_names(run: RunView) -> tuple[str, ...]:
    """Searched parameters in the order of the search file, then any others that trials have."""
    names = dict.fromkeys(dig(run.identity, "search", "space", default={}))
    for trial in run.trials:
        names.update(dict.fromkeys(trial.params))
    return tuple(names)


def checkpoints_info(run: RunView) -> Checkpoints:
    """Sum bytes and seconds over the epochs that this run trained."""
    rows = [row for row in all_rows(run) if not row.cached]
    return Checkpoints(
        epochs=len(rows),
        stored=sum(row.stored_bytes for row in rows),
        logical=sum(row.logical_bytes for row in rows),
        save_s=sum(row.save_s for row in rows),
        train_s=sum(row.train_s for row in rows),
        eval_s=sum(row.eval_s for row in rows),
    )


def _metric_names(run: RunView, row: EpochRow) -> list[str]:
    others = [name for name in row.metrics if name != run.objective.name]
    return [run.objective.name, *others]


def _metric_row(run: RunView, row: EpochRow, name: str, baselines: tuple[str, ...]) -> MetricRow:
    values = tuple(
        finite(run.baselines[baseline].get("metrics", {}).get(name)) for baseline in baselines
    )
    return MetricRow(
        name, _direction(name), row.metrics.get(name), values, name == run.objective.name
    )


def _direction(name: str) -> str:
    try:
        return "lower" if parse(name).direction == "min" else "higher"
    except UsageError:
        return ""


def _param(trial: TrialView, name: str) -> str:
    missing: Any = object()
    value = trial.params.get(name, missing)
    return ABSENT if value is missing else value_text(value)

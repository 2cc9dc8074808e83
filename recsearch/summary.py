"""What runs came to, one beside the other: best, gain, trials, epochs and time of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from recsearch.epochs import EpochRow
from recsearch.errors import RecsearchError
from recsearch.evaluation import default_metrics, parse
from recsearch.journal import Event, read_events
from recsearch.record import Record
from recsearch.run import RunView
from recsearch.run_paths import RunPaths

COUNTED = ("done", "pruned", "error", "interrupted", "cached")
"""Of the counts of trials, those that a summary has."""

STATES = {0: "done", 5: "errors", 130: "interrupted"}
"""Exit code of the last command on a run to what it means."""


@dataclass(frozen=True)
class RunSummary:
    """One run. Values are those of the best epoch, in the metric's own direction.

    Attributes:
        run: name of the run folder.
        path: the run folder.
        search: name of the search file.
        dataset: name of the data set.
        state: ``done``, ``errors`` (some trials erred), ``interrupted``, ``failed``, ``waiting`` or
            ``unfinished`` (at work, or killed).
        objective: name of the metric; None where the run has no folder yet.
        value: the best; None before the first epoch.
        trial: number of the best trial.
        epoch: its best epoch.
        metrics: metrics of that epoch, the mean where there are several folds; only those that
            were measured.
        folds: the same for each fold, where there are several.
        baseline: what the gain is over.
        baseline_value: its objective.
        gain: the difference; positive is better.
        planned: number of trials asked for.
        trials: number of trials by state.
        epochs: number of epochs that were trained.
        cached_epochs: number of epochs that the store had.
        wall_s: seconds that commands have worked on the run.
        message: why it failed.
    """

    run: str
    path: str
    search: str
    dataset: str
    state: str
    objective: str | None = None
    value: float | None = None
    trial: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    folds: tuple[Mapping[str, float], ...] = ()
    baseline: str | None = None
    baseline_value: float | None = None
    gain: float | None = None
    planned: int | None = None
    trials: Mapping[str, int] = field(default_factory=dict)
    epochs: int = 0
    cached_epochs: int = 0
    wall_s: float = 0.0
    message: str | None = None

    @property
    def order(self) -> tuple[Any, ...]:
        """By data set, kind of objective, objective, then the best first."""
        if self.objective is None or self.value is None:
            return (self.dataset, 1, "", "", 0.0, self.run)
        metric = parse(self.objective)
        value = self.value if metric.direction == "min" else -self.value
        # "rating" comes after "ranking" by letters, but before it in every table here.
        return (self.dataset, 0, metric.kind != "rating", metric.name, value, self.run)


def summarise(path: Path, state: str | None = None, message: str | None = None) -> RunSummary:
    """Summary of the run in a folder.

    Args:
        path: the run folder.
        state: how it ended, where that is known better than the journal has it.
        message: why it failed.

    Raises:
        RecsearchError: it holds no run, or one that cannot be read.
    """
    view, events = RunView.open(path), read_events(RunPaths(path).journal)
    best, gained, counts = view.best(), gain(view.record), view.counts
    row = None if best is None else best[1]
    return RunSummary(
        run=view.name,
        path=str(path),
        search=Path(view.identity["search_file"]).stem,
        dataset=view.identity["dataset"]["name"],
        state=state or _state(view.record),
        objective=view.objective.name,
        value=None if row is None else row.value(view.objective.name),
        trial=None if best is None else best[0].number,
        epoch=None if row is None else row.epoch,
        metrics={} if row is None else measured(row.metrics),
        folds=() if row is None else fold_metrics(row),
        baseline=gained and gained[0],
        gain=gained and gained[1],
        baseline_value=gained and gained[2],
        planned=view.planned,
        trials={
            name: counts[name] for name in ("done", "pruned", "error", "interrupted", "cached")
        },
        epochs=counts["epochs"] - counts["cached_epochs"],
        cached_epochs=counts["cached_epochs"],
        wall_s=round(wall_seconds(events), 3),
        message=message,
    )


def gain(record: Record) -> tuple[str, float, float] | None:
    """Baseline, gain over it (positive is better) and its value; None where there is none."""
    best = record.best()
    metric = record.objective
    for name, label in (("bias", "tuned bias"), ("popular", "popularity")):
        value = record.baselines.get(name, {}).get("metrics", {}).get(metric.name)
        if best is not None and value is not None and (name == "bias") == (metric.kind == "rating"):
            difference = best[1].value(metric.name) - value
            return label, -difference if metric.direction == "min" else difference, value
    return None


def fold_metrics(row: EpochRow) -> tuple[dict[str, float], ...]:
    """Metrics of an epoch in each fold, where a search has several."""
    return tuple(measured(metrics) for metrics in row.folds or ())


def measured(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Only what has a finite value."""
    return {
        name: value for name, value in metrics.items() if value is not None and math.isfinite(value)
    }


def wall_seconds(events: Sequence[Event]) -> float:
    """Seconds that searches have worked on a run, all commands together.

    A command that was killed ends with its last event. What `recsearch final` writes is no search.
    """
    total, began, last = 0.0, None, None
    for event in events:
        if event["event"] == "test":
            continue
        moment = datetime.fromisoformat(event["time"])
        if event["event"] == "opened":
            total += _between(began, last)
            began = moment
        last = moment
    return total + _between(began, last)


def document(summaries: Iterable[RunSummary]) -> dict[str, Any]:
    """The content of ``summary.json``."""
    return {"runs": [asdict(summary) for summary in in_order(summaries)]}


def in_order(summaries: Iterable[RunSummary]) -> list[RunSummary]:
    """As tables list them."""
    return sorted(summaries, key=lambda summary: summary.order)


def metric_names(summaries: Iterable[RunSummary]) -> list[str]:
    """Every metric that a run has measured: those of ratings, the usual ones, then others."""
    found = dict.fromkeys(name for summary in summaries for name in summary.metrics)
    usual = [name for name in default_metrics(predicts_ratings=True) if name in found]
    return [*usual, *(name for name in found if name not in usual)]


def _between(began: datetime | None, last: datetime | None) -> float:
    return 0.0 if began is None or last is None else (last - began).total_seconds()


def _state(record: Record) -> str:
    code = record.sessions[-1].get("exit_code") if record.sessions else None
    return "unfinished" if code is None else STATES.get(code, "failed")


def summary_of(
    path: Path, search: str, dataset: str, state: str | None, message: str | None
) -> RunSummary:
    """`summarise`, or what is known of a run whose folder holds none or is damaged."""
    try:
        return summarise(path, state, message)
    except RecsearchError as err:
        known = message or (str(err) if RunPaths(path).identity.exists() else None)
        return RunSummary(
            path.name, str(path), Path(search).stem, dataset, state or "failed", message=known
        )

"""Summaries of runs as a table: a row per run, or per fold with mean and standard deviation."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsearch.errors import UsageError
from recsearch.files import write_atomic, write_text_atomic
from recsearch.summary import RunSummary, document, in_order, metric_names

Row = dict[str, Any]

HEAD = ("dataset", "algorithm")
TAIL = ("objective", "baseline", "gain", "trials", "epochs", "wall_s", "state", "run")
"""Columns after the metrics. ``trials`` and ``epochs`` are those of the whole run."""


def columns(summaries: Sequence[RunSummary], metrics: Sequence[str] | None = None) -> list[str]:
    """Names of the table's columns; ``fold`` is there if a run has several."""
    names = metric_names(summaries) if metrics is None else metrics
    fold = ("fold",) if any(summary.folds for summary in summaries) else ()
    return [*HEAD, *fold, *names, *TAIL]


def rows(summaries: Iterable[RunSummary]) -> list[Row]:
    """The table, in its order: by data set, kind of objective, objective, the best first."""
    return [row for summary in in_order(summaries) for row in _rows(summary)]


def to_csv(summaries: Sequence[RunSummary]) -> str:
    """The table with every digit; blank where nothing was measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(summaries), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(summaries))
    return text.getvalue()


def to_markdown(summaries: Sequence[RunSummary]) -> str:
    """The table for a text, with five digits."""
    names, table = columns(summaries), rows(summaries)
    numeric = [any(isinstance(row.get(name), int | float) for row in table) for name in names]
    lines = [names, ["---:" if right else "---" for right in numeric]]
    lines += [[_cell(row.get(name)) for name in names] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write_summary(folder: Path, summaries: Sequence[RunSummary]) -> None:
    """Write ``summary.json`` and ``summary.csv``, each whole or not at all.

    Raises:
        RecsearchError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UsageError(
            f"{folder}: cannot hold a summary: {err.strerror}.",
            hint="Choose a writable folder with --summary DIR.",
        ) from err
    write_atomic(folder / "summary.json", document(summaries))
    write_text_atomic(folder / "summary.csv", to_csv(summaries))


def _rows(summary: RunSummary) -> Iterator[Row]:
    head: Row = {"dataset": summary.dataset, "algorithm": summary.search}
    if summary.objective is None:
        yield {**head, "state": summary.state, "run": summary.run}
        return
    tail: Row = {
        "objective": summary.objective,
        "baseline": summary.baseline_value,
        "gain": summary.gain,
        "trials": sum(summary.trials.get(name, 0) for name in ("done", "pruned", "error")),
        "epochs": summary.epochs + summary.cached_epochs,
        "wall_s": summary.wall_s,
        "state": summary.state,
        "run": summary.run,
    }
    if not summary.folds:
        yield {**head, **summary.metrics, **tail}
        return
    for number, metrics in enumerate(summary.folds):
        yield {**head, "fold": number, **metrics}
    yield {**head, "fold": "mean", **_over(summary.folds, statistics.fmean), **tail}
    yield {**head, "fold": "std", **_over(summary.folds, statistics.stdev)}


def _over(folds: Sequence[Mapping[str, float]], function: Any) -> dict[str, float]:
    """A statistic of each metric that all folds have; of one fold alone, there is no deviation."""
    common = [name for name in folds[0] if all(name in fold for fold in folds)]
    if len(folds) < 2 and function is statistics.stdev:
        return {}
    return {name: function([fold[name] for fold in folds]) for name in common}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")

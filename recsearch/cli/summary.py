"""The last lines of a search: what came out, where it lies, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from recsearch.cli.options import program
from recsearch.folds import std_metrics
from recsearch.printable import clean
from recsearch.record import Record
from recsearch.request import Request
from recsearch.summary import gain
from recsearch.tuning.driver import Outcome
from recsearch.urls import without_secrets


def closing_lines(outcome: Outcome, request: Request, page: Path | None) -> Iterator[str]:
    """Lines for stdout, the command to type next last."""
    record, paths = outcome.record, outcome.paths
    if outcome.moved:
        yield f"the run that was here lies in {outcome.moved}"
    yield from result_lines(record)
    counts = record.counts()
    states = ("done", "pruned", "cached", "error", "interrupted")
    yield "trials     " + ", ".join(f"{counts[name]} {name}" for name in states)
    yield (
        f"epochs     {counts['epochs'] - counts['cached_epochs']} trained, "
        f"{counts['cached_epochs']} cached"
    )
    for note in record.notes:
        yield f"note       {clean(note)}"
    if page:
        yield f"page       {page}"
    if record.best():
        yield f"best       {paths.best_config}"
        for metric in record.objectives[1:]:
            yield f"           {paths.best_config_by(metric.name)}"
    if record.others and record.best():
        yield f"front      {paths.front}"
    yield f"next       {_next(outcome, request)}"


def result_lines(record: Record) -> Iterator[str]:
    """Best objective, where it was reached, and its gain over the baseline."""
    best = record.best()
    if best is None:
        yield "no epoch finished"
        return
    for metric in record.objectives:
        name = metric.name
        trial, row = record.best(metric) or best
        yield f"{name:<10} {row.value(name):.5f} (trial {trial.number}, epoch {row.epoch})"
        if row.folds:
            values = " ".join(f"{fold[name]:.5f}" for fold in row.folds)
            spread = std_metrics(row.folds)[name] or 0.0
            yield f"folds      {values} (mean {row.value(name):.5f}, std {spread:.5f})"
    if record.others:
        points = record.front()
        trials = {trial.number for trial, _ in points}
        yield f"front      {len(points)} epochs of {len(trials)} trials that no other beats"
    baseline = gain(record)
    if baseline:
        yield f"gain       {baseline[1]:+.5f} against {baseline[0]} {baseline[2]:.5f}"


def _next(outcome: Outcome, request: Request) -> str:
    name = program()
    if outcome.interrupted:
        return request.command
    if outcome.erred:
        return f"{name} status {outcome.paths.root} --failed"
    if outcome.record.best() is None:
        return f"{name} status {outcome.paths.root}"
    store = (
        ""
        if request.store_url == "store"
        else f" --store {shlex.quote(without_secrets(request.store_url))}"
    )
    return f"{name} verify {outcome.paths.best_config}{store}"

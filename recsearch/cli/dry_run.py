"""``recsearch search --dry-run``: what would be done, and what it would take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from recsearch.cli.output import cell, print_json, print_rows
from recsearch.estimate import parse_size
from recsearch.evaluation import parse
from recsearch.request import Request
from recsearch.store.retention import parse_retention
from recsearch.tuning.forecast import Forecast
from recsearch.units import duration, size
from recsearch.urls import without_secrets


def print_forecast(found: Forecast, request: Request, command: str, *, as_json: bool) -> None:
    """Print a forecast; the command that would run it last."""
    if as_json:
        print_json(forecast_document(found))
        return
    rows = [_row(trial) for trial in found.planned]
    if rows:
        print_rows(rows, tuple(dict.fromkeys(key for row in rows for key in row)))
    for line in _lines(found, request):
        click.echo(line)
    click.echo(f"next       {command}")


def forecast_document(found: Forecast) -> dict[str, Any]:
    """A forecast as JSON."""
    document = asdict(found)
    if found.store is not None:
        document["store"]["total"] = found.store.total
    return document


def _row(trial: Any) -> dict[str, Any]:
    return {
        "trial": trial.trial,
        "origin": trial.origin,
        "epochs": trial.epochs,
        **{f"params.{name}": value for name, value in trial.params.items()},
        "s/epoch": trial.epoch_s,
        "worker": size(trial.worker_bytes),
    }


def _lines(found: Forecast, request: Request) -> Iterator[str]:
    left = found.total - found.finished
    yield (
        f"trials     {left} of {found.total} to run: {len(found.planned)} determined, "
        f"{found.open} follow from results"
    )
    basis = (
        f"as the {found.measured_trials} that have ended"
        if found.measured_trials
        else "assumed from scheduler and stop rule"
    )
    yield f"epochs     about {found.epochs:.1f} a trial, {found.most} at most ({basis})"
    yield f"time       {_time(found, request.device)}"
    point = "".join(f" with {name} = {cell(value)}" for name, value in found.largest.items())
    yield (
        f"memory     about {size(found.memory_bytes)} at most: {found.workers} workers{point}, "
        "the command and Ray"
    )
    if found.store is not None:
        search = request.spec.search
        keeps_all = parse_retention(search.retention, parse(search.metric).direction).keeps_all
        sentence = found.store.sentence(
            parse_size(search.quota), without_secrets(request.store_url), found.finished, keeps_all
        )
        yield f"store      {sentence}"
    yield "written    nothing: --dry-run"


def _time(found: Forecast, device: str) -> str:
    if found.core_s is None or found.wall_s is None:
        what = "this model does not say" if device == "cpu" else f"nobody knows of {device}"
        return f"unknown: {what} what an epoch takes, and none has been trained"
    accuracy = (
        f"from {found.measured_epochs} epochs of this run"
        if found.measured_epochs
        else f"calculated for {found.rate / 1e9:.0f} GFLOP/s a core, to a factor of about 2"
    )
    return (
        f"about {duration(found.wall_s)} with {found.workers} workers on {found.cpus} cores, "
        f"{duration(found.core_s)} of one core ({accuracy})"
    )

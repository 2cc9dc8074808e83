"""All of it: ``python -m benchmarks.store [--quick | --full] [--scale-test]``."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.store import report, scale, space
from benchmarks.store.als import AlsTrace, als_trace, epoch_seconds
from benchmarks.store.facts import machine
from benchmarks.store.flips import flips
from benchmarks.store.measure import Settings, measure
from benchmarks.store.search_overhead import search_overhead
from benchmarks.store.strategies import STRATEGIES
from benchmarks.store.targets import judge
from benchmarks.store.trace import Knobs, Order, SparseTrace, Trace
from benchmarks.store.writers import writers

RESULTS = Path(__file__).parent.parent / "results"
TABLES = 8
TIMED_AGAIN = 64
"""Largest ALS model of which an epoch is timed in every run, to compare saves with."""
STATES_IN_MEMORY = 5
"""Copies of a state that a strategy may need at once, with the trace's own."""


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        name: Of the results.
        rows: Of each of the tables.
        dims: Numbers per row.
        versions: Checkpoints by share of changed rows.
        als: Sizes of the ALS trials.
        epochs: Epochs of those.
        repeats: Whole runs of every strategy.
        budget_s: See :class:`~benchmarks.store.measure.Settings`.
        writers: Processes, checkpoints of each, repeats.
        search: Epochs and repeats of the trial with and without checkpoints.
    """

    name: str
    rows: int
    dims: tuple[int, ...]
    versions: dict[float, int]
    als: tuple[int, ...]
    epochs: int = 12
    repeats: int = 3
    budget_s: float = 3.0
    writers: tuple[int, int, int] = (8, 25, 3)
    search: tuple[int, int] = (8, 5)


VERSIONS = {0.001: 31, 0.01: 31, 0.05: 31, 0.2: 13, 1.0: 7}
DEFAULT = Plan("store", 62_500, (16, 64), VERSIONS, (64, 463))
QUICK = Plan(
    "store_quick",
    rows=5_000,
    dims=(16,),
    versions={0.001: 7, 0.05: 13, 1.0: 4},
    als=(64,),
    budget_s=1.0,
    writers=(4, 8, 1),
    search=(3, 2),
)
FULL = replace(DEFAULT, name="store_full", rows=2_000_000, budget_s=60.0)


@click.command()
@click.option("--quick", is_flag=True, help="About a minute, on tables too small to judge by.")
@click.option("--full", is_flag=True, help="Tables of up to 4 GB: hours, and 60 GB of disk.")
@click.option(
    "--scale", "factor", default=1.0, show_default=True, help="Factor on the rows of the tables."
)
@click.option("--repeats", type=int, help="Runs of every strategy; at least 3 for results to keep.")
@click.option("--budget", type=float, help="Seconds of saving after which a run ends.")
@click.option("--order", type=click.Choice(["arrival", "sorted", "permuted"]), default="arrival")
@click.option("--strategy", "names", multiple=True, type=click.Choice(sorted(STRATEGIES)))
@click.option("--traces", default="", help="Only traces whose name contains this.")
@click.option("--cold/--no-cold", default=True, help="Restore from files not in memory, too.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where files go while measuring.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--show", type=click.Path(exists=True, path_type=Path), help="Print results again.")
@click.option("--scale-test", is_flag=True, help="Instead: many checkpoints in one store.")
@click.option("--checkpoints", default=100_000, show_default=True, help="For --scale-test.")
@click.option("--keep", type=click.Path(path_type=Path), help="Store that --scale-test keeps.")
@click.option("--markdown", is_flag=True, help="With --show: tables for the documents.")
def main(
    quick: bool,
    full: bool,
    factor: float,
    repeats: int | None,
    budget: float | None,
    order: Order,
    names: tuple[str, ...],
    traces: str,
    cold: bool,
    folder: Path | None,
    out: Path | None,
    show: Path | None,
    scale_test: bool,
    checkpoints: int,
    keep: Path | None,
    markdown: bool,
) -> None:
    """Measure every strategy on every trace, print tables and targets, write JSON."""
    if show is not None:
        results = json.loads(show.read_text(encoding="utf-8"))
        print(report.markdown(results)) if markdown else report.show(results)
        return
    if scale_test:
        report.show(scale.run(checkpoints, keep, folder, out or RESULTS / "store_scale.json"))
        return
    plan = QUICK if quick else FULL if full else DEFAULT
    plan = replace(
        plan,
        rows=round(plan.rows * factor),
        repeats=repeats or plan.repeats,
        budget_s=budget or plan.budget_s,
    )
    settings = Settings(plan.repeats, plan.budget_s, cold)
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    path = out or RESULTS / f"{plan.name}.json"
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=folder) as place:
        results = _run(plan, settings, order, names or tuple(STRATEGIES), traces, Path(place), path)
    report.show(results)
    print(f"wrote {path}")


def _run(
    plan: Plan,
    settings: Settings,
    order: Order,
    names: tuple[str, ...],
    only: str,
    place: Path,
    path: Path,
) -> dict[str, Any]:
    began = time.monotonic()
    results: dict[str, Any] = {
        "benchmark": plan.name,
        "machine": machine(place),
        "settings": {
            "tables": TABLES, "rows": plan.rows, "order": order, "repeats": plan.repeats,
            "budget_s": plan.budget_s, "cold": settings.cold,
        },
        "rows": [],
        "figures": {},
    }  # fmt: skip
    for trace in _traces(plan, order, only):
        print(f"{trace.name}: {trace.nbytes / 1e6:.0f} MB", flush=True)
        results["rows"] += measure(trace, names, settings, place / "traces")
        _write(path, results, began)
    for name, found in _figures(plan, place) if not only else ():
        print(f"{name} done", flush=True)
        results["figures"][name] = found
        _write(path, results, began)
    return results


def _write(path: Path, results: dict[str, Any], began: float) -> None:
    results["targets"] = judge(results["rows"], results["figures"])
    results["machine"]["load_after"] = os.getloadavg()[0]
    results["seconds"] = round(time.monotonic() - began)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _traces(plan: Plan, order: Order, only: str) -> Iterator[Trace]:
    for size in plan.als:
        if only in f"ALS d={size}":
            yield _als(plan, size)
    for dim in plan.dims:
        for share, versions in plan.versions.items():
            trace = SparseTrace(Knobs(TABLES, plan.rows, dim, share, versions, order=order))
            if only not in trace.name:
                continue
            if STATES_IN_MEMORY * trace.nbytes > psutil.virtual_memory().available:
                print(f"{trace.name}: left out, {trace.nbytes / 1e9:.1f} GB need more memory")
                continue
            yield trace


def _als(plan: Plan, size: int) -> AlsTrace:
    print(f"ALS d={size}: training, unless its epochs are kept from an earlier run", flush=True)
    trace = als_trace(size, plan.epochs)
    if size <= TIMED_AGAIN:
        trace.epoch_s = epoch_seconds(size)
    if trace.note:
        print(trace.note)
    return trace


def _figures(plan: Plan, place: Path) -> Iterator[tuple[str, Any]]:
    als = [als_trace(size, plan.epochs) for size in plan.als]
    rows = min(plan.rows, DEFAULT.rows)
    sparse = SparseTrace(Knobs(TABLES, rows, plan.dims[0], 0.05, plan.versions[0.05]))
    yield "flips", flips(place / "flips", 20)
    yield "clones", space.clones(place / "clones", [als[0], sparse])
    yield "collections", space.collections(place / "collections", [als[0], sparse])
    yield "recomputed", [space.recomputed(place / f"again{a.size}", a) for a in als]
    yield "writers", writers(place / "writers", *plan.writers)
    yield "search", search_overhead(place / "search", *plan.search)


if __name__ == "__main__":
    main()

"""Seconds and bytes of pages, beside Optuna's plots: ``python -m benchmarks.pages``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.als.__main__ import machine
from benchmarks.pages.runs import write_run
from recsearch.files import write_atomic

RESULTS = Path(__file__).parent.parent / "results" / "pages.json"
EACH_S, ALL_S, PAGE_MB = 10.0, 30.0, 3.0
"""Targets: one page from a cold start, all pages and their index, and the largest page."""


@click.command()
@click.option("--runs", default=20, show_default=True, help="Runs to render.")
@click.option("--trials", default=100, show_default=True, help="Trials of each.")
@click.option("--peer/--no-peer", default=True, show_default=True, help="Draw Optuna's plots too.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=False)
def main(runs: int, trials: int, peer: bool, results: Path) -> None:
    """Measure, print a table with the targets, and write one JSON file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [folder / "runs" / f"als-{number:02d}" for number in range(1, runs + 1)]
        for seed, run in enumerate(made):
            write_run(run, trials, seed)
        found: dict[str, Any] = {
            "benchmark": "pages",
            "machine": machine(),
            "settings": {"runs": runs, "trials": trials},
            "one_s": _report(folder, [made[0]], "one"),
            "all_s": _report(folder, made, "all"),
            "page_mb": max(
                (folder / "all" / run.name / "index.html").stat().st_size / 1e6 for run in made
            ),
        }
        if peer:
            found |= _optuna(folder, made)
    found["met"] = {
        "one": found["one_s"] < EACH_S,
        "all": found["all_s"] <= ALL_S,
        "page": found["page_mb"] < PAGE_MB,
    }
    write_atomic(results, found)
    show(found)
    print(f"wrote {results}")


def _report(folder: Path, runs: list[Path], out: str) -> float:
    """Wall seconds of one command from a cold start."""
    command = [sys.executable, "-m", "recsearch", "report", "--out", out, *map(str, runs)]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def _optuna(folder: Path, runs: list[Path]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.pages.peer", str(folder / "optuna"),
               *map(str, runs)]  # fmt: skip
    (folder / "optuna").mkdir()
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - began
    each = [float(line) for line in done.stdout.split()]
    drawn = (folder / "optuna" / runs[0].name).glob("*.svg")
    return {
        "optuna_all_s": whole,
        "optuna_each_s": statistics.median(each),
        "optuna_mb": sum(path.stat().st_size for path in drawn) / 1e6,
    }


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    settings, table = found["settings"], Table(box=None)
    for column in ("", "recsearch", "Optuna's plots", "ratio", "target", "met"):
        table.add_column(column, justify="left" if not column else "right")
    both = "optuna_all_s" in found
    rows = [
        ("one run, cold start", "one_s", None, f"< {EACH_S:.0f} s", "one", "s"),
        (f"{settings['runs']} runs and their index", "all_s", "optuna_all_s",
         f"<= {ALL_S:.0f} s", "all", "s"),
        ("largest page", "page_mb", "optuna_mb", f"< {PAGE_MB:.0f} MB", "page", "MB"),
    ]  # fmt: skip
    for label, ours, theirs, target, met, unit in rows:
        other = found[theirs] if both and theirs else None
        table.add_row(
            label,
            f"{found[ours]:.2f} {unit}",
            "" if other is None else f"{other:.2f} {unit}",
            "" if other is None else f"{other / found[ours]:.2f}",
            target,
            "yes" if found["met"][met] else "NO",
        )
    Console().print(table)


if __name__ == "__main__":
    main()

"""Part ``scaling``: our search over workers and sizes of the data.

Trials have one embedding size and one number of epochs, and none is pruned, so that the work is
known: twice the workers should need half the time (strong), or do twice the trials in the same
(weak).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from benchmarks.search import ours
from benchmarks.search.results import Part, Settings
from recsearch.data import load_dataset, load_split

WORKERS = 2
GENERATED = {"1": "demo:ml1m", "10": "demo:10x"}


def measure(settings: Settings, part: Part, folder: Path) -> None:
    """One worker, two workers, and two workers with twice the trials, at every size."""
    workers = min(WORKERS, os.cpu_count() or 1)
    base = settings.scaling_trials
    for size in settings.sizes:
        data = dataset_of(size, folder)
        # Generated and divided before any time is taken: what is kept of it serves all runs.
        ratings = len(load_split(load_dataset(data)).train.items)
        for count, trials in runs(workers, base):
            name = f"{size}x, {count} workers, {trials} trials"
            place = folder / f"{size}-{count}-{trials}"
            about = {"size": size, "workers": count, "train_ratings": ratings}
            part.once(
                name,
                lambda d=data, p=place, t=trials, a=about: {
                    **_run(settings, d, p, a["workers"], t),
                    **a,
                },
            )


def runs(workers: int, trials: int) -> list[tuple[int, int]]:
    """Workers and trials of each run."""
    found = [(1, trials)]
    if workers > 1:
        found += [(workers, trials), (workers, workers * trials)]
    return found


def dataset_of(size: str, folder: Path) -> str:
    """Name of the generated data with ``size`` times the ratings of MovieLens 1M.

    A tenth is every tenth user of the whole.
    """
    if size in GENERATED:
        return GENERATED[size]
    if size != "0.1":
        return f"demo:{int(size)}x"
    ratings = load_dataset(GENERATED["1"])
    chosen = ratings.users % 10 == 0
    columns = {
        "user": ratings.user_ids[ratings.users[chosen]],
        "item": ratings.item_ids[ratings.items[chosen]],
        "rating": ratings.values[chosen].astype(np.float64),
    }
    path = folder / "tenth.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    return f"parquet:{path}"


def _run(settings: Settings, data: str, folder: Path, workers: int, trials: int) -> dict[str, Any]:
    size = settings.scaling_size
    options = ["--method", "random", "--scheduler", "none"]
    options += ["--max-epochs", str(settings.scaling_epochs)]
    for key, value in (
        ("search.stop", '{rule = "none"}'),
        ("space.embedding_size.min", size),
        ("space.embedding_size.max", size),
    ):
        options += ["--set", f"{key}={value}"]
    found = ours.search(data, folder, trials=trials, workers=workers, options=options)
    return {key: value for key, value in found.items() if key != "best_so_far"}


def rows(steps: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every run with its epochs per core-second and, on several workers, its efficiency.

    Efficiency is that of one worker's first run at the same size: the time it took, or would have
    taken for as many epochs, divided by workers times the time of this run.
    """
    found = []
    single: dict[str, Mapping[str, Any]] = {}
    for step in steps.values():
        workers, seconds = step["workers"], step["searching_s"]
        if workers == 1:
            single[step["size"]] = step
        one = single.get(step["size"])
        row = {**step, "epochs_per_core_s": step["epochs"] / (workers * seconds)}
        if workers > 1 and one is not None:
            expected = one["searching_s"] * step["epochs"] / one["epochs"]
            row["scaling"] = "strong" if step["trials"] == one["trials"] else "weak"
            row["efficiency"] = expected / (workers * seconds)
        found.append(row)
    return found

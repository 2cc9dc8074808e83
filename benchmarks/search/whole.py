"""Part ``search``: whole searches, each side with its own default strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.search import ours
from benchmarks.search.best_so_far import best_so_far, last_of_best_trial
from benchmarks.search.lenskit_files import (
    METRIC,
    march_space,
    read_trials,
    tuning_spec,
    write_inputs,
)
from benchmarks.search.processes import python, run
from benchmarks.search.results import Part, Settings
from recsearch.data import Split, load_dataset, load_split


def measure(settings: Settings, part: Part, folder: Path) -> None:
    """LensKit's search once, ours once for each seed."""
    split = load_split(load_dataset(settings.data))
    first, *others = settings.seeds
    part.once(f"ours {first}", lambda: _ours(settings, folder, first))
    part.once("lenskit", lambda: _lenskit(split, settings, folder / "lenskit"))
    for seed in others:
        part.once(f"ours {seed}", lambda seed=seed: _ours(settings, folder, seed))


def _ours(settings: Settings, folder: Path, seed: int) -> dict[str, Any]:
    place = folder / f"seed{seed}"
    smaller = ["--set", f"space.embedding_size.max={settings.largest}"]
    options = smaller if settings.largest < Settings.largest else []
    return ours.search(settings.data, place, trials=settings.trials, seed=seed, options=options)


def _lenskit(split: Split, settings: Settings, folder: Path) -> dict[str, Any]:
    """``lenskit tune`` over random points: its own stop rule and initial factors."""
    folder.mkdir(parents=True)
    spec = tuning_spec(march_space(settings.largest), points=settings.trials)
    write_inputs(split, spec, folder, settings.lenskit_seed)
    command = python("benchmarks.search.lenskit_tune", "tune", "--random")
    command += ["--metric", METRIC, "--max-points", str(settings.trials)]
    command += ["-T", "train", "-V", "valid.parquet", "search.json", "out"]
    usage = run(command, folder)
    rows = read_trials(folder / "out" / "trial-data")
    steps = best_so_far(rows, usage.began)
    return {
        **usage.figures,
        "trials": len({row.trial for row in rows}),
        "epochs": len(rows),
        "first_epoch_s": round(rows[0].time - usage.began, 3) if rows else None,
        "best": steps[-1][1] if steps else None,
        "last_epoch_of_best_trial": last_of_best_trial(rows),
        "best_so_far": steps,
    }

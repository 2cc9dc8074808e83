"""Part ``peers``: LensKit's training and measuring, one trial after another in one process.

``optuna`` is TPE with median pruning, ``random`` a sequential random search with early stopping as
RecBole runs it. Neither starts a process for a trial.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.best_so_far import Row, best_so_far
from benchmarks.search.lenskit_files import march_space, tuning_spec, write_inputs
from benchmarks.search.processes import Usage, python, run
from benchmarks.search.results import Part, Settings
from recsearch.data import Split, load_dataset, load_split

STRATEGIES = ("optuna", "random")


def measure(settings: Settings, part: Part, folder: Path) -> None:
    """Run each peer until its trials or its time are used up."""
    split = load_split(load_dataset(settings.data))
    for strategy in STRATEGIES:
        part.once(strategy, lambda s=strategy: _peer(split, settings, s, folder / s))


def _peer(split: Split, settings: Settings, strategy: str, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True)
    spec = tuning_spec(march_space(settings.largest), points=settings.trials)
    write_inputs(split, spec, folder, settings.lenskit_seed)
    job = {
        "strategy": strategy,
        "trials": settings.trials,
        "seconds": settings.peer_seconds,
        "seed": settings.lenskit_seed,
        "folder": str(folder),
    }
    (folder / "job.json").write_text(json.dumps(job))
    usage = run(python("benchmarks.search.sequential", folder / "job.json"), folder)
    lines = (folder / "epochs.ndjson").read_text(encoding="utf-8").splitlines()
    states = json.loads((folder / "states.json").read_text(encoding="utf-8"))
    return summary([json.loads(line) for line in lines], states, usage, settings.trials)


def summary(
    epochs: Sequence[Mapping[str, Any]], states: Sequence[str], usage: Usage, trials: int
) -> dict[str, Any]:
    """Figures of a peer's search.

    Args:
        epochs: as written by ``sequential``.
        states: of the trials, in Optuna's words.
        usage: of the whole process.
        trials: asked for; where fewer were begun, the time had run out in the last of them.
    """
    rows = [Row(e["trial"], e["epoch"], e["value"], e["time"]) for e in epochs]
    steps = best_so_far(rows, usage.began)
    cut = len(states) < trials
    ended = states[:-1] if cut else states
    return {
        **usage.figures,
        "trials": sum(state in ("complete", "pruned") for state in ended),
        "pruned": ended.count("pruned") if isinstance(ended, list) else 0,
        "errors": sum(state == "fail" for state in states),
        "asked": trials,
        "cut": cut,
        "epochs": len(rows),
        "train_s": round(sum(e["train_s"] for e in epochs), 3),
        "eval_s": round(sum(e["measure_s"] for e in epochs), 3),
        "best": steps[-1][1] if steps else None,
        "best_so_far": steps,
    }

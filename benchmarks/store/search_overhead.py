"""How much slower a trial is with checkpoints than without."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store.als import configuration, ratings
from recsearch.data import Split
from recsearch.errors import CheckpointNotFoundError
from recsearch.evaluation import default_metrics
from recsearch.models import resolve
from recsearch.plan import TrialPlan, trial_key
from recsearch.state import Json, State
from recsearch.stopping import NoStop
from recsearch.store import Saved, Store
from recsearch.trial import run_trial

SIZE = 64


class NoStaged:
    """What is never written."""

    def commit(self, key: str, epoch: int, info: dict[str, Json]) -> Saved:
        """Done at once."""
        return Saved("", 0, 0, 0.0)

    def abandon(self) -> None:
        """Nothing to drop."""


class NoTrack:
    """The track of a trial that keeps nothing."""

    def __enter__(self) -> NoTrack:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def stage(self, state: State) -> NoStaged:
        """Copies nothing."""
        return NoStaged()


class NoStore:
    """Takes the place of a store where a trial is to run without checkpoints."""

    url = "none"

    def read(self, key: str, epoch: int | None = None) -> Any:
        """There is never one."""
        raise CheckpointNotFoundError(f"{key}: nothing is stored")

    def epochs(self, key: str) -> list[int]:
        """None."""
        return []

    def track(self, **options: object) -> NoTrack:
        """See :class:`NoTrack`."""
        return NoTrack()

    def retain(self, *arguments: object, **options: object) -> list[int]:
        """Nothing to drop."""
        return []


def search_overhead(folder: Path, epochs: int, repeats: int) -> dict[str, Any]:
    """Run the same ALS trial with a store and without, in turns.

    Of every epoch the fastest of all runs counts, on either side: what else the machine does slows
    some epochs of some runs, a store slows all of them.

    Args:
        folder: For the stores.
        epochs: Of the trial.
        repeats: Runs of each kind.
    """
    split, note = ratings()
    stores: dict[str, Callable[[int], Any]] = {
        "without": lambda number: NoStore(),
        "with": lambda number: Store.open(folder / f"store{number}"),
    }
    seconds: dict[str, list[list[float]]] = {kind: [] for kind in stores}
    for number in range(repeats):
        for kind in sorted(stores, reverse=number % 2 == 0):
            seconds[kind].append(_epochs(split, stores[kind](number), epochs, number))
    fastest = {kind: float(np.min(runs, axis=0).sum()) for kind, runs in seconds.items()}
    return {
        "trial": f"ALS d={SIZE} on {split.source.name}",
        "note": note,
        "epochs": epochs,
        "repeats": repeats,
        "without_s": fastest["without"],
        "with_s": fastest["with"],
        "slower": fastest["with"] / fastest["without"] - 1,
        "median_slower": _median(seconds["with"]) / _median(seconds["without"]) - 1,
    }


def _median(runs: Sequence[Sequence[float]]) -> float:
    return float(np.median(runs, axis=0).sum())


def _epochs(split: Split, store: Any, epochs: int, number: int) -> list[float]:
    seconds, began = [], time.perf_counter()
    for _ in run_trial(_plan(split, epochs, number), resolve("als"), split, store):
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    return seconds


def _plan(split: Split, epochs: int, number: int) -> TrialPlan:
    family, config = resolve("als"), configuration(SIZE)
    metrics = tuple(default_metrics(family.predicts_ratings))
    return TrialPlan(
        number=number,
        config=config,
        key=trial_key(family, config, split, 1, metrics),
        seed=1,
        max_epochs=epochs,
        stop=NoStop(),
        objective=family.default_metric,
        metrics=metrics,
        retention="best+last",
        recompute=False,
        run_id="bench",
    )

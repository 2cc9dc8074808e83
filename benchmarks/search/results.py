"""The results file: parts that are merged into what is there, step by step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsearch.files import write_atomic

Results = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What to measure, and how much of it.

    Attributes:
        data: Data set of the parts that compare.
        configs: Equal configurations.
        chunks: Parts into which those are divided, the sides taking turns.
        epochs: Of each configuration.
        largest: Embedding size at most.
        trials: Of each whole search.
        seeds: Of our searches.
        lenskit_seed: Of LensKit's and the peers' searches.
        peer_seconds: After which a peer ends, once its epoch is measured; 0 for never.
        sizes: Multiples of ML-1M's ratings for the scaling.
        scaling_trials: Of one worker, and of two together; twice as many for the weak scaling.
        scaling_epochs: Of each of those trials.
        scaling_size: Embedding size of those trials.
        profile_trials: Of the search that is profiled.
    """

    data: str = "ml1m"
    configs: int = 24
    chunks: int = 4
    epochs: int = 5
    largest: int = 512
    trials: int = 100
    seeds: tuple[int, ...] = (42, 43, 44)
    lenskit_seed: int = 1
    peer_seconds: float = 600.0
    sizes: tuple[str, ...] = ("0.1", "1", "10")
    scaling_trials: int = 8
    scaling_epochs: int = 4
    scaling_size: int = 64
    profile_trials: int = 30


QUICK = Settings(
    data="demo",
    configs=4,
    chunks=2,
    epochs=3,
    largest=32,
    trials=6,
    seeds=(42,),
    peer_seconds=15.0,
    sizes=("0.1",),
    scaling_trials=4,
    scaling_epochs=2,
    scaling_size=16,
    profile_trials=6,
)


class Part:
    """One part while it is measured: every finished step is in the file at once.

    Args:
        name: of the part.
        file: where it is written.
        settings: recorded with the steps.
        resume: whether steps of an interrupted part with the same settings are taken as they are.
    """

    def __init__(self, name: str, file: ResultsFile, settings: Mapping[str, Any], *, resume: bool):
        self._name = name
        self._file = file
        earlier = file.results.get("parts", {}).get(name, {})
        usable = resume and resumable(earlier, settings)
        steps = dict(earlier["steps"]) if usable else {}
        self.found: Results = {"complete": False, "settings": dict(settings), "steps": steps}

    def keep_others(self, step: str) -> None:
        """Keep all steps that are there but one, which is measured anew."""
        earlier = self._file.results.get("parts", {}).get(self._name, {}).get("steps", {})
        self.found["steps"] = {key: value for key, value in earlier.items() if key != step}

    def once(self, step: str, measure: Callable[[], Any]) -> Any:
        """The result of a step, measured unless it is there."""
        steps = self.found["steps"]
        if step not in steps:
            print(f"{self._name}: {step}", flush=True)
            steps[step] = measure()
            self._save()
        return steps[step]

    def finish(self) -> None:
        """All steps are there."""
        self.found["complete"] = True
        self.found["load_after"] = round(os.getloadavg()[0], 2)
        self._save()

    def _save(self) -> None:
        self._file.put(self._name, self.found)


class ResultsFile:
    """Reads and rewrites one JSON file of results."""

    def __init__(self, path: Path):
        self.path = path
        self.results: Results = read(path) if path.exists() else {}

    def put(self, name: str, part: Mapping[str, Any]) -> None:
        """Replace one part and leave all others."""
        self.results = merged(self.results, name, part)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, self.results)

    def judge(self, judge: Callable[[Results], list[dict[str, Any]]]) -> None:
        """Add the verdicts on all parts."""
        self.results["targets"] = judge(self.results.get("parts", {}))
        write_atomic(self.path, self.results)

    def describe(self, machine: Mapping[str, Any]) -> None:
        """Say what the parts to come are measured on."""
        self.results = {"benchmark": "search", **self.results, "machine": dict(machine)}


def merged(results: Mapping[str, Any], name: str, part: Mapping[str, Any]) -> Results:
    """Results with one part replaced, measured on the machine that they name.

    A part keeps the description of its own machine where a later one is measured elsewhere.
    """
    machine = results.get("machine", {})
    parts = dict(results.get("parts", {}))
    parts[name] = {**part, "machine": machine}
    return {**results, "parts": parts}


def resumable(earlier: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether an earlier part was interrupted and had the same settings."""
    # Settings from a file have lists where those of a run have tuples.
    same = json.loads(json.dumps(earlier.get("settings"))) == json.loads(json.dumps(settings))
    return bool(earlier.get("steps")) and not earlier.get("complete", True) and same


def read(path: Path) -> Results:
    """Results of an earlier run."""
    found: Results = json.loads(path.read_text(encoding="utf-8"))
    return found

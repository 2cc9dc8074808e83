"""Run folders of the size that pages are judged by: 100 trials, six parameters, twelve metrics."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.run import FORMAT

METRICS = ("RMSE", "RMSE-pooled", "MAE", "MAE-pooled", "NDCG", "NDCG@10", "RBP", "RecipRank",
           "Hit@10", "Precision@10", "Recall@10", "MAP@10")  # fmt: skip
LOSSES = ("logistic", "bpr", "warp")
SPACE: dict[str, dict[str, Any]] = {
    "embedding_size": {"type": "int", "min": 4, "max": 512, "scale": "log"},
    "regularization.user": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
    "regularization.item": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
    "damping.user": {"type": "float", "min": 1e-12, "max": 100.0, "scale": "log"},
    "damping.item": {"type": "float", "min": 1e-12, "max": 100.0, "scale": "log"},
    "loss": {"type": "choice", "choices": list(LOSSES)},
}
_START = datetime(2026, 7, 1, tzinfo=UTC)


def write_run(folder: Path, trials: int, seed: int) -> None:
    """A finished search of ``trials`` trials with a planted optimum; a third of them pruned."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(_identity(folder.name, trials)), encoding="utf-8")
    events = _Events()
    events.add("opened", pid=1, host="bench", version="0", workers=2, trials=trials, resumed=False)
    events.add("baseline", name="bias", config={}, metrics=_metrics(rng, 0.88))
    for number in range(1, trials + 1):
        _trial(events, rng, number)
    events.add("closed", exit_code=0, counts={})
    text = "".join(json.dumps(event) + "\n" for event in events.lines)
    (folder / "journal.ndjson").write_text(text, encoding="utf-8")


class _Events:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._clock = _START

    def add(self, event: str, seconds: float = 0.0, **values: Any) -> None:
        self._clock += timedelta(seconds=seconds)
        at = self._clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.lines.append({"time": at, "event": event, **values})


def _trial(events: _Events, rng: np.random.Generator, number: int) -> None:
    params = _params(rng)
    origin = "default" if number == 1 else "random" if number < 20 else "tpe"
    events.add("suggested", trial=number, params=params, config=params, key=f"{number:064x}",
               origin=origin)  # fmt: skip
    events.add("started", trial=number)
    pruned = number > 5 and number % 3 == 0
    length = int(rng.integers(1, 4)) if pruned else int(rng.integers(8, 25))
    final = _objective(params) + 0.002 * float(rng.random())
    for epoch in range(1, length + 1):
        value = final + 0.1 * math.exp(-0.5 * epoch)
        events.add("epoch", 2.0, trial=number, epoch=epoch, metrics=_metrics(rng, value),
                   train_s=1.5 * params["embedding_size"] / 100, eval_s=0.2, save_s=0.01,
                   stored_bytes=40_000 * params["embedding_size"],
                   logical_bytes=48_000 * params["embedding_size"], cached=False)  # fmt: skip
    if pruned:
        events.add("pruned", trial=number, epoch=length, rule="asha")
    else:
        events.add("done", trial=number, epoch=length, reason="plateau")


def _params(rng: np.random.Generator) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, domain in SPACE.items():
        if domain["type"] == "choice":
            found[name] = LOSSES[int(rng.integers(len(LOSSES)))]
            continue
        drawn = math.exp(rng.uniform(math.log(domain["min"]), math.log(domain["max"])))
        found[name] = round(drawn) if domain["type"] == "int" else drawn
    return found


def _objective(params: dict[str, Any]) -> float:
    user, item = (math.log10(params[f"regularization.{entity}"]) for entity in ("user", "item"))
    size = 0.03 / math.sqrt(params["embedding_size"])
    loss = 0.004 * LOSSES.index(params["loss"])
    return 0.82 + 0.004 * ((user + 0.7) ** 2 + (item + 1.4) ** 2) + size + loss


def _metrics(rng: np.random.Generator, rmse: float) -> dict[str, float]:
    noise = rng.random(len(METRICS))
    return {
        name: rmse if name == "RMSE" else float(0.1 + 0.02 * noise[at])
        for at, name in enumerate(METRICS)
    }


def _identity(name: str, trials: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": name,
        "run_id": uuid.uuid5(uuid.NAMESPACE_OID, name).hex,
        "created": _START.isoformat(),
        "search": {
            "title": "ALS BiasedMF",
            "model": {"class": "lenskit.als:BiasedMFScorer", "config": {}},
            "search": {"metric": "RMSE", "metrics": [], "method": "tpe", "trials": trials,
                       "max_epochs": 30, "scheduler": "asha", "stop": None,
                       "retention": "best+last"},
            "space": SPACE,
        },
        "search_file": "searches/als.toml",
        "dataset": {"name": "ml1m", "title": "MovieLens 1M", "origin": "ml-1m.zip", "notes": [],
                    "sha256": None, "official": None, "generated": False, "dataset_id": "d" * 64,
                    "users": 6040, "items": 3706, "ratings": 1_000_209},
        "split": {"split_id": "5" * 64, "method": "crossfold-users", "folds": 5, "part": 0},
        "seed": 42,
        "direction": "min",
        "metrics": list(METRICS),
        "code": {},
        "versions": {},
        "store": "../../store",
        "command": f"recsearch search als ml1m --run runs/{name}",
    }  # fmt: skip

"""Tuned bias and popularity on the test parts. Their settings come from the validation part."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsearch.baselines import bias_scores, popularity_scores
from recsearch.errors import RecsearchError
from recsearch.evaluation import EVALUATION_VERSION, evaluate, parse
from recsearch.files import write_atomic
from recsearch.loading import split_of
from recsearch.run import RunView

NAMES = ("bias", "popular")
"""Baselines that have a value on other parts; the level of chance is a number, not a model."""


def measure_baselines(
    view: RunView, parts: Sequence[int], note: Callable[..., object]
) -> dict[str, list[dict[str, Any]]]:
    """Baseline name to a row ``part, split_id, metrics`` for each part.

    Each part is measured once and kept in a file of its own.

    Args:
        view: the run; its journal says which baselines there are, and how they are set.
        parts: test parts.
        note: writes a ``test`` event; called before a part is read.

    Raises:
        RecsearchError: a file cannot be written.
    """
    configs = {n: dict(view.baselines[n]["config"]) for n in NAMES if n in view.baselines}
    asked = {
        "evaluation": EVALUATION_VERSION,
        "metrics": list(view.identity["metrics"]),
        "configs": configs,
    }
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in configs}
    for part in parts if configs else ():
        path = view.path.resolve() / "final" / "baselines" / f"part-{part}.json"
        found = _known(path, asked)
        if found is None:
            for name in configs:
                note(name, part, None, "eval")
            found = {**asked, **_measured(view, part, configs)}
            _write(path, found)
        for name in configs:
            metrics = found["results"][name]
            rows[name].append({"part": part, "split_id": found["split_id"], "metrics": metrics})
    return rows


def _measured(view: RunView, part: int, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    split, metrics = split_of(view.identity, part), list(view.identity["metrics"])
    results: dict[str, dict[str, float]] = {}
    if "bias" in configs:
        scores = bias_scores(split, *tuned_damping(configs["bias"]))
        results["bias"] = evaluate(scores, split, metrics)
    if "popular" in configs:
        ranked = [name for name in metrics if parse(name).kind == "ranking"]
        results["popular"] = evaluate(popularity_scores(split), split, ranked)
    return {
        "split_id": split.split_id,
        "results": {
            name: {m: value if math.isfinite(value) else None for m, value in found.items()}
            for name, found in results.items()
        },
    }


def tuned_damping(config: Mapping[str, Any]) -> tuple[float, float]:
    """Dampings of user and item of a tuned bias.

    Validation folds have dampings of their own. They lie on a logarithmic scale, so their geometric
    mean stands for them.
    """
    folds = [fold["damping"] for fold in config.get("folds", [config])]
    if len(folds) == 1:
        return folds[0]["user"], folds[0]["item"]
    user, item = (
        math.exp(math.fsum(math.log(fold[entity]) for fold in folds) / len(folds))
        for entity in ("user", "item")
    )
    return user, item


def _known(path: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier command measured, if it measured the same; None otherwise."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if all(found[name] == value for name, value in asked.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, found: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise RecsearchError(
            f"{path.parent}: cannot make this folder: {err.strerror}.",
            hint="Mend the run folder (space, rights), then type the same command again.",
        ) from err
    write_atomic(path, found)

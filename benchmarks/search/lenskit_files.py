"""What LensKit's tuner is given, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.search.best_so_far import Row
from recsearch.data import Split
from recsearch.data.lenskit import dataset

if TYPE_CHECKING:
    from lenskit.data import ItemListCollection

LARGEST = 512
MAX_EPOCHS = 30
METRIC = "RMSE"


def march_space(largest: int = LARGEST) -> dict[str, Any]:
    """The ALS space of March 2025 in LensKit's terms."""
    regularization = {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"}
    damping = {"type": "float", "min": 1e-12, "max": 100.0, "scale": "log"}
    return {
        "embedding_size": {"type": "int", "min": 4, "max": largest, "scale": "log"},
        "regularization": {"user": regularization, "item": regularization},
        "damping": {"user": damping, "item": damping},
    }


def tuning_spec(
    space: Mapping[str, Any], *, points: int, max_epochs: int = MAX_EPOCHS, min_epochs: int = 3
) -> dict[str, Any]:
    """A search of BiasedMF as LensKit's tuner reads it, with JSON values."""
    from lenskit.als import BiasedMFScorer
    from lenskit.pipeline import topn_pipeline

    scorer = BiasedMFScorer(user_embeddings="prefer")
    pipeline = topn_pipeline(scorer, predicts_ratings=True, name="als")
    return {
        "search": {
            "method": "random",
            "max_points": points,
            "default_points": points,
            "metric": METRIC,
            "max_epochs": max_epochs,
            "min_epochs": min_epochs,
        },
        "space": {"scorer": dict(space)},
        "pipeline": pipeline.config.model_dump(mode="json"),
    }


def heldout(split: Split) -> ItemListCollection:
    """The held-out ratings of a split by user."""
    from lenskit.data import ItemList, ItemListCollection, UserIDKey

    found = ItemListCollection(UserIDKey)
    for row, user in enumerate(split.eval_users):
        begin, end = split.heldout.indptr[row : row + 2]
        items = ItemList(
            item_ids=split.item_ids[split.heldout.items[begin:end]],
            rating=split.heldout.values[begin:end],
        )
        found.add(items, user_id=split.user_ids[user])
    return found


def write_inputs(split: Split, spec: Mapping[str, Any], folder: Path, seed: int) -> None:
    """The files that ``lenskit tune`` takes: ``train``, ``valid.parquet``, ``search.json``."""
    dataset(split).save(folder / "train")
    heldout(split).save_parquet(folder / "valid.parquet")
    (folder / "search.json").write_text(json.dumps(spec), encoding="utf-8")
    (folder / "lenskit.toml").write_text(f"[random]\nseed = {seed}\n", encoding="utf-8")


def read_trials(folder: Path) -> list[Row]:
    """All measured epochs from the trial folders that Ray left below ``folder``, by time.

    The end of an epoch is Ray's ``timestamp`` in whole seconds.
    """
    rows = []
    for trial, path in enumerate(sorted(folder.rglob("result.json")), start=1):
        for line in path.read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            if found.get(METRIC) is not None:
                epoch, value = found["training_iteration"], float(found[METRIC])
                rows.append(Row(trial, epoch, value, float(found["timestamp"])))
    return sorted(rows, key=lambda row: row.time)

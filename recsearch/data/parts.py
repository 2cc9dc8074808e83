"""The parts of a split, measured and written out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.data.fetch import file_sha256
from recsearch.data.splits import load_split
from recsearch.data.splitspec import SplitSpec
from recsearch.data.types import Interactions, Ratings, Split
from recsearch.errors import DataError


def each_part(ratings: Ratings, spec: SplitSpec) -> Iterator[Split]:
    """All parts of a split.

    Raises:
        UsageError, DataError: as `load_split`.
    """
    for part in range(spec.parts):
        yield load_split(ratings, spec, part)


def measure_part(split: Split) -> dict[str, Any]:
    """Counts of a part, its id, and how many pairs are in both of its sides, which must be none."""
    trained = _pairs(split, np.arange(split.n_users), split.train)
    held = _pairs(split, split.eval_users, split.heldout)
    return {
        "part": split.part,
        "role": "validation" if split.part == 0 else "test",
        "split_id": split.split_id,
        "eval_users": len(split.eval_users),
        "heldout_ratings": len(split.heldout.items),
        "train_ratings": len(split.train.items),
        "left_out_ratings": split.left_out,
        "overlap": len(np.intersect1d(trained, held)),
        "new_items": len(np.setdiff1d(split.heldout.items, split.train.items)),
    }


def write_part(split: Split, folder: Path) -> dict[str, str]:
    """Write ``part-N-train.parquet`` and ``part-N-heldout.parquet``: original ids, rating and time.

    Returns:
        File name to SHA-256 of the file.

    Raises:
        DataError: the folder cannot be written.
    """
    import pyarrow.parquet as pq

    sides = (
        ("train", np.arange(split.n_users), split.train),
        ("heldout", split.eval_users, split.heldout),
    )
    written = {}
    for side, users, rows in sides:
        path = folder / f"part-{split.part}-{side}.parquet"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(_table(split, users, rows), path)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
        written[path.name] = file_sha256(path)
    return written


def write_facts(facts: dict[str, Any], folder: Path) -> None:
    """Write ``split.json``: data set, method, and of each part ids, counts and digests of files."""
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "split.json").write_text(text + "\n", encoding="utf-8")


def _table(split: Split, users: np.ndarray, rows: Interactions) -> Any:
    import pyarrow as pa

    numbers = np.repeat(users, np.diff(rows.indptr))
    columns = {
        "user_id": pa.array(split.user_ids[numbers]),
        "item_id": pa.array(split.item_ids[rows.items]),
        "rating": pa.array(rows.values),
    }
    if rows.times is not None:
        columns["timestamp"] = pa.array(rows.times)
    return pa.table(columns)


def _pairs(split: Split, users: np.ndarray, rows: Interactions) -> np.ndarray:
    """One number for each (user, item) pair."""
    return np.repeat(users, np.diff(rows.indptr)).astype(np.int64) * split.n_items + rows.items

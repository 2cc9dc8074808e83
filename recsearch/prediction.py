"""Recommendation lists and predictions as tables whose files are the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from recsearch.files import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

    from recsearch.data import Split
    from recsearch.evaluation import Scores
    from recsearch.measuring import Scoring

LIST_LENGTH = 100
"""Items of a list unless a command says otherwise: as in the LensKit Codex."""

BLOCK_USERS = 256
"""Users scored at a time; fixed, because scores of another block can differ in their last bit."""


def lists_table(scores: Scores, split: Split, users: np.ndarray, length: int) -> pa.Table:
    """The best items of each user, best first, without the user's training items.

    Equal scores: the lower item number first, as in evaluation. Items without a score are left out,
    so a list can be shorter than ``length``.

    Args:
        scores: the model.
        split: what it was trained on.
        users: (n,) user numbers, ascending.
        length: most items of a list.

    Returns:
        Columns ``user_id``, ``item_id`` (as in the data set), ``score`` (float32) and ``rank``
        (int32, from 1).
    """
    import pyarrow as pa

    blocks = list(_top(scores, split, users, length))
    at, items, values, ranks = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return pa.table(
        {
            "user_id": split.user_ids[at],
            "item_id": split.item_ids[items],
            "score": values,
            "rank": ranks,
        }
    )


def predictions_table(asked: Scoring, split: Split) -> pa.Table:
    """The predicted rating of every held-out pair: ``user_id, item_id, rating, prediction``."""
    import pyarrow as pa

    held, found = split.heldout, []
    for begin in range(0, len(split.eval_users), BLOCK_USERS):
        users = split.eval_users[begin : begin + BLOCK_USERS]
        span = slice(held.indptr[begin], held.indptr[begin + len(users)])
        rows = np.repeat(np.arange(len(users)), np.diff(held.indptr[begin:][: len(users) + 1]))
        columns, at = np.unique(held.items[span], return_inverse=True)
        values = asked.scores(users, columns)[rows, at]
        missing = np.isnan(values)
        if asked.fallback is not None and missing.any():
            values = np.where(missing, asked.fallback(users, columns)[rows, at], values)
        found.append(values)
    return pa.table(
        {
            "user_id": np.repeat(split.user_ids[split.eval_users], np.diff(held.indptr)),
            "item_id": split.item_ids[held.items],
            "rating": held.values,
            "prediction": np.concatenate(found).astype(np.float32),
        }
    )


def is_parquet(path: Path) -> bool:
    """Whether there is a table that has been written to its end."""
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(path)
    except (OSError, ValueError):  # pyarrow's errors are both
        return False
    return True


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table whole or not at all; the same table gives the same bytes.

    Raises:
        RecsearchError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    replace_file(
        path,
        lambda file: pq.write_table(
            table.replace_schema_metadata(None), file, compression="zstd", version="2.6"
        ),
    )


def write_csv(path: Path, table: pa.Table) -> None:
    """The same as CSV.

    Raises:
        RecsearchError: the file cannot be written.
    """
    import pyarrow.csv as pc

    def write(file: BinaryIO) -> None:
        # pyarrow quotes every name of its own header line.
        file.write((",".join(table.column_names) + "\n").encode())
        options = pc.WriteOptions(include_header=False, quoting_style="needed")
        pc.write_csv(table, file, options)

    replace_file(path, write)


def _top(
    scores: Scores, split: Split, users: np.ndarray, length: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    for begin in range(0, len(users), BLOCK_USERS):
        chosen = users[begin : begin + BLOCK_USERS]
        block = np.array(scores(chosen, None), dtype=np.float32)
        for row, user in enumerate(chosen):
            known = split.train.items[split.train.indptr[user] : split.train.indptr[user + 1]]
            block[row, known] = np.nan
            items = _best(block[row], length)
            yield (
                np.full(len(items), user),
                items,
                block[row, items],
                np.arange(1, len(items) + 1, dtype=np.int32),
            )


def _best(line: np.ndarray, length: int) -> np.ndarray:
    """Numbers of the best ``length`` values, best first; of equal ones the lower number first."""
    ranked = np.flatnonzero(~np.isnan(line))
    if len(ranked) > length:
        values = line[ranked]
        least = np.partition(values, len(values) - length)[len(values) - length]
        ranked = ranked[values >= least]
    best: np.ndarray = ranked[np.argsort(-line[ranked], kind="stable")][:length]
    return best

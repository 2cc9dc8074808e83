"""What exact alternating least squares takes, row by row."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recsearch.models.protocol import Work

if TYPE_CHECKING:
    from recsearch.data import Split

VECTORS = 4
"""Copies of all vectors at a time: two epochs, the one that is being stored, and the other side's
in the solver's form."""


def als_work(split: Split, size: int, *, entry_bytes: int, shared_flops: float = 0.0) -> Work:
    """Operations of one epoch with every row in the cheaper of its two forms.

    For n entries and d dimensions the d x d form takes n d^2 + d^3 / 3 operations and the n x n
    form n^2 d + n^3 / 3: the product, of which half is needed, and the Cholesky factor.

    Args:
        split: the training ratings.
        size: embedding size d.
        entry_bytes: bytes that a solver keeps for each rating.
        shared_flops: operations of an epoch beside those of its rows.
    """
    sides = _row_lengths(split)
    entries = len(split.train.items)
    longest = max(float(side.max(initial=0)) for side in sides)
    vectors = 4 * size * (split.n_users + split.n_items)
    buffers = 4 * (longest * size + size * size)
    return Work(
        flops=sum(row_flops(side, size) for side in sides) + shared_flops,
        gathered=2.0 * entries * size,
        peak_bytes=int(VECTORS * vectors + 2 * entries * entry_bytes + buffers),
    )


def row_flops(lengths: np.ndarray, size: int) -> float:
    """Operations that solve rows with these numbers of entries, each in its cheaper form."""
    n, d = lengths.astype(np.float64), float(size)
    primal = np.where(n > 0, n * d**2 + d**3 / 3, 0)
    return float(np.minimum(primal, n**2 * d + n**3 / 3).sum())


@lru_cache(maxsize=1)
def _row_lengths(split: Split) -> tuple[np.ndarray, np.ndarray]:
    train = split.train
    return np.diff(train.indptr), np.bincount(train.items, minlength=split.n_items)

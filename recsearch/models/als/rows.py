"""Sparse rows of one side of the ratings, and their grouping into padded batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

PADDING_RATIO = 1.15
"""Rows share a batch while the longest is at most this much longer than the shortest."""

BATCH_FLOATS = 1 << 19
"""Gathered factors in a batch at most: 2 MiB, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows of a sparse matrix with targets, in compressed form.

    Attributes:
        indptr: ``(n_rows + 1,)`` int64; row r is ``indptr[r]:indptr[r + 1]``.
        columns: ``(nnz,)`` int32.
        targets: ``(nnz,)`` float32 right-hand sides.
        scales: ``(nnz,)`` float32 factors on the vectors that an entry selects, or None for 1.
        n_columns: number of columns.
    """

    indptr: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    scales: np.ndarray | None
    n_columns: int

    @property
    def n_rows(self) -> int:
        """Number of rows, empty ones included."""
        return len(self.indptr) - 1

    @property
    def counts(self) -> np.ndarray:
        """``(n_rows,)`` int64 entries of each row."""
        return np.diff(self.indptr)

    def transposed(self) -> SparseRows:
        """The same entries by column; those of a column are in the order of their rows."""
        shape = (self.n_rows, self.n_columns)
        where = csr_array((np.arange(len(self.columns)), self.columns, self.indptr), shape=shape)
        by_column = where.tocsc()
        order = by_column.data
        return SparseRows(
            indptr=by_column.indptr.astype(np.int64),
            columns=by_column.indices.astype(np.int32),
            targets=self.targets[order],
            scales=None if self.scales is None else self.scales[order],
            n_columns=self.n_rows,
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of similar length, padded to one width.

    Attributes:
        rows: ``(b,)`` int64 row numbers.
        counts: ``(b,)`` float32 true lengths.
        columns: ``(b, width)`` int32; padding points at column ``n_columns``, a vector of zeros.
        targets: ``(b, width)`` float32, 0 in the padding.
        scales: ``(b, width)`` float32 or None.
    """

    rows: np.ndarray
    counts: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    scales: np.ndarray | None


def batches(rows: SparseRows, size: int) -> Iterator[Batch]:
    """Group all rows that have entries; every such row is in exactly one batch.

    Args:
        rows: the rows to group.
        size: floats that one entry will gather: the embedding size.
    """
    counts = rows.counts
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    lengths = counts[order]
    start = 0
    while start < len(order):
        shortest = int(lengths[start])
        longest = max(shortest + 2, int(shortest * PADDING_RATIO))
        stop = int(np.searchsorted(lengths, longest, side="right"))
        stop = min(stop, start + max(1, BATCH_FLOATS // (size * longest)))
        yield _pad(rows, order[start:stop], int(lengths[stop - 1]))
        start = stop


def _pad(rows: SparseRows, chosen: np.ndarray, width: int) -> Batch:
    counts = rows.counts[chosen]
    offsets = np.arange(width)
    real = offsets[None, :] < counts[:, None]
    entries = np.where(real, rows.indptr[chosen][:, None] + offsets[None, :], 0)
    return Batch(
        rows=chosen,
        counts=counts.astype(np.float32),
        columns=np.where(real, rows.columns[entries], np.int32(rows.n_columns)),
        targets=np.where(real, rows.targets[entries], np.float32(0)),
        scales=None if rows.scales is None else np.where(real, rows.scales[entries], np.float32(0)),
    )

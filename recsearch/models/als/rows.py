"""Sparse rows of both sides of the ratings, and their grouping into padded batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from recsearch.data import Interactions

PADDING_RATIO = 1.15
"""Rows share a batch while the longest is at most this much longer than the shortest."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Which columns each row has; columns are renumbered from the most to the least frequent.

    So the vectors of frequent columns lie side by side, and what a row looks up together is near.

    Attributes:
        indptr: ``(n_rows + 1,)`` int64; row r is ``indptr[r]:indptr[r + 1]``.
        columns: ``(nnz,)`` int32 new numbers, ascending in each row.
        order: ``(n_columns,)`` int64 old number of each new one.
        entries: ``(nnz,)`` int64 place of each entry in the matrix that this was made from.
    """

    indptr: np.ndarray
    columns: np.ndarray
    order: np.ndarray
    entries: np.ndarray

    @classmethod
    def of(cls, indptr: np.ndarray, columns: np.ndarray, n_columns: int) -> Layout:
        """The layout of a compressed matrix's rows."""
        entries = np.arange(len(columns))
        return cls._renumbered(csr_array((entries, columns, indptr), (len(indptr) - 1, n_columns)))

    @classmethod
    def transposed(cls, indptr: np.ndarray, columns: np.ndarray, n_columns: int) -> Layout:
        """The layout of a compressed matrix's columns, taken as rows."""
        entries = np.arange(len(columns))
        rows = csr_array((entries, columns, indptr), (len(indptr) - 1, n_columns))
        return cls._renumbered(rows.T.tocsr())

    @classmethod
    def _renumbered(cls, where: csr_array) -> Layout:
        n_columns = where.shape[1]
        frequency = np.bincount(where.indices, minlength=n_columns)
        order = np.argsort(-frequency, kind="stable")
        number = np.empty(n_columns, dtype=np.int32)
        number[order] = np.arange(n_columns, dtype=np.int32)
        found = csr_array((where.data, number[where.indices], where.indptr), where.shape)
        found.sort_indices()
        columns = found.indices.astype(np.int32)
        return cls(found.indptr.astype(np.int64), columns, order, found.data)

    @property
    def n_rows(self) -> int:
        """Number of rows, empty ones included."""
        return len(self.indptr) - 1

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.order)

    @property
    def counts(self) -> np.ndarray:
        """``(n_rows,)`` int64 entries of each row."""
        return np.diff(self.indptr)


_LAYOUTS: WeakKeyDictionary[Interactions, tuple[Layout, Layout]] = WeakKeyDictionary()


def layouts(train: Interactions, n_items: int) -> tuple[Layout, Layout]:
    """Layouts of users and of items; computed once for a training set and shared by all models."""
    found = _LAYOUTS.get(train)
    if found is None:
        given = (train.indptr, train.items, n_items)
        found = _LAYOUTS[train] = Layout.of(*given), Layout.transposed(*given)
    return found


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows of a sparse matrix with targets.

    Attributes:
        layout: which columns each row has.
        targets: ``(nnz,)`` float32 right-hand sides, in the order of the layout.
        scales: ``(nnz,)`` float32 factors on the vectors that an entry selects, or None for 1.
    """

    layout: Layout
    targets: np.ndarray
    scales: np.ndarray | None

    @classmethod
    def of(cls, layout: Layout, targets: np.ndarray, scales: np.ndarray | None) -> SparseRows:
        """Take targets and scales from the order of the matrix that ``layout`` was made from."""
        entries = layout.entries
        return cls(layout, targets[entries], None if scales is None else scales[entries])


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


def batches(rows: SparseRows, size: int, floats: int) -> Iterator[Batch]:
    """Group all rows that have entries; every such row is in exactly one batch.

    Args:
        rows: the rows to group.
        size: floats that one entry will gather: the embedding size.
        floats: gathered floats of a batch at most, except where a single row has more.
    """
    counts = rows.layout.counts
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    lengths = counts[order]
    start = 0
    while start < len(order):
        shortest = int(lengths[start])
        longest = max(shortest + 2, int(shortest * PADDING_RATIO))
        if shortest < size:
            # Of such a row the d x d form is singular but for the regularization: float32 would
            # lose a small one.
            longest = min(longest, size - 1)
        stop = int(np.searchsorted(lengths, longest, side="right"))
        stop = min(stop, start + max(1, floats // (size * longest)))
        yield _pad(rows, order[start:stop], int(lengths[stop - 1]))
        start = stop


def _pad(rows: SparseRows, chosen: np.ndarray, width: int) -> Batch:
    layout = rows.layout
    counts = layout.counts[chosen]
    offsets = np.arange(width)
    real = offsets[None, :] < counts[:, None]
    entries = np.where(real, layout.indptr[chosen][:, None] + offsets[None, :], 0)
    return Batch(
        rows=chosen,
        counts=counts.astype(np.float32),
        columns=np.where(real, layout.columns[entries], np.int32(layout.n_columns)),
        targets=np.where(real, rows.targets[entries], np.float32(0)),
        scales=None if rows.scales is None else np.where(real, rows.scales[entries], np.float32(0)),
    )

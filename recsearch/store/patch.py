"""Row patches: the rows of one tensor that changed since the checkpoint before.

A patch is named by its stored bytes: two of one name do the same to whatever rows they meet.
"""

from __future__ import annotations

import numpy as np

from recsearch.store.codec import difference, shuffle, undo_difference, unshuffle

ROWS = "rows"
ROWS_DELTA = "rows-delta"
PATCH_CODECS = (ROWS, ROWS_DELTA)
ID_BYTES = 8
"""Raw bytes of one row number."""

_TAG = 8
_HEAD = 16 + _TAG


def encode_patch(
    ids: np.ndarray, rows: np.ndarray, dtype: np.dtype, before: np.ndarray | None
) -> tuple[str, tuple[bytes | memoryview, ...]]:
    """The stored bytes of a patch.

    Args:
        ids: Sorted unique row numbers, int64, at least one.
        rows: Their new bytes, shape (len(ids), bytes per row), uint8.
        dtype: The :func:`~recsearch.store.codec.element_dtype` of the tensor.
        before: Their bytes before, to store differences; None stores the rows as they are.

    Returns:
        The name of the codec and the bytes, in pieces: count of ids and length of their part (two
        little-endian 64-bit integers), of differences the dtype (8 bytes, else zeros), the gaps
        between ids (shuffled, zstandard), the rows.
    """
    gaps = shuffle(np.diff(ids, prepend=np.int64(0)).view(np.uint8), ID_BYTES)
    head = np.array([len(ids), len(gaps)], "<i8").tobytes()
    if before is None:
        return ROWS, (head + _tag(ROWS, dtype), gaps, rows.reshape(-1).data)
    steps = difference(rows.reshape(-1), before.reshape(-1), dtype)
    return ROWS_DELTA, (head + _tag(ROWS_DELTA, dtype), gaps, shuffle(steps, dtype.itemsize))


def parse_patch(
    stored: memoryview, codec: str, dtype: np.dtype, row_bytes: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers of a patch, and its rows or differences of shape (ids, row_bytes).

    Raises:
        ValueError: the bytes are not those of a patch of a tensor with that many ``rows``.
    """
    if codec not in PATCH_CODECS or len(stored) < _HEAD:
        raise ValueError("not a patch")
    count, length, _ = (int(n) for n in np.frombuffer(stored[:_HEAD], "<i8"))
    if not 1 <= count <= rows or length < 1:
        raise ValueError("a patch without rows")
    if stored[_HEAD - _TAG : _HEAD] != _tag(codec, dtype):
        raise ValueError("a patch of another dtype")
    gaps = unshuffle(stored[_HEAD : _HEAD + length], ID_BYTES, count * ID_BYTES).view("<i8")
    ids = np.cumsum(gaps)
    if gaps[0] < 0 or (gaps[1:] <= 0).any() or ids.min() < 0 or ids.max() >= rows:
        raise ValueError("rows of a patch are out of order or beyond the last row")
    rest = stored[_HEAD + length :]
    if codec == ROWS_DELTA:
        data = unshuffle(rest, dtype.itemsize, count * row_bytes)
    else:
        data = np.frombuffer(rest, np.uint8)
    if len(data) != count * row_bytes:
        raise ValueError("a patch of another length")
    return ids, data.reshape(count, row_bytes)


def _tag(codec: str, dtype: np.dtype) -> bytes:
    # Equal differences do not mean the same to integers and to floats, which are ordered.
    return (dtype.str if codec == ROWS_DELTA else "").encode().ljust(_TAG, b"\0")


def new_rows(before: np.ndarray | None, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The rows that a patch leaves: ``rows``, or their differences to those ``before``."""
    if before is None:
        return rows
    flat = np.ascontiguousarray(rows).reshape(-1)
    return undo_difference(flat, before.reshape(-1), dtype).reshape(rows.shape)


def scatter(table: np.ndarray, ids: np.ndarray, rows: np.ndarray) -> None:
    """``table[ids] = rows`` for bytes of shape (rows, row_bytes), one copy per row."""
    if len(ids):
        whole = np.dtype(("V", table.shape[1]))
        table.view(whole)[:, 0][ids] = np.ascontiguousarray(rows).view(whole)[:, 0]


def gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``table[ids]`` for bytes of shape (rows, row_bytes), one copy per row."""
    if len(ids) == 0:
        return table[:0]
    whole = np.dtype(("V", table.shape[1]))
    taken = table.view(whole)[:, 0].take(ids)
    return taken.view(np.uint8).reshape(len(ids), table.shape[1])

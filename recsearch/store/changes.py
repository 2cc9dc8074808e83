"""Which rows of a table differ from those before."""

from __future__ import annotations

import numpy as np

_SAMPLE_ROWS = 256


def unequal_rows(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Numbers of the rows that differ; both of shape (rows, bytes per row)."""
    word = next(w for w in (8, 4, 2, 1) if one.shape[1] % w == 0)
    a, b = (np.ascontiguousarray(side).view(f"u{word}") for side in (one, other))
    differ = a[:, 0] != b[:, 0]
    if not differ.all():
        places = np.flatnonzero(a.reshape(-1) != b.reshape(-1))
        differ[places // a.shape[1]] = True
    return np.flatnonzero(differ)


def changed_rows(old: np.ndarray, new: np.ndarray) -> np.ndarray | None:
    """Numbers of the rows that differ; None if half of them or more do."""
    some = slice(None, None, max(1, len(old) // _SAMPLE_ROWS))
    if len(old) > _SAMPLE_ROWS and len(unequal_rows(old[some], new[some])) > 0.9 * _SAMPLE_ROWS:
        return None  # nearly every row of a sample differs: not worth looking at all of them
    rows = unequal_rows(old, new)
    return None if 2 * len(rows) >= len(old) else rows

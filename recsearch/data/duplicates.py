"""Several ratings of one item by one user become one, by a rule that the user chose."""

from __future__ import annotations

import numpy as np


def settle(
    rule: str, keys: np.ndarray, values: np.ndarray, times: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Choose one row for each pair.

    Rows count as ordered by time; those of equal times, and all where there are no times, by
    their order in the file.

    Args:
        rule: ``first``, ``last``, ``mean`` or ``max``.
        keys: (n,) int64, one number for each (user, item) pair, in the order of the file.
        values: (n,) ratings.
        times: (n,) seconds, or None.

    Returns:
        (m,) row numbers, by ascending key: whose time counts; and (m,) their ratings.
    """
    order = np.lexsort((keys,)) if times is None else np.lexsort((times, keys))
    ordered = keys[order]
    new = np.append(True, ordered[1:] != ordered[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(keys))
    if rule == "first":
        rows = order[starts]
        return rows, values[rows]
    if rule == "max":
        # Of equal highest ratings the last: sorted by value within the pair, ties by time.
        by_value = order[np.lexsort((values[order], ordered))]
        rows = by_value[ends - 1]
        return rows, values[rows]
    rows = order[ends - 1]
    if rule == "last":
        return rows, values[rows]
    sums = np.add.reduceat(values[order].astype(np.float64), starts)
    return rows, sums / (ends - starts)

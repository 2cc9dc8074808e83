"""Compiled: ranks of held-out items by counting instead of sorting.

An item's rank is one plus the number of candidates with a higher score. Counting them takes one
pass over a row of scores that is in cache, a dozen values at a time; sorting the row costs as much
as a thousand such passes. So every held-out item is counted, however many a user has.

Importing this module imports numba and compiles, or loads what an earlier process compiled.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from recsearch.compiled import compiled, inlined, read

# As plain values, because their stubs do not know that they are called in compiled code.
float32: Any = numba.float32
int32: Any = numba.int32
int64: Any = numba.int64

GROUP = 64
"""Values that the compiled loops take at a time."""


# What is counted begins at index zero and is whole groups: indices that might be negative are not
# vectorised, and a rest costs as much as many groups.
@inlined()
def _at_least(values: np.ndarray, bound: np.float32) -> int:
    count = int32(0)
    for i in range(len(values)):
        count = int32(count + int32(values[i] >= bound))
    return count


@inlined()
def _above(values: np.ndarray, bound: np.float32) -> int:
    count = int32(0)
    for i in range(len(values)):
        count = int32(count + int32(values[i] > bound))
    return count


@inlined()
def _copy(values: np.ndarray, line: np.ndarray) -> int:
    """Copy to the beginning of ``line``, and count what is not NaN."""
    count = int32(0)
    for i in range(len(values)):
        line[i] = values[i]
        count = int32(count + int32(values[i] == values[i]))
    return count


@inlined()
def _rank(line: np.ndarray, item: int) -> int:
    """The rank of an item that has a score; equals count as higher where they come before it."""
    own, first = line[item], item // GROUP * GROUP
    ahead = _at_least(line[:first], own) + _above(line[first + GROUP :], own)
    group, before = line[first : first + GROUP], int32(item - first)
    for i in range(int32(GROUP)):
        level = int32(group[i] == own) & int32(int32(i) < before)
        ahead = int32(ahead + int32(group[i] > own) + level)
    return 1 + ahead


@compiled(
    numba.void(
        read(float32, 2),
        read(int32),
        read(int64),
        read(int32),
        read(int64),
        read(int32),
        int64[::1],
        float32[::1],
        int64[::1],
    )
)
def count_ranks(
    scores: np.ndarray,
    users: np.ndarray,
    train_indptr: np.ndarray,
    train_items: np.ndarray,
    held_indptr: np.ndarray,
    held_items: np.ndarray,
    ranks: np.ndarray,
    own_scores: np.ndarray,
    lengths: np.ndarray,
) -> None:
    """Rank the held-out items of a block of users.

    Candidates are all items without the user's training items. Items whose score is NaN are not
    ranked. Among equal scores the lower item number comes first.

    Args:
        scores: (n_users, n_items) float32, C-contiguous, not changed.
        users: (n_users,) int32 rows of the training ratings.
        train_indptr: int64 rows of ``train_items``, of all users of the split.
        train_items: int32, ascending in every row.
        held_indptr: (n_users + 1,) int64 rows of ``held_items``, from any offset.
        held_items: int32 items to rank, of all users.
        ranks: int64 aligned with ``held_items``; those of the block are written, from 1, and 0
            where the item is not ranked.
        own_scores: float32, likewise set to the scores of the held-out items.
        lengths: (n_users,) int64, set to the number of ranked candidates.
    """
    n_items = scores.shape[1]
    line = np.full(-(-n_items // GROUP) * GROUP, np.nan, dtype=np.float32)
    for row in range(len(users)):
        lengths[row] = _copy(scores[row], line)
        for at in range(train_indptr[users[row]], train_indptr[users[row] + 1]):
            item = train_items[at]
            lengths[row] -= not np.isnan(line[item])
            line[item] = np.nan
        # Neither training items nor the padding compare with anything.
        for at in range(held_indptr[row], held_indptr[row + 1]):
            item = held_items[at]
            own_scores[at] = scores[row, item]
            ranks[at] = 0 if np.isnan(line[item]) else _rank(line, item)

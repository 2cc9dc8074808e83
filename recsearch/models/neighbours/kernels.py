"""Compiled scores of neighbourhoods: the best references of every user and item.

A reference is an item that the user has rated (item-kNN) or a user who has rated the item
(user-kNN). Weights are compared as the integers that their bits are, which for numbers of at least
0 is the same order: the k-th largest is then found by halving an interval, in passes that the
processor does many numbers at a time, instead of by a heap. Positions are unsigned, because for
signed ones numba adds a test of the sign, which keeps the loops from being vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, float32, int32, int64, void

from recsearch.compiled import compiled, inlined, read, written

ABSENT = -1
"""Bits of what is no neighbour: below those of every number of at least 0."""


@inlined()
def _count(bits: np.ndarray, size: int, least: int) -> Any:
    # In 32 bits throughout, so that twice as many are compared at a time.
    found, limit = np.int32(0), np.int32(least)
    for j in range(size):
        found = np.int32(found + np.int32(bits[j] >= limit))
    return found


@inlined()
def _cut(bits: np.ndarray, size: int, low: int, found: int, most: int) -> int:
    """The largest number that at least ``most`` of ``bits`` reach; ``found`` > most reach ``low``.

    Interpolated between the counts of two bounds; every third step halves what lies between them,
    for distributions that are far from even.
    """
    largest: Any = np.int32(low)
    for j in range(size):
        largest = max(largest, bits[j])
    high: Any = np.int64(largest) + 1
    beyond, step = 0, 0
    while high - low > 1:
        step += 1
        share = 0.5 if step % 3 == 0 else (found - most + 0.5) / (found - beyond)
        middle = min(high - 1, low + max(1, int((high - low) * share)))
        reached = _count(bits, size, middle)
        if reached >= most:
            low, found = middle, reached
            if reached == most:
                break
        else:
            high, beyond = middle, reached
    return low


@inlined()
def _rise(weights: np.ndarray, values: np.ndarray, at: int) -> None:
    """``sift_up`` of Rust's ``BinaryHeap``, the smallest weight on top."""
    weight, value = weights[at], values[at]
    while at > 0:
        parent = (at - 1) // 2
        if weight >= weights[parent]:
            break
        weights[at], values[at] = weights[parent], values[parent]
        at = parent
    weights[at], values[at] = weight, value


@inlined()
def _drop_smallest(weights: np.ndarray, values: np.ndarray, size: int) -> None:
    """``pop`` of Rust's ``BinaryHeap``: the last entry sinks to the bottom, then rises."""
    end = size - 1
    weight, value = weights[end], values[end]
    at, child = 0, 1
    while child + 1 < end:
        if weights[child] >= weights[child + 1]:
            child += 1
        weights[at], values[at] = weights[child], values[child]
        at, child = child, 2 * child + 1
    if child == end - 1:
        weights[at], values[at] = weights[child], values[child]
        at = child
    weights[at], values[at] = weight, value
    _rise(weights, values, at)


@inlined()
def _replayed(
    weights: np.ndarray,
    bits: np.ndarray,
    values: np.ndarray,
    begin: int,
    size: int,
    least: int,
    most: int,
) -> np.float32:
    """The average as LensKit takes it, for where equal weights compete for the last places.

    LensKit keeps the first ``most`` in a list; the next one makes it a heap, last entry first, and
    enters only if it is larger than the smallest. Which of equal ones leaves, the heap decides.
    """
    kept_weights = np.empty(most + 1, dtype=np.float32)
    kept_values = np.empty(most + 1, dtype=np.float32)
    kept, heap = 0, False
    for j in range(size):
        if bits[j] < least:
            continue
        if kept < most:
            kept_weights[kept], kept_values[kept] = weights[j], values[begin + j]
            kept += 1
            continue
        if not heap:
            for at in range(most // 2):
                last = most - 1 - at
                weight, value = kept_weights[at], kept_values[at]
                kept_weights[at], kept_values[at] = kept_weights[last], kept_values[last]
                kept_weights[last], kept_values[last] = weight, value
            for at in range(1, most):
                _rise(kept_weights, kept_values, at)
            heap = True
        if weights[j] > kept_weights[0]:
            kept_weights[most], kept_values[most] = weights[j], values[begin + j]
            _rise(kept_weights, kept_values, most)
            _drop_smallest(kept_weights, kept_values, most + 1)
    weighted, total = np.float32(0), np.float32(0)
    for j in range(kept):
        weighted += kept_weights[j] * kept_values[j]
        total += kept_weights[j]
    return weighted / total


@inlined(reorder=True)
def _total(weights: np.ndarray, bits: np.ndarray, size: int, least: int) -> np.float32:
    total, limit = np.float32(0), np.int32(least)
    for j in range(size):
        total += weights[j] if bits[j] >= limit else np.float32(0)
    return total


@inlined(reorder=True)
def _weighted(
    weights: np.ndarray, bits: np.ndarray, values: np.ndarray, begin: int, size: int, least: int
) -> np.float32:
    weighted, limit = np.float32(0), np.int32(least)
    for j in range(size):
        weighted += weights[j] * values[np.uint64(begin + j)] if bits[j] >= limit else np.float32(0)
    return weighted


@inlined()
def _score(
    bits: np.ndarray,
    weights: np.ndarray,
    values: np.ndarray,
    begin: int,
    size: int,
    least: int,
    max_nbrs: int,
    min_nbrs: int,
    average: bool,
) -> np.float32:
    """Sum of the largest weights, or the average of ``values`` weighted by them.

    Args:
        bits: of the weights; only those of at least ``least`` are neighbours.
        weights: the same memory as numbers.
        values: those from ``begin`` on are of the references; not read for sums.
        begin: where they begin.
        size: number of references.
        least: bits of the smallest similarity of a neighbour.
        max_nbrs: neighbours that are used at most.
        min_nbrs: neighbours without which there is no score.
        average: whether the average is wanted.
    """
    found = _count(bits, size, least)
    if min(found, max_nbrs) < min_nbrs:
        return np.float32(np.nan)
    cut = least
    if found > max_nbrs:
        cut = _cut(bits, size, least, found, max_nbrs)
        beyond = _count(bits, size, cut) - max_nbrs
        if beyond > 0 and average:
            return _replayed(weights, bits, values, begin, size, least, max_nbrs)
        if beyond > 0:
            spare = np.empty(1, dtype=np.int32)
            spare[0] = cut
            return _total(weights, bits, size, cut) - beyond * spare.view(np.float32)[0]
    total = _total(weights, bits, size, cut)
    if not average:
        return total
    return _weighted(weights, bits, values, begin, size, cut) / total


@compiled(
    void(
        read(int64), read(int32), read(int32), read(int32), read(int32), read(int64), read(int32),
        read(float32), read(float32), int32, int64, int64, boolean, written(float32, 2),
    )
)  # fmt: skip
def item_scores(
    sim_indptr: np.ndarray,
    sim_items: np.ndarray,
    sim_bits: np.ndarray,
    targets: np.ndarray,
    users: np.ndarray,
    indptr: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    means: np.ndarray,
    least: int,
    max_nbrs: int,
    min_nbrs: int,
    average: bool,
    out: np.ndarray,
) -> None:
    """Scores of item-kNN: the user's items that are most similar to each target.

    Args:
        sim_indptr: (n_items + 1,) rows of the two that follow, one for each target item.
        sim_items: items that have the target among their neighbours.
        sim_bits: bits of their similarities.
        targets: (n,) items to score.
        users: (m,) users to score them for.
        indptr: (n_users + 1,) rows of ``items`` and ``values``.
        items: items that a user has rated, ascending.
        values: what these ratings exceed the item's mean by.
        means: (n_items,) mean rating of each item, added to averages.
        least: bits of the smallest similarity of a neighbour.
        max_nbrs: neighbours that are used at most.
        min_nbrs: neighbours without which there is no score.
        average: average of ratings, or sum of similarities.
        out: (m, n) scores.
    """
    longest = 0
    for row in range(len(users)):
        longest = max(longest, indptr[users[row] + 1] - indptr[users[row]])
    bits = np.empty(longest, dtype=np.int32)
    weights = bits.view(np.float32)
    dense = np.full(len(sim_indptr) - 1, ABSENT, dtype=np.int32)
    for column in range(len(targets)):
        target = targets[column]
        for at in range(sim_indptr[target], sim_indptr[target + 1]):
            dense[sim_items[at]] = sim_bits[at]
        for row in range(len(users)):
            begin, end = indptr[users[row]], indptr[users[row] + 1]
            size = end - begin
            for j in range(size):
                bits[j] = dense[np.uint32(items[np.uint64(begin + j)])]
            score = _score(bits, weights, values, begin, size, least, max_nbrs, min_nbrs, average)
            out[row, column] = score + means[target] if average else score
        for at in range(sim_indptr[target], sim_indptr[target + 1]):
            dense[sim_items[at]] = ABSENT


@compiled(
    void(
        read(int32, 2), read(int32), read(int64), read(int32), read(float32), read(float32), int32,
        int64, int64, boolean, written(float32, 2),
    )
)  # fmt: skip
def user_scores(
    similar: np.ndarray,
    targets: np.ndarray,
    indptr: np.ndarray,
    raters: np.ndarray,
    values: np.ndarray,
    means: np.ndarray,
    least: int,
    max_nbrs: int,
    min_nbrs: int,
    average: bool,
    out: np.ndarray,
) -> None:
    """Scores of user-kNN: the raters of each target that are most similar to the user.

    Args:
        similar: (m, n_users) bits of the similarities of the users to score for.
        targets: (n,) items to score.
        indptr: (n_items + 1,) rows of ``raters`` and ``values``.
        raters: users who have rated an item, ascending.
        values: what these ratings exceed the rater's mean by.
        means: (m,) mean rating of each user, added to averages.
        least: bits of the smallest similarity of a neighbour.
        max_nbrs: neighbours that are used at most.
        min_nbrs: neighbours without which there is no score.
        average: average of ratings, or sum of similarities.
        out: (m, n) scores.
    """
    longest = 0
    for column in range(len(targets)):
        longest = max(longest, indptr[targets[column] + 1] - indptr[targets[column]])
    bits = np.empty(longest, dtype=np.int32)
    weights = bits.view(np.float32)
    for row in range(len(similar)):
        dense = similar[row]
        for column in range(len(targets)):
            begin, end = indptr[targets[column]], indptr[targets[column] + 1]
            size = end - begin
            for j in range(size):
                bits[j] = dense[np.uint32(raters[np.uint64(begin + j)])]
            score = _score(bits, weights, values, begin, size, least, max_nbrs, min_nbrs, average)
            out[row, column] = score + means[row] if average else score

"""Ranks of held-out items in each user's full ranking, by counting instead of sorting.

An item's rank is one plus the number of candidates with a higher score. Counting that for the few
held-out items of a user costs a few passes over the scores; sorting thousands of candidates costs
far more. Users with many held-out items are sorted after all.

Candidates are all items of the vocabulary without the user's training items. Items whose score is
NaN are not ranked. Among equal scores the lower item number comes first. LensKit's own order of
equal scores is that of an unstable sort, which differs with the list's length, so this is one of
the orders that LensKit may produce, and the same one every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SORT_ABOVE = 96
"""Users with more held-out items than this are sorted: there one sort is the cheaper way."""

TILE_BYTES = 1 << 20
"""Scores compared at a time; small enough to stay in a core's cache through all comparisons."""


@dataclass(frozen=True, eq=False)
class HeldoutRanks:
    """Where the held-out items of each user are ranked.

    Attributes:
        indptr: (n_users + 1,) int64; the items of user ``i`` are ``indptr[i]:indptr[i + 1]``.
        ranks: (n,) int64 from 1; 0 where the item is not ranked.
        lengths: (n_users,) int64, number of ranked candidates of each user.
    """

    indptr: np.ndarray
    ranks: np.ndarray
    lengths: np.ndarray


def rank_block(
    scores: np.ndarray,
    train_indptr: np.ndarray,
    train_items: np.ndarray,
    held_indptr: np.ndarray,
    held_items: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Rank the held-out items of a block of users.

    Args:
        scores: (n_users, n_items) float32, not changed.
        train_indptr: (n_users + 1,) rows of ``train_items``, the items that are no candidates.
        train_items: item numbers.
        held_indptr: (n_users + 1,) rows of ``held_items``.
        held_items: item numbers to rank.

    Returns:
        Ranks aligned with ``held_items`` (int64, 0 where not ranked), and the number of ranked
        candidates of each user (int64).
    """
    n_users, n_items = scores.shape
    counts = np.diff(held_indptr)
    ranks = np.zeros(len(held_items), dtype=np.int64)
    lengths = np.zeros(n_users, dtype=np.int64)
    # Most held-out items first: the users that have a j-th one are then the head of a tile.
    order = np.argsort(-counts, kind="stable")
    for rows in _tiles(order, n_items):
        tile = _candidates(scores, rows, train_indptr, train_items)
        lengths[rows] = _count(tile == tile)
        sorted_rows = int(np.searchsorted(-counts[rows], -SORT_ABOVE, side="left"))
        if sorted_rows:
            _rank_by_sorting(tile[:sorted_rows], rows, held_indptr, held_items, ranks)
        _rank_by_counting(tile[sorted_rows:], rows[sorted_rows:], held_indptr, held_items, ranks)
    return ranks, lengths


def _tiles(order: np.ndarray, n_items: int) -> Iterator[np.ndarray]:
    height = max(1, TILE_BYTES // (4 * max(n_items, 1)))
    for begin in range(0, len(order), height):
        yield order[begin : begin + height]


def _candidates(
    scores: np.ndarray, rows: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """A copy of ``rows`` with NaN at training items, padded with NaN to whole 8-byte words."""
    n_items = scores.shape[1]
    tile = np.full((len(rows), -(-n_items // 8) * 8), np.nan, dtype=np.float32)
    tile[:, :n_items] = scores[rows]
    at, where = ragged(indptr, rows)
    tile[at, items[where]] = np.nan
    return tile


def ragged(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all entries of ``rows``: index into ``rows`` and index into the flat arrays."""
    counts = indptr[rows + 1] - indptr[rows]
    at = np.repeat(np.arange(len(rows)), counts)
    first = np.repeat(indptr[rows] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    return at, first + np.arange(len(at))


def _count(flags: np.ndarray) -> np.ndarray:
    """Number of True per row; the width is a multiple of 8, so eight are counted at a time."""
    words: np.ndarray = np.bitwise_count(flags.view(np.uint64))
    return words.sum(axis=1, dtype=np.int64)


def _rank_by_counting(
    tile: np.ndarray, rows: np.ndarray, indptr: np.ndarray, items: np.ndarray, ranks: np.ndarray
) -> None:
    begin = indptr[rows]
    counts = indptr[rows + 1] - begin
    flags = np.empty(tile.shape, dtype=bool)
    columns = np.arange(tile.shape[1])
    for j in range(int(counts[0]) if len(counts) else 0):
        active = int(np.searchsorted(-counts, -j, side="left"))
        head, out = tile[:active], flags[:active]
        where = begin[:active] + j
        item = items[where]
        own = head[np.arange(active), item][:, None]
        above = _count(np.greater(head, own, out=out))
        level = _count(np.greater_equal(head, own, out=out)) - above
        # An unranked item compares false with everything, itself included.
        ranks[where] = np.where(level > 0, above + 1, 0)
        tied = np.flatnonzero(level > 1)
        if len(tied):
            before = (head[tied] == own[tied]) & (columns < item[tied][:, None])
            ranks[where[tied]] += _count(before)


def _rank_by_sorting(
    tile: np.ndarray, rows: np.ndarray, indptr: np.ndarray, items: np.ndarray, ranks: np.ndarray
) -> None:
    # NaN sorts last and the sort is stable, so lower item numbers lead among equals.
    order = np.argsort(-tile, axis=1, kind="stable")
    place = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(place, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
    at, where = ragged(indptr, rows[: len(tile)])
    found = items[where]
    ranks[where] = np.where(np.isnan(tile[at, found]), 0, place[at, found])

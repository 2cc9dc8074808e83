"""What is in a data set, in a few kilobytes: counts, popularity, activity, ratings, its parts.

Pages read this instead of the ratings. It is derived, so it may be deleted, and no part of any
identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsearch.data.types import Ratings, Split

FORMAT = 1
POINTS = 101
"""Points of a curve at most."""
VALUES = 20
"""More different ratings than these are counted in as many bins of equal width."""


def data_profile(ratings: Ratings, splits: Sequence[Split] = ()) -> dict[str, Any]:
    """Profile of a data set and of the parts of its split that are at hand, as JSON values.

    ``users`` and ``items`` have, of those with at least one rating, their number, the smallest,
    median, mean and largest number of ratings, the Gini coefficient, ``lorenz`` (pairs: share of
    the least rated, share of the ratings that they have) and ``ranks`` (pairs: rank, number of
    ratings at that rank, the most rated first).

    Args:
        ratings: all of them, as they are after preparation.
        splits: parts of one split of them.
    """
    per_user = np.bincount(ratings.users, minlength=ratings.n_users)
    per_item = np.bincount(ratings.items, minlength=ratings.n_items)
    n, times = len(ratings.values), ratings.times
    return {
        "format": FORMAT,
        "dataset_id": ratings.dataset_id,
        "n_users": ratings.n_users,
        "n_items": ratings.n_items,
        "n_ratings": n,
        "density": n / (ratings.n_users * ratings.n_items),
        "first": None if times is None else _moment(times.min()),
        "last": None if times is None else _moment(times.max()),
        "histogram": histogram(ratings.values),
        "users": concentration(per_user),
        "items": concentration(per_item),
        "parts": [_part(split) for split in splits],
    }


def concentration(counts: np.ndarray) -> dict[str, Any]:
    """How ratings are spread over users or items; those without any are left out.

    Args:
        counts: (n,) number of ratings of each.
    """
    ascending = np.sort(counts[counts > 0])
    n = len(ascending)
    return {
        "number": n,
        "least": int(ascending[0]),
        "median": float(np.median(ascending)),
        "mean": float(ascending.mean()),
        "most": int(ascending[-1]),
        "gini": gini(ascending),
        "lorenz": lorenz(ascending),
        "ranks": [[int(rank), int(ascending[n - rank])] for rank in _ranks(n)],
    }


def gini(ascending: np.ndarray) -> float:
    """Gini coefficient of (n,) sorted positive counts, 0 where all are equal (Gini 1912).

    >>> gini(np.array([1, 1, 1])), gini(np.array([1, 3]))
    (0.0, 0.25)
    """
    n = len(ascending)
    weighted = float(np.dot(np.arange(1, n + 1, dtype=np.float64), ascending))
    return 2 * weighted / (n * float(ascending.sum())) - (n + 1) / n


def lorenz(ascending: np.ndarray) -> list[list[float]]:
    """Lorenz curve of (n,) sorted positive counts, from (0, 0) to (1, 1), at `POINTS` at most.

    >>> lorenz(np.array([1, 3]))
    [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]]
    """
    n = len(ascending)
    sums = np.concatenate([[0], np.cumsum(ascending, dtype=np.int64)])
    at = np.unique(np.rint(np.linspace(0, n, min(n + 1, POINTS))).astype(np.int64))
    return [[float(k / n), float(sums[k] / sums[-1])] for k in at]


def histogram(values: np.ndarray) -> list[dict[str, Any]]:
    """Number of ratings by value, or in `VALUES` bins; each from ``low`` to ``high``, inclusive."""
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= VALUES:
        return [
            {"low": _plain(v), "high": _plain(v), "ratings": int(c)}
            for v, c in zip(found, counts, strict=True)
        ]
    counts, edges = np.histogram(values, bins=VALUES)
    return [
        {"low": float(low), "high": float(high), "ratings": int(c)}
        for low, high, c in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _part(split: Split) -> dict[str, Any]:
    trained = np.zeros(split.n_items, dtype=bool)
    trained[split.train.items] = True
    unknown = ~trained[split.heldout.items]
    return {
        "split_id": split.split_id,
        "part": split.part,
        "eval_users": len(split.eval_users),
        "heldout_ratings": len(split.heldout.items),
        "train_ratings": len(split.train.items),
        "left_out_ratings": split.left_out,
        "heldout_items": len(np.unique(split.heldout.items)),
        "unknown_items": len(np.unique(split.heldout.items[unknown])),
        "unknown_ratings": int(np.count_nonzero(unknown)),
    }


def _ranks(n: int) -> np.ndarray:
    """Ranks from 1 to n, evenly spaced on a logarithmic axis where they are too many."""
    if n <= POINTS:
        return np.arange(1, n + 1)
    return np.unique(np.rint(np.geomspace(1, n, POINTS)).astype(np.int64))


def _plain(value: np.floating[Any]) -> float:
    """A float32 as people write it: 0.1, not 0.10000000149."""
    return float(str(value))


def _moment(seconds: np.int64) -> str:
    return str(seconds.astype("datetime64[s]"))

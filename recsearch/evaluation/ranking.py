"""Ranking metrics of each user from the ranks of the held-out items.

Every formula is that of ``lenskit.metrics.ranking`` (LensKit 2025.8.1) with binary relevance. A
user whose candidates cannot be scored has an empty list and scores 0 by every metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from recsearch.evaluation.metrics import Metric
from recsearch.evaluation.ranks import HeldoutRanks

PATIENCE = 0.85
"""Probability in RBP that a user looks at the next item (LensKit's default)."""


def log_weights(ranks: np.ndarray) -> np.ndarray:
    """Weights 1 / log2(max(rank, 2)) of NDCG (Järvelin and Kekäläinen 2002), float64."""
    weights: np.ndarray = 1.0 / np.log2(np.maximum(ranks, 2))
    return weights


def geometric_weights(ranks: np.ndarray) -> np.ndarray:
    """Weights (1 - p) p^(rank - 1) of RBP (Moffat and Zobel 2008) for p = 0.85, float64."""
    weights: np.ndarray = (1 - PATIENCE) * np.exp(np.log(PATIENCE) * (ranks - 1.0))
    return weights


def ideal_dcg(relevant: np.ndarray, k: int | None) -> np.ndarray:
    """DCG of lists that begin with all ``relevant`` (n,) items, cut at ``k``; float64."""
    count = relevant if k is None else np.minimum(relevant, k)
    longest = int(count.max(initial=0))
    sums = np.concatenate(([0.0], np.cumsum(log_weights(np.arange(1, longest + 1)))))
    ideal: np.ndarray = sums[count]
    return ideal


def ranking_values(metric: Metric, lists: HeldoutRanks) -> np.ndarray:
    """Values of a ranking metric, (n_users,) float64."""
    return _FORMULAS[metric.base](lists, metric.k)


def _relevant(lists: HeldoutRanks) -> np.ndarray:
    return np.diff(lists.indptr)


def _found(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    """Which held-out items are in the list, cut at ``k``."""
    found = lists.ranks > 0
    return found if k is None else found & (lists.ranks <= k)


def _total(lists: HeldoutRanks, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of ``values``, one for each ``chosen`` item, by user."""
    users = np.repeat(np.arange(len(lists.lengths)), _relevant(lists))
    return np.bincount(users[chosen], weights=values, minlength=len(lists.lengths))


def _hits(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    found = _found(lists, k)
    return _total(lists, found, np.ones(np.count_nonzero(found)))


def _list_length(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return lists.lengths if k is None else np.minimum(lists.lengths, k)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the list is empty."""
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)


def _dcg(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    found = _found(lists, k)
    return _total(lists, found, log_weights(lists.ranks[found]))


def _ndcg(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return _ratio(_dcg(lists, k), ideal_dcg(_relevant(lists), k))


def _rbp(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    found = _found(lists, k)
    return _total(lists, found, geometric_weights(lists.ranks[found]))


def _recip_rank(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    users = np.repeat(np.arange(len(lists.lengths)), _relevant(lists))
    found = _found(lists, k)
    values = np.zeros(len(lists.lengths))
    np.maximum.at(values, users[found], 1.0 / lists.ranks[found])
    return values


def _hit(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return (_hits(lists, k) > 0).astype(np.float64)


def _precision(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return _ratio(_hits(lists, k), _list_length(lists, k))


def _recall(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    relevant = _relevant(lists)
    return _ratio(_hits(lists, k), relevant if k is None else np.minimum(relevant, k))


def _average_precision(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    relevant = _relevant(lists)
    users = np.repeat(np.arange(len(relevant)), relevant)
    found = np.flatnonzero(_found(lists, k))
    by_rank = found[np.lexsort((lists.ranks[found], users[found]))]
    before = np.concatenate(([0], np.cumsum(_hits(lists, k))[:-1]))
    nth = np.arange(1, len(by_rank) + 1) - before[users[by_rank]]
    precisions = np.zeros(len(lists.ranks))
    precisions[by_rank] = nth / lists.ranks[by_rank]
    total = _total(lists, found, precisions[found])
    return _ratio(total, np.minimum(relevant, _list_length(lists, k)))


_FORMULAS: Mapping[str, Callable[[HeldoutRanks, int | None], np.ndarray]] = MappingProxyType(
    {
        "NDCG": _ndcg,
        "DCG": _dcg,
        "RBP": _rbp,
        "RecipRank": _recip_rank,
        "Hit": _hit,
        "Precision": _precision,
        "Recall": _recall,
        "MAP": _average_precision,
    }
)

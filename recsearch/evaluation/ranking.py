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


def ones(ranks: np.ndarray) -> np.ndarray:
    """Weights that count hits, float64."""
    return np.ones(len(ranks))


def ranking_values(metric: Metric, lists: HeldoutRanks) -> np.ndarray:
    """Values of a ranking metric, (n_users,) float64."""
    return _FORMULAS[metric.base](lists, metric.k)


def _list_length(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return lists.lengths if k is None else np.minimum(lists.lengths, k)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the list is empty."""
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)


def _dcg(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return lists.total(log_weights, k)


def _ndcg(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    values: np.ndarray = _dcg(lists, k) / lists.held.most(log_weights, k)
    return values


def _rbp(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return lists.total(geometric_weights, k)


def _recip_rank(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    first = lists.ascending[lists.held.indptr[:-1]]
    return np.where(first <= _last(lists, k), 1.0 / first, 0.0)


def _hit(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return (lists.total(ones, k) > 0).astype(np.float64)


def _precision(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    return _ratio(lists.total(ones, k), _list_length(lists, k))


def _recall(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    counts = lists.held.counts
    values: np.ndarray = lists.total(ones, k) / (counts if k is None else np.minimum(counts, k))
    return values


def _average_precision(lists: HeldoutRanks, k: int | None) -> np.ndarray:
    precisions = lists.held.nth / lists.ascending
    precisions[lists.ascending > _last(lists, k)] = 0.0
    most = np.minimum(lists.held.counts, _list_length(lists, k))
    return _ratio(lists.held.by_user(precisions), most)


def _last(lists: HeldoutRanks, k: int | None) -> int:
    """The last rank that is looked at."""
    return lists.held.n_items if k is None else min(k, lists.held.n_items)


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

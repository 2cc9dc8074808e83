"""What a uniformly random ranking of each user's candidates scores on average, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from recsearch.evaluation.metrics import parse
from recsearch.evaluation.ranking import geometric_weights, ideal_dcg, log_weights
from recsearch.evaluation.ranks import ragged

if TYPE_CHECKING:
    from recsearch.data import Split


@dataclass(frozen=True, eq=False)
class Draws:
    """Random rankings to take expectations over, one per user.

    Attributes:
        candidates: (n,) int64, length of the ranking.
        relevant: (n,) int64, held-out items among the candidates.
        heldout: (n,) int64, all held-out items, including any that are no candidates.
    """

    candidates: np.ndarray
    relevant: np.ndarray
    heldout: np.ndarray


def chance(split: Split, metrics: Sequence[str]) -> dict[str, float]:
    """Expected value of each ranking metric for a uniformly random full ranking, exactly.

    Rating metrics are left out: chance predicts no ratings.

    Raises:
        UsageError: an unknown metric.
    """
    draws = _draws(split)
    parsed = [parse(name) for name in metrics]
    return {
        metric.name: float(expected(metric.base, draws, metric.k).mean())
        for metric in parsed
        if metric.kind == "ranking"
    }


def expected(base: str, draws: Draws, k: int | None) -> np.ndarray:
    """Expectation of the metric ``base`` cut at ``k`` for each user, (n,) float64."""
    return _EXPECTED[base](draws, k)


def _draws(split: Split) -> Draws:
    users = split.eval_users.astype(np.int64)
    train = split.train
    # Training items are no candidates, so a held-out rating of one cannot be found.
    at, where = ragged(train.indptr, users)
    known = at * split.n_items + train.items[where]
    heldout = np.diff(split.heldout.indptr)
    rows = np.repeat(np.arange(len(users)), heldout)
    rankable = ~np.isin(rows * split.n_items + split.heldout.items, known)
    return Draws(
        candidates=split.n_items - np.diff(train.indptr)[users],
        relevant=np.bincount(rows[rankable], minlength=len(users)),
        heldout=heldout,
    )


def _length(draws: Draws, k: int | None) -> np.ndarray:
    return draws.candidates if k is None else np.minimum(draws.candidates, k)


def _share(draws: Draws) -> np.ndarray:
    """Probability that a place in the ranking holds a relevant item."""
    return _ratio(draws.relevant, draws.candidates)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)


def _sums(weights: Callable[[np.ndarray], np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """Sum of the weights of ranks 1 to each of ``lengths``."""
    longest = int(lengths.max(initial=0))
    sums = np.concatenate(([0.0], np.cumsum(weights(np.arange(1, longest + 1)))))
    found: np.ndarray = sums[lengths]
    return found


def _harmonic(lengths: np.ndarray) -> np.ndarray:
    return _sums(lambda ranks: 1.0 / ranks, lengths)


def _dcg(draws: Draws, k: int | None) -> np.ndarray:
    return _share(draws) * _sums(log_weights, _length(draws, k))


def _ndcg(draws: Draws, k: int | None) -> np.ndarray:
    return _ratio(_dcg(draws, k), ideal_dcg(draws.heldout, k))


def _rbp(draws: Draws, k: int | None) -> np.ndarray:
    return _share(draws) * _sums(geometric_weights, _length(draws, k))


def _recip_rank(draws: Draws, k: int | None) -> np.ndarray:
    """Sum over r of P(first relevant item at r) / r.

    On the full ranking the hypergeometric sum is R / (N - R + 1) (H(N) - H(R - 1)) for R relevant
    items among N, with H the harmonic numbers.
    """
    total, relevant = draws.candidates, draws.relevant
    if k is None:
        tail = _harmonic(total) - _harmonic(np.maximum(relevant - 1, 0))
        return _ratio(relevant * tail, total - relevant + 1)
    value, missed = np.zeros(len(total)), np.ones(len(total))
    for rank in range(1, min(k, int(total.max(initial=0))) + 1):
        left = np.maximum(total - rank + 1, 0)
        here = np.minimum(_ratio(relevant, left), 1.0)
        value += missed * here / rank
        missed *= 1.0 - here
    return value


def _hit(draws: Draws, k: int | None) -> np.ndarray:
    missed = np.ones(len(draws.candidates))
    length = _length(draws, k)
    for place in range(int(draws.relevant.max(initial=0))):
        outside = np.maximum(draws.candidates - length - place, 0)
        still = _ratio(outside, draws.candidates - place)
        missed *= np.where(place < draws.relevant, still, 1.0)
    return 1.0 - missed


def _precision(draws: Draws, k: int | None) -> np.ndarray:  # noqa: ARG001 - alike at any cutoff
    return _share(draws)


def _recall(draws: Draws, k: int | None) -> np.ndarray:
    most = draws.heldout if k is None else np.minimum(draws.heldout, k)
    return _ratio(_share(draws) * _length(draws, k), most)


def _average_precision(draws: Draws, k: int | None) -> np.ndarray:
    """Rank r is relevant with R / N; then (r - 1)(R - 1) / (N - 1) relevant ones precede it."""
    length = _length(draws, k)
    harmonic = _harmonic(length)
    others = _ratio(draws.relevant - 1, draws.candidates - 1)
    total = _share(draws) * (harmonic + others * (length - harmonic))
    return _ratio(total, np.minimum(draws.heldout, length))


_EXPECTED: Mapping[str, Callable[[Draws, int | None], np.ndarray]] = MappingProxyType(
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

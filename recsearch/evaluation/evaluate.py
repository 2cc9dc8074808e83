"""All metrics of a model from one pass over blocks of its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsearch.errors import UsageError
from recsearch.evaluation.metrics import Metric, parse
from recsearch.evaluation.prepared import Prepared, prepared
from recsearch.evaluation.ranking import ranking_values
from recsearch.evaluation.ranks import HeldoutRanks
from recsearch.evaluation.rating import PredictionErrors, rating_mean, rating_values

if TYPE_CHECKING:
    from recsearch.data import Split

Scores: TypeAlias = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""User numbers and item numbers (None: all) to a float32 block; NaN where there is no score."""

BLOCK_BYTES = 64 << 20
"""The most memory that one block of scores takes."""

BLOCK_USERS = 256
"""Users scored at a time, where memory allows.

With fewer, a matrix product spends too much of its time on preparing its operands; with more, the
scores leave the cache before they are ranked. Where only predictions are needed, the users of a
block have few held-out items between them.
"""


@dataclass(frozen=True, eq=False)
class _Measured:
    """What metrics are computed from; parts that no metric asked for are zeros."""

    lists: HeldoutRanks
    errors: PredictionErrors

    def values(self, metric: Metric) -> np.ndarray:
        if metric.kind == "ranking":
            return ranking_values(metric, self.lists)
        return rating_values(metric, self.errors)

    def mean(self, metric: Metric) -> float:
        if metric.kind == "ranking":
            return float(ranking_values(metric, self.lists).mean())
        return rating_mean(metric, self.errors)


def evaluate(
    scores: Scores,
    split: Split,
    metrics: Sequence[str],
    *,
    fallback: Scores | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, float]:
    """Measure a model on the held-out ratings of ``split``.

    Ranking metrics are means over the evaluation users of LensKit's list metrics on the full
    ranking of the user's candidates: all items without the user's training items. They use
    ``scores`` alone, as LensKit's recommenders do.

    Args:
        scores: the model.
        split: training and held-out ratings.
        metrics: names, see :func:`recsearch.evaluation.parse`.
        fallback: predictions of the ratings for which ``scores`` is NaN. Without it such ratings
            are an error, as they are for LensKit's metrics by default (``missing_scores``).
        block_bytes: memory for one block of scores.

    Returns:
        Value by name, in the order asked for.

    Raises:
        UsageError: an unknown metric, or held-out ratings without a prediction.
        DataError: the split has no users with held-out ratings.
    """
    parsed = [parse(name) for name in metrics]
    measured = _measure(scores, split, parsed, fallback, block_bytes)
    return {metric.name: measured.mean(metric) for metric in parsed}


def per_user(
    scores: Scores,
    split: Split,
    metrics: Sequence[str],
    *,
    fallback: Scores | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, np.ndarray]:
    """Like :func:`evaluate`, but the values of each evaluation user, (n_eval,) float64.

    Pooled rating metrics have the user's own error here, which is pooled over all ratings only in
    :func:`evaluate`.
    """
    parsed = [parse(name) for name in metrics]
    measured = _measure(scores, split, parsed, fallback, block_bytes)
    return {metric.name: measured.values(metric) for metric in parsed}


def _measure(
    scores: Scores,
    split: Split,
    metrics: Sequence[Metric],
    fallback: Scores | None,
    block_bytes: int,
) -> _Measured:
    held = prepared(split)
    ranks = np.zeros(len(held.items), dtype=np.int64)
    lengths = np.zeros(len(held.users), dtype=np.int64)
    predictions = np.zeros(len(held.items), dtype=np.float32)
    kinds = {metric.kind for metric in metrics}
    if "ranking" in kinds:
        _rank(scores, held, block_bytes, ranks, predictions, lengths)
    elif kinds:
        _predict(scores, held, block_bytes, np.ones(len(held.items), dtype=bool), predictions)
    if "rating" in kinds:
        _fill(predictions, held, fallback, block_bytes)
    return _Measured(HeldoutRanks(held, ranks, lengths), PredictionErrors(held, predictions))


def _rank(
    scores: Scores,
    held: Prepared,
    block_bytes: int,
    ranks: np.ndarray,
    predictions: np.ndarray,
    lengths: np.ndarray,
) -> None:
    """Fill in the ranks and scores of all held-out items, and the lengths of the rankings."""
    from recsearch.evaluation.counting import count_ranks

    for begin, end in _blocks(held, block_bytes):
        users = held.users[begin:end]
        count_ranks(
            _scored(scores, users, None, held.n_items),
            users,
            held.train_indptr,
            held.train_items,
            held.indptr[begin : end + 1],
            held.items,
            ranks,
            predictions,
            lengths[begin:end],
        )


def _predict(
    scores: Scores, held: Prepared, block_bytes: int, wanted: np.ndarray, predictions: np.ndarray
) -> None:
    """Fill in the scores of those held-out items that are ``wanted``."""
    for begin, end in _blocks(held, block_bytes):
        span = slice(held.indptr[begin], held.indptr[end])
        chosen = wanted[span]
        if chosen.any():
            columns, at = np.unique(held.items[span], return_inverse=True)
            found = _scored(scores, held.users[begin:end], columns, len(columns))
            gathered = found[held.rows[span] - begin, at]
            predictions[span][chosen] = gathered[chosen]


def _blocks(held: Prepared, block_bytes: int) -> Iterator[tuple[int, int]]:
    height = max(1, min(block_bytes // (4 * max(held.n_items, 1)), BLOCK_USERS))
    count = len(held.users)
    for begin in range(0, count, height):
        yield begin, min(begin + height, count)


def _scored(scores: Scores, users: np.ndarray, items: np.ndarray | None, width: int) -> np.ndarray:
    block = np.asarray(scores(users, items), dtype=np.float32)
    if block.shape != (len(users), width):
        raise UsageError(
            f"The model returned scores of shape {block.shape}, not {(len(users), width)}."
        )
    return np.require(block, requirements=["C_CONTIGUOUS", "ALIGNED"])


def _fill(
    predictions: np.ndarray, held: Prepared, fallback: Scores | None, block_bytes: int
) -> None:
    """Replace NaN in ``predictions`` by what ``fallback`` predicts."""
    missing = np.isnan(predictions)
    if fallback is not None and missing.any():
        _predict(fallback, held, block_bytes, missing, predictions)
        missing = np.isnan(predictions)
    if missing.any():
        raise UsageError(
            f"{np.count_nonzero(missing)} of {len(missing)} held-out ratings have no prediction, "
            "so rating metrics are not defined.",
            hint="Give a fallback that predicts every rating, such as a bias model.",
        )

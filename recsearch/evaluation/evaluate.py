"""All metrics of a model from one pass over blocks of its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsearch.errors import DataError, UsageError
from recsearch.evaluation.metrics import Metric, parse
from recsearch.evaluation.ranking import ranking_values
from recsearch.evaluation.ranks import HeldoutRanks, rank_block, ragged
from recsearch.evaluation.rating import (
    PredictionErrors,
    prediction_errors,
    rating_mean,
    rating_values,
)

if TYPE_CHECKING:
    from recsearch.data import Split

Scores: TypeAlias = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""User numbers and item numbers (None: all) to a float32 block; NaN where there is no score."""

BLOCK_BYTES = 64 << 20
RATING_USERS = 256
"""Users per block where only predictions are needed: few users share a small set of items."""


@dataclass(frozen=True, eq=False)
class _Measured:
    lists: HeldoutRanks | None
    errors: PredictionErrors | None


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
    return {metric.name: _mean(metric, measured) for metric in parsed}


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
    return {metric.name: _values(metric, measured) for metric in parsed}


def _values(metric: Metric, measured: _Measured) -> np.ndarray:
    if metric.kind == "ranking":
        assert measured.lists is not None  # noqa: S101 - narrowed for the type checker
        return ranking_values(metric, measured.lists)
    assert measured.errors is not None  # noqa: S101 - narrowed for the type checker
    return rating_values(metric, measured.errors)


def _mean(metric: Metric, measured: _Measured) -> float:
    if metric.kind == "rating" and measured.errors is not None:
        return rating_mean(metric, measured.errors)
    return float(_values(metric, measured).mean())


def _measure(
    scores: Scores,
    split: Split,
    metrics: Sequence[Metric],
    fallback: Scores | None,
    block_bytes: int,
) -> _Measured:
    rank = any(metric.kind == "ranking" for metric in metrics)
    predict = any(metric.kind == "rating" for metric in metrics)
    held = split.heldout
    if len(split.eval_users) == 0 or np.any(np.diff(held.indptr) == 0):
        raise DataError(
            "Nothing to evaluate: every evaluation user needs at least one held-out rating, but "
            f"{np.count_nonzero(np.diff(held.indptr) == 0)} of {len(split.eval_users)} have none."
        )
    ranks = np.zeros(len(held.items) if rank else 0, dtype=np.int64)
    lengths = np.zeros(len(split.eval_users), dtype=np.int64)
    predictions = np.zeros(len(held.items) if predict else 0, dtype=np.float32)
    if rank or predict:
        for block in _blocks(split, block_bytes, None if rank else RATING_USERS):
            needed = None if rank else np.unique(block.items)
            found = _scored(scores, block.users, needed, split.n_items)
            if predict:
                predictions[block.span] = _gather(found, block, needed)
            if rank:
                train = _training_rows(split, block.users)
                ranks[block.span], lengths[block.rows] = rank_block(
                    found, *train, block.indptr, block.items
                )
    errors = None
    if predict:
        _fill(predictions, split, fallback, block_bytes)
        errors = prediction_errors(held.indptr, held.values, predictions)
    return _Measured(HeldoutRanks(held.indptr, ranks, lengths) if rank else None, errors)


@dataclass(frozen=True, eq=False)
class _Block:
    """Some evaluation users: their numbers and held-out items, and where these come from."""

    rows: slice
    span: slice
    users: np.ndarray
    indptr: np.ndarray
    items: np.ndarray


def _blocks(split: Split, block_bytes: int, at_most: int | None) -> Iterator[_Block]:
    height = max(1, block_bytes // (4 * max(split.n_items, 1)))
    height = height if at_most is None else min(height, at_most)
    held = split.heldout
    for begin in range(0, len(split.eval_users), height):
        rows = slice(begin, min(begin + height, len(split.eval_users)))
        first, last = int(held.indptr[rows.start]), int(held.indptr[rows.stop])
        indptr = held.indptr[rows.start : rows.stop + 1] - first
        span = slice(first, last)
        yield _Block(rows, span, split.eval_users[rows], indptr, held.items[span])


def _scored(
    scores: Scores, users: np.ndarray, items: np.ndarray | None, n_items: int
) -> np.ndarray:
    block = np.asarray(scores(users, items), dtype=np.float32)
    expected = (len(users), n_items if items is None else len(items))
    if block.shape != expected:
        raise UsageError(f"The model returned scores of shape {block.shape}, not {expected}.")
    return block


def _gather(found: np.ndarray, block: _Block, columns: np.ndarray | None) -> np.ndarray:
    """Scores of each user's held-out items, flat."""
    rows = np.repeat(np.arange(len(block.users)), np.diff(block.indptr))
    at = block.items if columns is None else np.searchsorted(columns, block.items)
    gathered: np.ndarray = found[rows, at]
    return gathered


def _training_rows(split: Split, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    indptr, items = split.train.indptr, split.train.items
    counts = indptr[users.astype(np.int64) + 1] - indptr[users]
    _, where = ragged(indptr, users.astype(np.int64))
    return np.concatenate(([0], np.cumsum(counts))), items[where]


def _fill(
    predictions: np.ndarray, split: Split, fallback: Scores | None, block_bytes: int
) -> None:
    """Replace NaN in ``predictions`` by what ``fallback`` predicts."""
    missing = np.isnan(predictions)
    if fallback is not None and missing.any():
        for block in _blocks(split, block_bytes, RATING_USERS):
            absent = missing[block.span]
            if absent.any():
                columns = np.unique(block.items)
                found = _scored(fallback, block.users, columns, split.n_items)
                filled = _gather(found, block, columns)
                predictions[block.span][absent] = filled[absent]
        missing = np.isnan(predictions)
    if missing.any():
        raise UsageError(
            f"{np.count_nonzero(missing)} of {len(missing)} held-out ratings have no prediction, "
            "so rating metrics are not defined.",
            hint="Give a fallback that predicts every rating, such as a bias model.",
        )

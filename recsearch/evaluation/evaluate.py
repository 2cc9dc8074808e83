"""All metrics of a model from one pass over blocks of its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsearch.errors import DataError, UsageError
from recsearch.evaluation.metrics import Metric, parse
from recsearch.evaluation.ranking import ranking_values
from recsearch.evaluation.ranks import HeldoutRanks, ragged, rank_block
from recsearch.evaluation.rating import (
    PredictionErrors,
    prediction_errors,
    rating_mean,
    rating_values,
)

if TYPE_CHECKING:
    from recsearch.data import Interactions, Split

Scores: TypeAlias = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""User numbers and item numbers (None: all) to a float32 block; NaN where there is no score."""

BLOCK_BYTES = 64 << 20
RATING_USERS = 256
"""Users per block where only predictions are needed: few users share a small set of items."""


@dataclass(frozen=True, eq=False)
class _Measured:
    """What metrics are computed from; parts that no metric asked for are zeros."""

    held: Interactions
    lists: HeldoutRanks
    predictions: np.ndarray

    @cached_property
    def errors(self) -> PredictionErrors:
        return prediction_errors(self.held.indptr, self.held.values, self.predictions)

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
    _check(split)
    rank = any(metric.kind == "ranking" for metric in metrics)
    predict = any(metric.kind == "rating" for metric in metrics)
    held = split.heldout
    ranks = np.zeros(len(held.items), dtype=np.int64)
    lengths = np.zeros(len(split.eval_users), dtype=np.int64)
    predictions = np.zeros(len(held.items), dtype=np.float32)
    for block in _blocks(split, block_bytes, None if rank else RATING_USERS):
        if not (rank or predict):
            break
        needed = None if rank else np.unique(block.items)
        found = _scored(scores, block.users, needed, split.n_items)
        if predict:
            predictions[block.span] = _gather(found, block, needed)
        if rank:
            ranks[block.span], lengths[block.rows] = rank_block(
                found, *_training_rows(split, block.users), block.indptr, block.items
            )
    if predict:
        _fill(predictions, split, fallback, block_bytes)
    return _Measured(held, HeldoutRanks(held.indptr, ranks, lengths), predictions)


def _check(split: Split) -> None:
    without = np.count_nonzero(np.diff(split.heldout.indptr) == 0)
    if without or len(split.eval_users) == 0:
        raise DataError(
            f"Split {split.split_id[:12]}, part {split.part}: nothing to evaluate on. Every "
            "evaluation user needs at least one held-out rating, but "
            f"{without} of {len(split.eval_users)} have none."
        )


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


def _fill(predictions: np.ndarray, split: Split, fallback: Scores | None, block_bytes: int) -> None:
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

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from eval_tools import brute_ranks, problems
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data import Split
from recsearch.evaluation import ranks as module
from recsearch.evaluation.ranks import rank_block


def held_rows(split: Split) -> list[list[int]]:
    held = split.heldout
    return [row.tolist() for row in np.split(held.items, held.indptr[1:-1])]


def train_rows(split: Split) -> list[set[int]]:
    rows = np.split(split.train.items, split.train.indptr[1:-1])
    return [set(rows[user].tolist()) for user in split.eval_users]


def ranked(split: Split, matrix: np.ndarray) -> tuple[list[int], list[int]]:
    train = train_rows(split)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in train]))).astype(np.int64)
    flat = np.array([item for row in train for item in sorted(row)], dtype=np.int32)
    ranks, lengths = rank_block(
        matrix[split.eval_users], indptr, flat, split.heldout.indptr, split.heldout.items
    )
    return ranks.tolist(), lengths.tolist()


@settings(deadline=None)
@given(problems(), st.sampled_from([0, 1, 3, 96]), st.sampled_from([1, 200, 1 << 20]))
def test_counting_and_sorting_equal_the_definition(
    problem: tuple[Split, np.ndarray], sort_above: int, tile_bytes: int
) -> None:
    split, matrix = problem
    expected, lengths = [], []
    for user, held, train in zip(
        split.eval_users, held_rows(split), train_rows(split), strict=True
    ):
        order = brute_ranks(matrix[user], train)
        place = {item: rank for rank, item in enumerate(order, start=1)}
        expected += [place.get(item, 0) for item in held]
        lengths.append(len(order))
    with (
        mock.patch.object(module, "SORT_ABOVE", sort_above),
        mock.patch.object(module, "TILE_BYTES", tile_bytes),
    ):
        assert ranked(split, matrix) == (expected, lengths)


@pytest.mark.parametrize("n_items", [1, 7, 8, 9, 64, 1000])
def test_widths_around_whole_words(n_items: int) -> None:
    scores = np.arange(n_items, dtype=np.float32)[None, :]
    held = np.array([0, n_items - 1], dtype=np.int32)
    indptr = np.array([0, 2])
    ranks, lengths = rank_block(scores, np.array([0, 0]), np.empty(0, np.int32), indptr, held)
    assert ranks.tolist() == [n_items, 1]
    assert lengths.tolist() == [n_items]


def test_many_held_out_items_take_both_ways_in_one_block() -> None:
    rng = np.random.default_rng(5)
    n_items, sizes = 300, [2, 250, 97, 96, 1]
    scores = rng.integers(0, 40, (len(sizes), n_items)).astype(np.float32)
    held = [np.sort(rng.choice(n_items, size, replace=False)) for size in sizes]
    indptr = np.concatenate(([0], np.cumsum(sizes)))
    no_train = np.zeros(len(sizes) + 1, dtype=np.int64)
    flat = np.concatenate(held).astype(np.int32)
    found, _ = rank_block(scores, no_train, np.empty(0, np.int32), indptr, flat)
    for row, items, ranks in zip(scores, held, np.split(found, indptr[1:-1]), strict=True):
        order = brute_ranks(row, set())
        assert [order[rank - 1] for rank in ranks] == items.tolist()


def test_scores_are_not_written_to() -> None:
    scores = np.ones((1, 4), dtype=np.float32)
    scores.flags.writeable = False
    one = np.array([0, 1])
    ranks, lengths = rank_block(scores, one, np.array([0]), one, np.array([3]))
    assert (ranks.tolist(), lengths.tolist()) == ([3], [3])

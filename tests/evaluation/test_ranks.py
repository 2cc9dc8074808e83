"""Counted ranks against the definition of a ranking, and where compiled code is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from eval_tools import brute_ranks, interactions, make_split, problems
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data import Split
from recsearch.evaluation.counting import count_ranks
from recsearch.evaluation.prepared import prepared


def ranked(split: Split, block: np.ndarray) -> tuple[list[int], list[int]]:
    """Ranks and lengths from the scores of the evaluation users, in one block."""
    held = prepared(split)
    ranks = np.full(len(held.items), -1)
    own = np.zeros(len(held.items), dtype=np.float32)
    lengths = np.full(len(held.users), -1)
    count_ranks(
        block, held.users, held.train_indptr, held.train_items, held.indptr, held.items,
        ranks, own, lengths,
    )  # fmt: skip
    np.testing.assert_array_equal(own, block[held.rows, held.items])
    return ranks.tolist(), lengths.tolist()


def defined(split: Split, block: np.ndarray) -> tuple[list[int], list[int]]:
    """Ranks and lengths from the sorted candidates of each user."""
    train = np.split(split.train.items, split.train.indptr[1:-1])
    held = np.split(split.heldout.items, split.heldout.indptr[1:-1])
    ranks, lengths = [], []
    for row, user, items in zip(block, split.eval_users, held, strict=True):
        order = brute_ranks(row, set(train[user].tolist()))
        place = {item: rank for rank, item in enumerate(order, start=1)}
        ranks += [place.get(item, 0) for item in items.tolist()]
        lengths.append(len(order))
    return ranks, lengths


@settings(deadline=None)
@given(problems())
def test_counting_equals_the_definition(problem: tuple[Split, np.ndarray]) -> None:
    split, matrix = problem
    block = matrix[split.eval_users]
    assert ranked(split, block) == defined(split, block)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 40, 100_000]))
def test_many_items_of_which_many_are_held_out(seed: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    n_items, train, heldout = int(rng.integers(200, 700)), [], {}
    for user, held in enumerate((2, 150, 1, 97)):
        items = rng.permutation(n_items).tolist()
        train.append(dict.fromkeys(items[: int(rng.integers(0, n_items - held))], 3.0))
        heldout[user] = dict.fromkeys(items[-held:], 4.0)
    split = make_split(n_items, train, heldout)
    block = rng.integers(0, distinct, (4, n_items)).astype(np.float32)
    block[rng.random(block.shape) < 0.1] = np.nan
    assert ranked(split, block) == defined(split, block)


@pytest.mark.parametrize("n_items", [1, 15, 16, 17, 63, 64, 65, 1000])
def test_widths_around_whole_vectors(n_items: int) -> None:
    held = dict.fromkeys((0, n_items - 1), 1.0)
    block = np.arange(n_items, dtype=np.float32)[None, :]
    found = ranked(make_split(n_items, [{}], {0: held}), block)
    assert found == ([n_items, 1][: len(held)], [n_items])


def test_a_held_out_training_item_is_no_candidate() -> None:
    split = make_split(4, [{1: 1.0, 2: 1.0}], {0: {0: 1.0, 2: 1.0, 3: 1.0}})
    assert ranked(split, np.ones((1, 4), dtype=np.float32)) == ([1, 0, 2], [2])


def test_users_are_found_by_number_and_spans_by_offset() -> None:
    split = make_split(3, [{0: 1.0}, {1: 1.0}, {2: 1.0}], {1: {0: 1.0}, 2: {0: 1.0, 1: 1.0}})
    held = prepared(split)
    ranks, own, lengths = np.full(3, -1), np.zeros(3, dtype=np.float32), np.full(1, -1)
    block = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    count_ranks(
        block, held.users[1:], held.train_indptr, held.train_items, held.indptr[1:], held.items,
        ranks, own, lengths,
    )  # fmt: skip
    assert (ranks.tolist(), lengths.tolist()) == ([-1, 2, 1], [2])


def test_read_only_scores_need_no_code_of_their_own() -> None:
    block = np.ones((1, 4), dtype=np.float32)
    block.flags.writeable = False
    before = len(count_ranks.signatures)
    assert ranked(make_split(4, [{0: 1.0}], {0: {3: 1.0}}), block) == ([3], [3])
    assert len(count_ranks.signatures) == before == 1


def test_other_dtypes_of_a_split_are_taken() -> None:
    split = make_split(3, [{0: 1.0}], {0: {1: 1.0}})
    wide = Split(
        **{**vars(split), "eval_users": np.array([0]), "heldout": interactions([{1: 2.0}])}
    )
    wide.heldout.__dict__["items"] = wide.heldout.items.astype(np.int64)
    assert ranked(wide, np.zeros((1, 3), dtype=np.float32)) == ([1], [2])


PROGRAM = """
import numpy as np, sys
sys.path.insert(0, {tests!r})
from eval_tools import simple, table
from recsearch.evaluation import evaluate
print(evaluate(table(np.array([[3.0, 2.0, 1.0]])), simple([1], 3), ["RecipRank"])["RecipRank"])
"""


@pytest.mark.parametrize("damage", ["unwritable", "garbage"])
def test_a_cache_that_cannot_be_used_changes_nothing(tmp_path: Path, damage: str) -> None:
    """Numba keeps compiled code in NUMBA_CACHE_DIR; a file there is no folder to write to."""
    cache = tmp_path / "cache"
    if damage == "unwritable":
        cache.write_text("in the way")
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    if damage == "garbage":
        run()
        written = [path for path in cache.rglob("*") if path.is_file()]
        assert written
        for path in written:
            path.write_bytes(b"no cache")
    assert run() == "0.5\n"

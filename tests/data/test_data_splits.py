"""Splits: equal to LensKit's own, disjoint, complete, identified by what they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data import SplitSpec, load_dataset, load_split
from recsearch.data.assemble import Columns, assemble
from recsearch.data.lenskit import dataset
from recsearch.data.types import Source
from recsearch.errors import DataError, UsageError

SOURCE = Source("test", "Test", "test.csv", None, None, generated=False)


def ratings_of(counts, times=True, text=False):
    """User ``u`` rates ``counts[u]`` items; every rating and time is different."""
    users = np.repeat(np.arange(len(counts)), counts)
    items = np.concatenate([(np.arange(c) * 7 + u) % 97 for u, c in enumerate(counts)])
    n = len(users)
    if text:
        users, items = np.char.add("u", users.astype(str)), np.char.add("i", items.astype(str))
    seconds = np.arange(n) + 1000 if times else None
    columns = Columns(users, items, np.linspace(1, 5, n), seconds, known_items=None)
    return assemble(SOURCE, columns, limits=None, where=str)


def triples(split, part):
    """(user, item, rating) of the training or held-out ratings, by number."""
    rows = part.indptr
    users = np.arange(split.n_users) if part is split.train else split.eval_users
    return list(
        zip(
            np.repeat(users, np.diff(rows)).tolist(),
            part.items.tolist(),
            part.values.tolist(),
            strict=True,
        )
    )


@settings(deadline=None)
@given(
    st.lists(st.integers(4, 30), min_size=3, max_size=25),
    st.integers(2, 3),
    st.integers(1, 3),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_train_and_heldout_are_disjoint_and_are_everything(counts, folds, holdout, seed, times):
    ratings = ratings_of(counts, times)
    spec = SplitSpec(folds=folds, holdout=holdout, seed=seed)
    whole = list(
        zip(ratings.users.tolist(), ratings.items.tolist(), ratings.values.tolist(), strict=True)
    )
    evaluated = []
    for part in range(folds):
        split = load_split(ratings, spec, part)
        train, held = triples(split, split.train), triples(split, split.heldout)
        assert sorted(train + held) == whole
        assert not set(train) & set(held)
        assert train == sorted(train)
        assert held == sorted(held)
        assert np.all(np.diff(split.heldout.indptr) == holdout)
        assert len(split.train.indptr) == ratings.n_users + 1
        assert (split.train.times is None) == (not times)
        assert (split.train.indptr.dtype, split.eval_users.dtype) == (np.int64, np.int32)
        evaluated += split.eval_users.tolist()
    assert sorted(evaluated) == list(range(ratings.n_users))


def lenskit_parts(ratings, spec):
    """LensKit's own split: for each part the held-out (user, item) numbers."""
    from lenskit.data import from_interactions_df
    from lenskit.splitting import SampleN, crossfold_users
    from pandas import DataFrame

    frame = DataFrame(
        {
            "user_id": ratings.user_ids[ratings.users],
            "item_id": ratings.item_ids[ratings.items],
            "rating": ratings.values,
        }
    )
    data = from_interactions_df(frame.sample(frac=1, random_state=3))
    method = SampleN(spec.holdout, rng=spec.seed)
    for part in crossfold_users(data, spec.folds, method, rng=spec.seed, test_only=True):
        yield sorted(
            (
                int(np.searchsorted(ratings.user_ids, key.user_id)),
                int(np.searchsorted(ratings.item_ids, item)),
            )
            for key, items in part.test
            for item in items.ids()
        )


def check_against_lenskit(ratings, spec):
    for part, expected in enumerate(lenskit_parts(ratings, spec)):
        split = load_split(ratings, spec, part)
        assert [row[:2] for row in triples(split, split.heldout)] == expected


@pytest.mark.parametrize(
    "spec", [SplitSpec(), SplitSpec(folds=3, holdout=2, seed=11), SplitSpec(folds=7, seed=0)]
)
def test_parts_equal_lenskits(spec):
    check_against_lenskit(load_dataset("demo"), spec)


def test_parts_equal_lenskits_with_text_ids():
    check_against_lenskit(ratings_of([8, 12, 30, 9, 6, 7, 6, 11], text=True), SplitSpec(folds=3))


def test_lenskit_numbers_are_ours(home):
    text = ["user,item,rating"]
    text += [f"u{u},i{(u * 5 + k * 3) % 23},{k % 5 + 1}" for u in range(12) for k in range(8)]
    (home / "r.csv").write_text("\n".join(text))
    for ratings in (load_dataset("demo"), load_dataset(f"csv:{home}/r.csv")):
        split = load_split(ratings)
        theirs = dataset(split)
        assert theirs.users.ids().tolist() == split.user_ids.tolist()
        assert theirs.items.ids().tolist() == split.item_ids.tolist()
        matrix = theirs.interaction_matrix(format="scipy", layout="csr", field="rating")
        matrix.sort_indices()
        assert matrix.shape == (split.n_users, split.n_items)
        np.testing.assert_array_equal(matrix.indptr, split.train.indptr)
        np.testing.assert_array_equal(matrix.indices, split.train.items)
        np.testing.assert_array_equal(matrix.data, split.train.values)
        assert matrix.data.dtype == np.float32


def test_lenskit_data_set_keeps_users_and_items_without_ratings():
    ratings = load_dataset("demo")
    assert len(np.unique(ratings.items)) < ratings.n_items
    split = load_split(ratings)
    lonely = int(split.eval_users[0])
    train = split.train
    keep = np.repeat(np.arange(split.n_users), np.diff(train.indptr)) != lonely
    indptr = np.concatenate(
        [[0], np.cumsum(np.where(np.arange(split.n_users) == lonely, 0, np.diff(train.indptr)))]
    )
    fewer = replace(
        train,
        indptr=indptr,
        items=train.items[keep],
        values=train.values[keep],
        times=train.times[keep],
    )
    theirs = dataset(replace(split, train=fewer))
    assert (theirs.users.size, theirs.items.size) == (split.n_users, split.n_items)


def test_split_id_is_of_data_method_and_part():
    ratings = load_dataset("demo")
    ids = [
        load_split(ratings).split_id,
        load_split(ratings, part=1).split_id,
        load_split(ratings, SplitSpec(folds=4)).split_id,
        load_split(ratings, SplitSpec(holdout=4)).split_id,
        load_split(ratings, SplitSpec(seed=1)).split_id,
        load_split(load_dataset("demo@1")).split_id,
    ]
    assert len(set(ids)) == len(ids)
    again = load_split(load_dataset("demo"), SplitSpec(), 0)
    assert again.split_id == ids[0]
    assert again.method == {
        "method": "crossfold-users", "folds": 5, "holdout": 5, "seed": 20260701,
    }  # fmt: skip


def test_split_id_is_the_same_for_ever():
    split = load_split(ratings_of([8, 12, 30, 9, 6, 7, 6, 11]), SplitSpec(folds=3))
    assert split.split_id == "9fa1ac0f527317bc662da447eafa86adae87caa594b1435c44013d9557ef1db8"


@pytest.mark.parametrize(
    ("spec", "part", "words"),
    [
        (SplitSpec(method="crossfold-user"), 0, "nearest is 'crossfold-users'"),
        (SplitSpec(method="temporal"), 0, "no split method 'temporal'"),
        (SplitSpec(folds=1), 0, "folds >= 2"),
        (SplitSpec(holdout=0), 0, "holdout >= 1"),
        (SplitSpec(seed=-1), 0, "seed >= 0"),
        (SplitSpec(), 5, "parts 0 to 4"),
        (SplitSpec(), -1, "parts 0 to 4"),
    ],
)
def test_wrong_parameters(spec, part, words):
    with pytest.raises(UsageError, match=words):
        load_split(load_dataset("demo"), spec, part)


def test_too_few_users():
    with pytest.raises(DataError, match="3 users cannot be dealt into 5 parts; part 3"):
        load_split(ratings_of([9, 9, 9]))


def test_users_with_too_few_ratings_are_named():
    with pytest.raises(DataError, match=r"2 of 6 users .*the first is user 1 with 5") as caught:
        load_split(ratings_of([9, 5, 9, 9, 1, 9]))
    assert "fewer than 6" in caught.value.hint
    assert load_split(ratings_of([6] * 6)).train.indptr[-1] == 36 - 5 * 2

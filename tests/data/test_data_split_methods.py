"""Every split method: equal to LensKit's where it has one, disjoint, isolated where asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data_splits import ratings_of, triples

from recsearch.data import SplitSpec, load_dataset, load_split, parse_steps, spec_of_table
from recsearch.data.holdout import _least, cut_times
from recsearch.data.prepare import prepare
from recsearch.errors import DataError, UsageError

FRAC = SplitSpec(holdout=0.2)
LAST = SplitSpec(pick="last", holdout=3)
LAST_FRAC = SplitSpec(pick="last", holdout=0.3, folds=4)
RECORDS = SplitSpec(method="crossfold-records", folds=4, seed=3)
SAMPLE_USERS = SplitSpec(method="sample-users", size=20, folds=3, holdout=2)
SHARED = SplitSpec(rng="shared", holdout=4)
SHARED_SAMPLES = SplitSpec(method="sample-users", size=15, folds=3, holdout=0.3, rng="shared")
SAMPLE_RECORDS = SplitSpec(method="sample-records", size=200, folds=3)
TIME = SplitSpec(method="global-time")
ALL = [FRAC, LAST, LAST_FRAC, RECORDS, SAMPLE_USERS, SHARED, SHARED_SAMPLES, SAMPLE_RECORDS, TIME]


def lenskit_data(ratings):
    from lenskit.data import from_interactions_df
    from pandas import DataFrame, to_datetime

    frame = DataFrame(
        {
            "user_id": ratings.user_ids[ratings.users],
            "item_id": ratings.item_ids[ratings.items],
            "rating": ratings.values,
            "timestamp": to_datetime(ratings.times, unit="s"),
        }
    )
    return from_interactions_df(frame.sample(frac=1, random_state=3))


def lenskit_splits(ratings, spec):
    from lenskit import splitting as ls

    data = lenskit_data(ratings)
    method = None
    rng = np.random.default_rng(spec.seed) if spec.rng == "shared" else spec.seed
    if spec.pick == "last":
        method = (ls.LastFrac if isinstance(spec.holdout, float) else ls.LastN)(spec.holdout)
    elif spec.method.endswith("users"):
        kind = ls.SampleFrac if isinstance(spec.holdout, float) else ls.SampleN
        method = kind(spec.holdout, rng=rng)
    match spec.method:
        case "crossfold-users":
            return ls.crossfold_users(data, spec.folds, method, rng=rng)
        case "sample-users":
            return ls.sample_users(data, spec.size, method, repeats=spec.folds, rng=rng)
        case "crossfold-records":
            return ls.crossfold_records(data, spec.folds, rng=spec.seed)
        case "sample-records":
            return ls.sample_records(data, spec.size, repeats=spec.folds, rng=spec.seed)
    cuts = [np.datetime64(cut, "s").item() for cut in cut_times(ratings.times, spec)]
    return ls.split_global_time(data, cuts, filter_test_users=True)


def pairs_of(frame, ratings):
    users = np.searchsorted(ratings.user_ids, frame["user_id"])
    items = np.searchsorted(ratings.item_ids, frame["item_id"])
    return sorted(zip(users.tolist(), items.tolist(), strict=True))


def check_method(ratings, spec):
    parts = 0
    for part, theirs in enumerate(lenskit_splits(ratings, spec)):
        split = load_split(ratings, spec, part)
        held = [row[:2] for row in triples(split, split.heldout)]
        train = [row[:2] for row in triples(split, split.train)]
        assert held == pairs_of(theirs.test.to_df(), ratings)
        assert train == pairs_of(theirs.train.interactions().pandas(ids=True), ratings)
        parts += 1
    assert parts == spec.parts


@pytest.mark.parametrize("spec", ALL, ids=str)
def test_every_method_equals_lenskits(spec):
    # Every time is different and every user is there from early on: what is not followed is below.
    rng = np.random.default_rng(5)
    ratings = ratings_of(rng.integers(12, 40, size=64).tolist())
    object.__setattr__(ratings, "times", rng.permutation(len(ratings.users)) + 10**9)
    check_method(ratings, spec)


@pytest.mark.data
def test_crossfolds_of_real_data_equal_lenskits(monkeypatch):
    from test_data_real import CHECKOUT

    from recsearch.data import DATASETS, fetch

    monkeypatch.setenv("RECSEARCH_DATA", "")
    monkeypatch.setattr(fetch, "PROJECT", CHECKOUT)
    if fetch.locate(DATASETS["ml100k"].archive) is None:
        pytest.skip("ml100k is not on this machine (see RECSEARCH_DATA)")
    ratings = load_dataset("ml100k", allow_download=False)
    assert load_split(ratings).split_id == (
        "6f28df4b8c39fb2ec61cc31b369d6c7bfaf21eb74a27b4e77fc31892ea44c54a"
    )
    ratings = prepare(ratings, parse_steps([{"sample": {"users": 150}}]))  # LensKit takes its time
    for spec in (RECORDS, TIME):
        check_method(ratings, spec)


def test_share_cuts_are_where_lenskits_quantiles_are():
    from pandas import Series, to_datetime

    times = load_dataset("demo").times
    series = Series(to_datetime(times, unit="s"))
    for share, cut in zip((0.8, 0.9), cut_times(times, TIME), strict=True):
        theirs = (series >= series.quantile(share)).to_numpy()
        np.testing.assert_array_equal(times >= cut, theirs)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(ALL), st.booleans(), st.integers(0, 99))
def test_sides_are_disjoint_and_every_measured_user_has_both(spec, isolate, seed):
    ratings = ratings_of([6, 9, 12, 15] * 16)
    object.__setattr__(ratings, "times", np.arange(len(ratings.users)) * 7919 % 1009)
    if spec.method != "global-time":
        isolate = isolate and spec.method != "crossfold-records"
        spec = SplitSpec(**{**vars(spec), "seed": seed, "isolate": isolate})
    else:
        isolate = False
    whole = set(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True))
    sides = []
    for part in range(spec.parts):
        split = load_split(ratings, spec, part)
        train = {row[:2] for row in triples(split, split.train)}
        held = {row[:2] for row in triples(split, split.heldout)}
        assert not train & held
        assert train | held <= whole
        assert split.left_out == len(whole) - len(train) - len(held)
        assert split.n_ratings == len(whole)
        assert {user for user, _ in held} <= {user for user, _ in train}
        assert {user for user, _ in held} == set(split.eval_users.tolist())
        assert np.all(np.diff(split.heldout.indptr) > 0)
        sides.append((train, held))
    for one, (train, held) in enumerate(sides):
        for two, (_, other) in enumerate(sides):
            assert one == two or not held & other
            assert not isolate or not train & other


def test_global_time_validates_before_it_tests():
    ratings = load_dataset("demo")
    first, second = cut_times(ratings.times, TIME)
    valid, test = (load_split(ratings, TIME, part) for part in (0, 1))
    assert valid.train.times.max() < first <= valid.heldout.times.min()
    assert valid.heldout.times.max() < second <= test.heldout.times.min()
    assert test.train.times.max() < second
    # Test trains on the train and the validation period, validation on nothing of the test period.
    assert len(test.train.items) == np.count_nonzero(ratings.times < second)


def test_cuts_by_date_are_utc():
    ratings = load_dataset("demo")
    spec = SplitSpec(method="global-time", cuts=("2002-01-01", 1_020_000_000))
    assert cut_times(ratings.times, spec) == (1_009_843_200, 1_020_000_000)
    assert load_split(ratings, spec, 0).method["cuts"] == ["2002-01-01", 1_020_000_000]


def test_users_without_training_ratings_are_counted_and_not_measured():
    ratings = ratings_of([10, 10, 10])  # user after user in time: only the first is known early
    split = load_split(ratings, SplitSpec(method="global-time", cuts=(1005, 1015)))
    assert split.eval_users.tolist() == [0]
    assert split.source.notes == (
        "split part 0: 1 of 2 users with held-out ratings have no training ratings and are not "
        "measured",
    )
    assert split.left_out == 30 - 5 - 5


def test_b7_users_without_heldout_ratings_are_not_measured_and_are_counted():
    ratings = ratings_of([2, 2, 20, 20, 20, 20])
    for pick in ("random", "last"):  # LensKit's LastFrac holds out all of a user's ratings here
        spec = SplitSpec(folds=2, holdout=0.2, pick=pick)
        parts = [load_split(ratings, spec, part) for part in (0, 1)]
        measured = sorted(np.concatenate([part.eval_users for part in parts]).tolist())
        assert measured == [2, 3, 4, 5]
        assert all(np.all(np.diff(part.heldout.indptr) == 4) for part in parts)
        (note,) = parts[0].source.notes
        assert note.startswith("split: 2 of 6 users have so few ratings that 0.2 of them")


def test_last_of_equal_times_are_the_higher_items():
    ratings = ratings_of([6] * 4)
    object.__setattr__(ratings, "times", np.zeros(24, dtype=np.int64))
    split = load_split(ratings, SplitSpec(folds=2, pick="last", holdout=2))
    for user, row in zip(split.eval_users, split.heldout.items.reshape(-1, 2), strict=True):
        assert row.tolist() == np.sort(ratings.items[ratings.users == user])[-2:].tolist()


@pytest.mark.parametrize("spec", [*ALL, SplitSpec(), SplitSpec(isolate=True)], ids=str)
def test_what_is_recorded_gives_the_same_split(spec):
    ratings = load_dataset("demo")
    split = load_split(ratings, spec, 1)
    recorded = {"split_id": "…", "part": 1, "eval_users": 3, **split.method}
    assert load_split(ratings, spec_of_table(recorded), 1).split_id == split.split_id


def test_only_what_plays_a_part_is_recorded():
    assert SplitSpec().table() == {
        "method": "crossfold-users", "folds": 5, "holdout": 5, "seed": 20260701,
    }  # fmt: skip
    assert TIME.table() == {"method": "global-time", "cuts": [0.8, 0.9]}
    assert RECORDS.table() == {"method": "crossfold-records", "folds": 4, "seed": 3}
    assert SplitSpec(pick="last").table()["pick"] == "last"


def test_split_ids_differ_by_every_parameter():
    ratings = load_dataset("demo")
    other = SplitSpec(method="global-time", cuts=(0.7, 0.9))
    specs = [SplitSpec(), SplitSpec(isolate=True), *ALL, other]
    ids = {load_split(ratings, spec).split_id for spec in specs}
    assert len(ids) == len(specs)


def test_the_default_split_of_demo_is_the_same_for_ever():
    split = load_split(load_dataset("demo"))
    assert split.split_id == "8a6af39170cda60b5dc76650da8110bb48586cac7436bfd0d27e64b6bc082a6f"


def test_b1_two_splits_of_equal_size_have_different_ids():
    ratings = load_dataset("demo")
    one, two = (load_split(ratings, SplitSpec(seed=seed)) for seed in (1, 2))
    assert len(one.train.items) == len(two.train.items)
    assert len(one.heldout.items) == len(two.heldout.items)
    assert one.dataset_id == two.dataset_id
    assert one.split_id != two.split_id


def test_b2_two_data_sets_of_equal_size_have_their_own_names_and_ids():
    one, two = (load_dataset(f"demo@{seed}") for seed in (1, 2))
    assert one.source.name != two.source.name
    first = load_dataset("demo@1")
    assert (first.source, first.dataset_id) == (one.source, one.dataset_id)
    same_size = ratings_of([9, 9, 9]), ratings_of([9, 9, 9], text=True)
    assert same_size[0].dataset_id != same_size[1].dataset_id


@pytest.mark.parametrize("holdout", [1, 2, 0.25, 0.5])
def test_b8_numbers_and_shares_of_ratings_both_work(holdout):
    split = load_split(ratings_of([8] * 6), SplitSpec(folds=3, holdout=holdout))
    taken = holdout if isinstance(holdout, int) else round(8 * holdout)
    assert np.all(np.diff(split.heldout.indptr) == taken)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (SplitSpec(holdout=1.5), "a share between 0 and 1"),
        (SplitSpec(pick="latest"), "no split pick 'latest'; the nearest is 'last'"),
        (SplitSpec(cuts=(0.5, 0.6)), "cuts plays no part in .* crossfold-users"),
        (SplitSpec(method="crossfold-records", isolate=True), "isolate plays no part"),
        (SplitSpec(method="global-time", seed=7), "seed plays no part"),
        (SplitSpec(method="global-time", cuts=(0.5,)), "needs two cuts"),
        (SplitSpec(method="global-time", cuts=(0.5, 1.5)), "a cut of global-time is 1.5"),
        (SplitSpec(method="global-time", cuts=("soon", 5)), "a cut of global-time is 'soon'"),
        (SplitSpec(method="sample-users"), "needs size"),
    ],
)
def test_wrong_parameters(spec, words):
    with pytest.raises(UsageError, match=words):
        load_split(load_dataset("demo"), spec)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            SplitSpec(method="global-time", cuts=(0.9, 0.8)),
            "the second cut must be after the first",
        ),
        (SplitSpec(method="global-time", cuts=(1, 2)), "has no training ratings"),
        (SplitSpec(method="sample-users", size=200), "5 samples of 200 of 600 users"),
        (SplitSpec(holdout=0.99), "so few ratings"),
    ],
)
def test_splits_that_the_data_cannot_have(spec, words):
    with pytest.raises(DataError, match=words):
        load_split(load_dataset("demo"), spec)


@pytest.mark.parametrize("spec", [LAST, TIME])
def test_times_are_needed(spec):
    with pytest.raises(DataError, match="needs times, and the ratings have none"):
        load_split(ratings_of([9] * 9, times=False), spec)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.75, 0.9, 0.95])
def test_the_number_of_ratings_that_is_advised_is_enough(share):
    least = _least(share)
    assert all(np.rint(n * share) < n for n in range(least, least + 200))
    assert np.rint((least - 1) * share) == least - 1


def test_only_users_who_were_dealt_are_counted_as_unmeasured():
    ratings = ratings_of([3] * 40 + [60] * 10)
    spec = SplitSpec(method="sample-users", size=4, folds=5, holdout=0.1)
    (note,) = load_split(ratings, spec).source.notes[-1:]
    assert "of 20 users" in note

"""Steps are pure, their results are small data sets of their own, and ids follow the content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data import Ratings, load_dataset, parse_steps, table_of
from recsearch.data.assemble import Columns, assemble
from recsearch.data.prepare import parse_step, prepare
from recsearch.data.types import Source
from recsearch.errors import DataError, UsageError

SOURCE = Source("test", "Test", "test.csv", None, None, generated=False)
ARRAYS = ("user_ids", "item_ids", "users", "items", "values", "times")


def made(rows, known=None):
    users, items, values, times = (np.array(column) for column in zip(*rows, strict=True))
    return assemble(
        SOURCE, Columns(users, items, values.astype(float), times, known), limits=None, where=str
    )


def rows_of(ratings):
    return list(
        zip(
            ratings.user_ids[ratings.users].tolist(),
            ratings.item_ids[ratings.items].tolist(),
            ratings.values.tolist(),
            ratings.times.tolist(),
            strict=True,
        )
    )


@st.composite
def ratings(draw):
    pairs = draw(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, unique=True))
    cells = st.tuples(st.sampled_from([1, 2, 3, 4.5, 5]), st.integers(0, 9))
    found = draw(st.lists(cells, min_size=len(pairs), max_size=len(pairs)))
    return made([(u, i, v, t) for (u, i), (v, t) in zip(pairs, found, strict=True)], np.arange(9))


STEPS = st.sampled_from(
    [
        {"implicit": 3},
        {"rating": {"min": 2}},
        {"rating": {"min": 2, "max": 4.5}},
        {"time": {"since": 3}},
        {"time": {"since": 2, "until": 8}},
        {"minimum": {"users": 2}},
        {"minimum": 2},
        {"core": 2},
        {"core": {"users": 2, "items": 3}},
        {"sample": {"users": 0.5}},
        {"sample": {"ratings": 0.5, "seed": 3}},
    ]
)


@settings(deadline=None)
@given(ratings(), STEPS)
def test_b8_preparing_never_changes_its_input(whole: Ratings, table):
    before = {name: getattr(whole, name).copy() for name in ARRAYS}
    (step,) = parse_steps([table])
    try:
        left = prepare(whole, (step,))
    except DataError as error:
        assert "leaves nothing of" in str(error)
        left = None
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(whole, name), array)
        assert getattr(whole, name).dtype == array.dtype
    if left is None:
        return
    assert {row[:2] for row in rows_of(left)} <= {row[:2] for row in rows_of(whole)}
    assert np.array_equal(np.unique(left.users), np.arange(left.n_users))
    assert np.array_equal(np.unique(left.items), np.arange(left.n_items))
    assert rows_of(left) == sorted(rows_of(left))
    again = prepare(whole, (step,))
    assert again.dataset_id == left.dataset_id
    same = rows_of(left) == rows_of(whole) and left.n_items == whole.n_items
    assert (left.dataset_id == whole.dataset_id) == same


@settings(deadline=None)
@given(ratings(), st.integers(1, 4), st.integers(2, 4))
def test_core_is_a_fixed_point_and_the_largest_one(whole, users, items):
    (step,) = parse_steps([{"core": {"users": users, "items": items}}])
    # By hand, one offender at a time: the k-core does not depend on the order of removal.
    rows = rows_of(whole)
    while rows:
        counts = {("u", u): sum(r[0] == u for r in rows) for u, *_ in rows}
        counts |= {("i", r[1]): sum(q[1] == r[1] for q in rows) for r in rows}
        bad = [key for key, n in counts.items() if n < (users if key[0] == "u" else items)]
        if not bad:
            break
        side = 0 if bad[0][0] == "u" else 1
        rows = [row for row in rows if row[side] != bad[0][1]]
    if not rows:
        with pytest.raises(DataError, match="leaves nothing"):
            prepare(whole, (step,))
        return
    core = prepare(whole, (step,))
    assert rows_of(core) == rows
    assert prepare(core, (step,)).dataset_id == core.dataset_id


ROWS = [
    (1, 10, 5, 100), (1, 20, 3, 200), (1, 30, 4, 300), (2, 10, 2, 86400), (2, 20, 4, 90000),
    (3, 30, 1, 400),
]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ({"implicit": 4}, [(1, 10, 1, 100), (1, 30, 1, 300), (2, 20, 1, 90000)]),
        ({"rating": {"min": 2, "max": 3}}, [(1, 20, 3, 200), (2, 10, 2, 86400)]),
        ({"time": {"since": "1970-01-02"}}, [(2, 10, 2, 86400), (2, 20, 4, 90000)]),
        ({"time": {"since": 200, "until": 300}}, [(1, 20, 3, 200)]),
        ({"time": {"since": "1970-01-02T02:00:00+01:00"}}, [(2, 20, 4, 90000)]),
        ({"minimum": {"users": 2}}, ROWS[:5]),
        ({"minimum": {"items": 2}}, ROWS),
        ({"minimum": {"users": 3, "items": 2}}, ROWS[:3]),
        ({"core": 2}, [ROWS[0], ROWS[1], ROWS[3], ROWS[4]]),
    ],
)
def test_steps_by_hand(step, kept):
    assert rows_of(prepare(made(ROWS), parse_steps([step]))) == kept


def test_steps_are_applied_in_their_order():
    first = parse_steps([{"implicit": 4}, {"minimum": {"users": 2}}])
    second = parse_steps([{"minimum": {"users": 2}}, {"implicit": 4}])
    assert [row[0] for row in rows_of(prepare(made(ROWS), first))] == [1, 1]
    assert [row[0] for row in rows_of(prepare(made(ROWS), second))] == [1, 1, 2]


def test_samples_have_their_size_and_their_seed():
    demo = load_dataset("demo")

    def sample(**table):
        return prepare(demo, parse_steps([{"sample": table}]))

    assert sample(users=100).n_users == 100
    assert sample(users=0.25).n_users == 150
    assert len(sample(ratings=1000).values) == 1000
    assert len(sample(ratings=0.5).values) == round(len(demo.values) / 2)
    assert sample(users=100).dataset_id == sample(users=100, seed=0).dataset_id
    assert len({sample(users=100, seed=seed).dataset_id for seed in range(4)}) == 4
    whole = set(np.bincount(demo.users)[np.isin(demo.user_ids, sample(users=5).user_ids)])
    assert set(np.bincount(sample(users=5).users)) == whole
    with pytest.raises(DataError, match="there are 600 users"):
        sample(users=601)


def test_ids_change_with_the_parameters_that_change_a_row():
    demo = load_dataset("demo")
    tables = [[], [{"implicit": 4}], [{"implicit": 5}], [{"core": 20}], [{"core": 25}],
              [{"rating": {"max": 4}}], [{"implicit": 4}, {"core": 9}]]  # fmt: skip
    ids = [prepare(demo, parse_steps(table)).dataset_id for table in tables]
    assert len(set(ids)) == len(ids)


def test_the_source_says_what_was_done():
    source = prepare(made(ROWS), parse_steps([{"implicit": 4}, {"core": 2}][:1])).source
    assert (source.name, source.title) == ("test", "Test, prepared: implicit (at_least 4)")
    assert source.notes == (
        "prepared by implicit (at_least 4): 2 of 3 users, 3 items, 3 of 6 ratings",
    )
    assert prepare(made(ROWS), ()).source == SOURCE


def test_times_are_needed_where_they_count():
    timeless = replace(made(ROWS), times=None)
    with pytest.raises(DataError, match="needs times, there are none"):
        prepare(timeless, parse_steps([{"time": {"since": 1}}]))


@pytest.mark.parametrize("table", [{"implicit": 4}, {"core": 5}, {"sample": {"users": 0.5}},
                                   {"time": {"since": "2000-01-01"}}])  # fmt: skip
def test_tables_of_steps_give_the_same_steps(table):
    (step,) = parse_steps([table])
    assert parse_steps([table_of(step)]) == (step,)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cor", 5, "no step 'cor'.*did you mean core"),
        ("core", 0, "whole numbers of which one is 2 or more"),
        ("core", 2.5, "whole numbers"),
        ("core", {"user": 5}, "core.user: is no key of the step, expected users, items"),
        ("minimum", 1, "one is 2 or more"),
        ("implicit", "four", "expected at_least, a number"),
        ("implicit", {}, "implicit.at_least is missing"),
        ("rating", {}, "expected min or max"),
        ("rating", {"min": 5, "max": 1}, "min no greater than max"),
        ("rating", 3, "expected a table of min, max"),
        ("time", {"since": "yesterday"}, "since, an ISO date or whole seconds"),
        ("sample", {}, "users or ratings"),
        ("sample", {"users": 1.5}, "a share between 0 and 1"),
        ("sample", {"users": 5, "ratings": 5}, "users or ratings"),
        ("sample", {"users": 5, "seed": -1}, "seed >= 0"),
    ],
)
def test_wrong_steps(name, value, words):
    with pytest.raises(UsageError, match=words):
        parse_step(name, value)


def test_each_step_is_one_name():
    with pytest.raises(UsageError, match=r"step 2 is .*expected one name"):
        parse_steps([{"core": 5}, {"core": 5, "implicit": 4}])


def test_a_threshold_beyond_all_floats_is_refused():
    with pytest.raises(UsageError, match="a number"):
        parse_steps([{"implicit": 10**400}])

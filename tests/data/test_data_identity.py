"""dataset_id is a function of the content alone, and of all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data.assemble import Columns, assemble
from recsearch.data.types import Source
from recsearch.errors import DataError

SOURCE = Source("test", "Test", "test.csv", None, None, generated=False)


def where(row):
    return f"line {row + 1}"


def made(columns, source=SOURCE):
    return assemble(source, columns, limits=None, where=where)


NUMBERS = st.integers(-5, 5)


@st.composite
def columns(draw, ids=NUMBERS):
    pairs = draw(st.lists(st.tuples(ids, ids), min_size=1, max_size=30, unique=True))
    n = len(pairs)
    stars = draw(st.lists(st.sampled_from([0.5, 1, 3, 5]), min_size=n, max_size=n))
    times = draw(st.none() | st.lists(st.integers(0, 2**40), min_size=n, max_size=n))
    known = draw(st.none() | st.lists(ids, unique=True, max_size=12))
    kind = np.str_ if pairs and isinstance(pairs[0][0], str) else np.int64
    return Columns(
        users=np.array([u for u, _ in pairs], dtype=kind),
        items=np.array([i for _, i in pairs], dtype=kind),
        values=np.array(stars, dtype=np.float64),
        times=None if times is None else np.array(times, dtype=np.int64),
        known_items=None if known is None else np.array(known, dtype=kind),
    )


def reordered(cols, order):
    times = None if cols.times is None else cols.times[order]
    known = None if cols.known_items is None else cols.known_items[::-1]
    return Columns(cols.users[order], cols.items[order], cols.values[order], times, known)


words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFFF, codec="utf-8"), min_size=1)


@settings(deadline=None)
@given(columns() | columns(words), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(cols, random):
    order = list(range(len(cols.users)))
    random.shuffle(order)
    one, two = made(cols), made(reordered(cols, order), replace(SOURCE, name="other"))
    assert one.dataset_id == two.dataset_id
    np.testing.assert_array_equal(one.users, two.users)
    np.testing.assert_array_equal(one.items, two.items)
    np.testing.assert_array_equal(one.values, two.values)


@settings(deadline=None)
@given(columns() | columns(words))
def test_invariants_of_ratings(cols):
    ratings = made(cols)
    keys = ratings.users.astype(np.int64) * ratings.n_items + ratings.items
    assert np.all(np.diff(keys) > 0)
    assert np.all(ratings.user_ids[:-1] < ratings.user_ids[1:])
    assert np.all(ratings.item_ids[:-1] < ratings.item_ids[1:])
    assert set(ratings.users) == set(range(ratings.n_users))
    known = set() if cols.known_items is None else set(cols.known_items.tolist())
    assert set(ratings.item_ids.tolist()) == set(cols.items.tolist()) | known
    rows = zip(
        ratings.user_ids[ratings.users].tolist(),
        ratings.item_ids[ratings.items].tolist(),
        ratings.values.tolist(),
        strict=True,
    )
    assert sorted(rows) == sorted(
        zip(cols.users.tolist(), cols.items.tolist(), cols.values.tolist(), strict=True)
    )


@settings(deadline=None)
@given(columns(), st.data())
def test_every_change_of_content_changes_it(cols, data):
    before = made(cols).dataset_id
    row = data.draw(st.integers(0, len(cols.users) - 1))

    def but(**change):
        copy = {name: None if a is None else a.copy() for name, a in vars(cols).items()}
        for name, value in change.items():
            copy[name][row] = value
        return Columns(**copy)

    changes = [but(values=2.0), but(users=1000), but(items=1000)]
    known = np.union1d(cols.items, [] if cols.known_items is None else cols.known_items)
    changes.append(replace(cols, known_items=np.append(known, 1000).astype(np.int64)))
    if cols.times is None:
        changes.append(replace(cols, times=np.zeros(len(cols.users), dtype=np.int64)))
    else:
        changes += [but(times=-1), replace(cols, times=None)]
    changes.append(replace(cols, users=cols.users.astype(str)))
    ids = [made(change).dataset_id for change in changes]
    assert len({before, *ids}) == len(ids) + 1


def test_it_is_the_same_everywhere_and_for_ever():
    cols = Columns(
        users=np.array([7, 3]), items=np.array([10, 20]), values=np.array([4.0, 0.5]),
        times=np.array([1, 2]), known_items=np.array([30, 20, 10]),
    )  # fmt: skip
    assert made(cols).dataset_id == (
        "12d46c1876e4183cc774b66d233f79b7047e9bfc9eaaa14cd89f82bf396504da"
    )
    text = Columns(np.array(["ß", "a"]), np.array(["x", "x"]), np.array([1.0, 2.0]), None)
    expected = "67575faf53933b2cc2a1facd569bf0407d88f07f9c82253ed9afc540ae3961e9"
    assert made(text).dataset_id == expected


def test_neighbouring_text_ids_do_not_run_together():
    one = Columns(np.array(["ab", "c"]), np.array(["x", "x"]), np.ones(2), None)
    two = Columns(np.array(["a", "bc"]), np.array(["x", "x"]), np.ones(2), None)
    assert made(one).dataset_id != made(two).dataset_id


@settings(deadline=None)
@given(columns(), st.data())
def test_a_repeated_pair_names_both_rows(cols, data):
    n = len(cols.users)
    row = data.draw(st.integers(0, n - 1))
    order = [*range(n), row]
    with pytest.raises(DataError) as caught:
        made(reordered(cols, order))
    assert caught.value.message.startswith(f"line {n + 1}: user {cols.users[row]}, item ")
    assert f"already rated in line {row + 1};" in caught.value.message


def test_titles_follow_their_items():
    cols = Columns(
        np.array([1, 1]), np.array([50, 20]), np.ones(2), None,
        known_items=np.array([30, 20, 10]), titles=np.array(["thirty", "twenty", "ten"]),
    )  # fmt: skip
    ratings = made(cols)
    assert ratings.item_ids.tolist() == [10, 20, 30, 50]
    assert ratings.titles.tolist() == ["ten", "twenty", "thirty", ""]

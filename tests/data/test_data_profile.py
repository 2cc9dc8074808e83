"""The profile of a data set: known answers, and what holds for all."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsearch.data import SplitSpec, load_split, profile
from recsearch.data.assemble import Columns, assemble
from recsearch.data.profile import POINTS, VALUES, concentration, data_profile, histogram
from recsearch.data.types import Source

SOURCE = Source("test", "Test", "test.csv", None, None, generated=False)


def ratings(pairs, values=None, times=None, known=None):
    users, items = (np.array(column) for column in zip(*pairs, strict=True))
    values = np.array(values if values is not None else [1.0] * len(pairs))
    seconds = None if times is None else np.array(times)
    known_items = None if known is None else np.array(known)
    return assemble(
        SOURCE, Columns(users, items, values, seconds, known_items), limits=None, where=str
    )


def test_examples_in_docstrings():
    result = doctest.testmod(profile)
    assert result.attempted > 0
    assert result.failed == 0


def test_counts_by_hand():
    """Items 1, 2, 3 have 3, 2 and 1 ratings, item 4 none; users have 3, 2 and 1."""
    found = data_profile(
        ratings(
            [(7, 1), (7, 2), (7, 3), (8, 1), (8, 2), (9, 1)],
            [5, 4, 4, 3, 4, 0.1],
            times=[0, 10, 20, 30, 86400, 40],
            known=[1, 2, 3, 4],
        )
    )
    assert (found["n_users"], found["n_items"], found["n_ratings"]) == (3, 4, 6)
    assert found["density"] == 0.5
    assert (found["first"], found["last"]) == ("1970-01-01T00:00:00", "1970-01-02T00:00:00")
    assert found["histogram"] == [
        {"low": 0.1, "high": 0.1, "ratings": 1},
        {"low": 3.0, "high": 3.0, "ratings": 1},
        {"low": 4.0, "high": 4.0, "ratings": 3},
        {"low": 5.0, "high": 5.0, "ratings": 1},
    ]
    assert found["items"] == {
        "number": 3, "least": 1, "median": 2.0, "mean": 2.0, "most": 3,
        # (2 * (1*1 + 2*2 + 3*3)) / (3 * 6) - 4/3
        "gini": pytest.approx(28 / 18 - 4 / 3),
        "lorenz": [[0.0, 0.0], [1 / 3, 1 / 6], [2 / 3, 0.5], [1.0, 1.0]],
        "ranks": [[1, 3], [2, 2], [3, 1]],
    }  # fmt: skip
    assert found["users"] == found["items"]


def test_ratings_without_times_have_no_time_span():
    found = data_profile(ratings([(1, 1), (2, 1)]))
    assert (found["first"], found["last"]) == (None, None)
    assert found["users"]["gini"] == 0.0


def test_parts_count_what_training_does_not_know():
    """Each user's third rating is held out: items 20 and 21 are then in no training rating."""
    pairs = [(1, 10), (1, 11), (1, 20), (2, 10), (2, 11), (2, 21), (3, 11), (3, 12), (3, 10)]
    whole = ratings([*pairs, (3, 13)], times=[0, 1, 2, 0, 1, 2, 0, 1, 2, 9])
    split = load_split(whole, SplitSpec(method="global-time", cuts=(2, 9)))
    (part,) = data_profile(whole, (split,))["parts"]
    assert part == {
        "split_id": split.split_id, "part": 0, "eval_users": 3, "heldout_ratings": 3,
        "train_ratings": 6, "left_out_ratings": 1, "heldout_items": 3, "unknown_items": 2,
        "unknown_ratings": 2,
    }  # fmt: skip


def test_equal_ratings_give_equal_text_whatever_their_source():
    whole = ratings([(1, 1), (1, 2), (2, 1)], [3, 4, 5], times=[5, 6, 7])
    other = replace(whole, source=replace(SOURCE, title="another"))
    assert json.dumps(data_profile(whole)) == json.dumps(data_profile(other))


COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=400).filter(any)


@given(COUNTS)
def test_curves_are_monotone_and_end_where_they_must(counts):
    found = concentration(np.array(counts))
    lorenz, ranks = found["lorenz"], found["ranks"]
    assert lorenz[0] == [0.0, 0.0]
    assert lorenz[-1] == [1.0, 1.0]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(lorenz))
    assert all(y <= x + 1e-12 for x, y in lorenz), "the least rated have no more than their share"
    assert ranks[0] == [1, max(counts)]
    assert ranks[-1] == [found["number"], found["least"]]
    assert all(a[0] < b[0] and a[1] >= b[1] for a, b in pairwise(ranks))
    assert max(len(lorenz), len(ranks)) <= POINTS
    assert -1e-12 <= found["gini"] < 1
    json.dumps(found, allow_nan=False)


@given(COUNTS)
def test_gini_is_twice_the_area_between_the_diagonal_and_the_curve(counts):
    positive = [count for count in counts if count][: POINTS - 1]
    if not positive:
        return
    found = concentration(np.array(positive))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(found["lorenz"]))
    assert found["gini"] == pytest.approx(1 - 2 * area, abs=1e-9)


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=200))
def test_a_histogram_counts_every_rating_once(values):
    found = histogram(np.array(values, dtype=np.float32))
    assert sum(row["ratings"] for row in found) == len(values)
    assert len(found) <= VALUES
    assert all(row["low"] <= row["high"] for row in found)
    assert all(a["high"] <= b["low"] for a, b in pairwise(found))

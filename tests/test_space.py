"""Spaces: conditions, nesting, sizes, grids."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import DOMAINS

from recsearch.errors import UsageError
from recsearch.space import Bool, Choice, DomainError, Float, Int, Space, space_from_tables

LOSSES = Space(
    {
        "size": Int(4, 512, "log"),
        "loss": Choice(("warp", "bpr", "logistic")),
        "negatives": Int(1, 5, when=(("loss", ("warp", "bpr")),)),
        "weight": Float(1, 10, when=(("negatives", (5,)),)),
        "reg.user": Float(1e-5, 1, "log"),
    }
)


@given(st.integers(0, 2**32))
def test_samples_of_a_conditional_space_are_valid(seed):
    params = LOSSES.sample(np.random.default_rng(seed))
    LOSSES.validate(params)
    assert ("negatives" in params) == (params["loss"] != "logistic")
    assert ("weight" in params) == (params.get("negatives") == 5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 4, "loss": "logistic"}, "reg.user has no value"),
        ({"size": 3, "loss": "logistic", "reg.user": 1.0}, "size = 3: expected log-uniform"),
        ({"size": 4, "loss": "logistic", "reg.usr": 1.0}, "did you mean reg.user?"),
        ({"size": 4, "loss": "warp", "reg.user": 1.0}, "negatives has no value"),
        (
            {"size": 4, "loss": "logistic", "negatives": 1, "reg.user": 1.0},
            "negatives takes no part",
        ),
    ],
)
def test_invalid_points_name_the_parameter(params, message):
    assert not LOSSES.contains(params)
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        LOSSES.validate(params)


def test_nest_and_merge():
    space = Space({"damping.user": Float(0, 1), "damping.item": Float(0, 1), "k": Int(1, 9)})
    params = {"damping.user": 0.5, "damping.item": 0.25, "k": 2}
    assert space.nest(params) == {"damping": {"user": 0.5, "item": 0.25}, "k": 2}
    fixed = {"damping": 5, "k": 7, "feedback": {"kind": "explicit"}}
    merged = space.merge(fixed, params)
    assert merged == {**space.nest(params), "feedback": {"kind": "explicit"}}
    assert fixed["damping"] == 5
    merged["feedback"]["kind"] = "implicit"
    assert fixed["feedback"]["kind"] == "explicit"


def test_merge_keeps_the_siblings_of_a_searched_parameter():
    space = Space({"damping.user": Float(0, 1)})
    fixed = {"damping": {"user": 3, "item": 4}}
    assert space.merge(fixed, {"damping.user": 0.5}) == {"damping": {"user": 0.5, "item": 4}}
    assert fixed["damping"]["user"] == 3


def test_sizes():
    assert Space({}).size == 1
    assert Space({}).points() == [{}]
    assert Space({"a": Int(1, 3), "b": Bool()}).size == 6
    assert Space({"a": Int(1, 3), "b": Float(0, 1)}).size is None
    assert Space({"a": Int(1, 10**6), "b": Bool()}).size == 2 * 10**6
    conditional = {"loss": Choice(("w", "l")), "n": Int(1, 5, when=(("loss", ("w",)),))}
    assert Space(conditional).size == 6


def test_grid_is_the_product_with_the_last_parameter_fastest():
    space = Space({"a": Int(1, 2), "b": Bool(when=(("a", (2,)),)), "c": Choice(("x", "y"))})
    assert space.grid() == [
        {"a": 1, "c": "x"},
        {"a": 1, "c": "y"},
        {"a": 2, "b": False, "c": "x"},
        {"a": 2, "b": False, "c": "y"},
        {"a": 2, "b": True, "c": "x"},
        {"a": 2, "b": True, "c": "y"},
    ]


def test_a_grid_too_large_to_list_is_refused():
    space = Space({f"p{i}": Float(0, 1, points=10) for i in range(6)})
    with pytest.raises(UsageError, match="1000000 points"):
        space.grid()


@pytest.mark.parametrize(
    ("domains", "key"),
    [
        ({"a": Int(1, 2), "a.b": Int(1, 2)}, "a"),
        ({"a..b": Int(1, 2)}, "a..b"),
        ({"a": Int(1, 2, when=(("b", (1,)),))}, "a.when.b"),
        ({"a": Int(1, 2, when=(("b", (7,)),)), "b": Int(1, 2)}, "a.when.b"),
        ({"a": Int(1, 2, when=(("b", ()),)), "b": Int(1, 2)}, "a.when.b"),
        ({"a": Int(1, 2, when=(("a", (1,)),))}, "a.when"),
        (
            {"a": Int(1, 2, when=(("b", (1,)),)), "b": Int(1, 2, when=(("a", (1,)),))},
            "a.when",
        ),
    ],
)
def test_impossible_spaces_name_the_key(domains, key):
    with pytest.raises(DomainError) as caught:
        Space(domains)
    assert caught.value.key == key


@given(st.dictionaries(st.sampled_from("abcdef"), DOMAINS, max_size=5))
def test_space_tables_round_trip_through_json(domains):
    space = Space(domains)
    again = space_from_tables(json.loads(json.dumps(space.tables())))
    assert again == space
    assert list(again) == list(space)

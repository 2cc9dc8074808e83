"""Domains: bounds, distributions, grid values, words."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import CHOICES, DOMAINS, UNIT, floats, ints

from recsearch.space import (
    Bool,
    Choice,
    DomainError,
    Float,
    Int,
    domain_from_table,
)


@given(DOMAINS, UNIT)
def test_every_point_of_the_unit_interval_is_a_member(domain, unit):
    assert domain.contains(domain.from_unit(unit))


@given(DOMAINS, st.integers(0, 2**32))
def test_sampled_values_are_members_and_survive_json(domain, seed):
    value = domain.sample(np.random.default_rng(seed))
    assert domain.contains(value)
    assert type(json.loads(json.dumps(value))) is type(value)
    assert json.loads(json.dumps(value)) == value


@given(st.one_of(ints(), st.just(Bool()), CHOICES.map(lambda c: Choice(tuple(c)))), UNIT)
def test_discrete_values_go_to_the_unit_interval_and_back(domain, unit):
    value = domain.from_unit(unit)
    back = domain.from_unit(domain.to_unit(value))
    assert (type(back), back) == (type(value), value)


@given(floats(), UNIT)
def test_floats_go_to_the_unit_interval_and_back(domain, unit):
    value = domain.from_unit(unit)
    back = domain.from_unit(domain.to_unit(value))
    if domain.size is not None:
        assert back == value
    else:
        assert back == pytest.approx(value, rel=1e-9, abs=1e-9 * (domain.high - domain.low))


@given(DOMAINS)
def test_both_ends_of_the_unit_interval_are_the_bounds(domain):
    if isinstance(domain, Choice):
        assert domain.extremes() == domain.choices
    elif domain.step is None:
        assert (domain.from_unit(0.0), domain.from_unit(1.0)) == (domain.low, domain.high)
    else:
        assert domain.from_unit(0.0) == domain.low
        assert domain.high - domain.step < domain.from_unit(1.0) + 1e-9 * max(
            abs(domain.low), abs(domain.high)
        )


@given(DOMAINS)
def test_tables_round_trip_through_json(domain):
    assert domain_from_table(json.loads(json.dumps(domain.table()))) == domain


@given(DOMAINS)
def test_grid_values_are_distinct_members(domain):
    values = domain.grid_values()
    assert all(domain.contains(value) for value in values)
    assert len({(type(value), value) for value in values}) == len(values)


@given(DOMAINS, st.none() | st.text(max_size=3) | st.floats() | st.integers() | st.booleans())
def test_clipping_gives_a_member(domain, value):
    clipped = domain.clip(value)
    assert domain.contains(clipped)
    if domain.contains(value):
        assert clipped == value


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Int(4, 512, "log"), [4, 5, 512], [3, 513, 4.0, True, "4", None]),
        (Int(1, 10, step=3), [1, 4, 7, 10], [2, 11]),
        (Int(1, 9, step=3), [1, 4, 7], [9, 10]),
        (Int(8, 64, "pow2"), [8, 16, 32, 64], [12, 4, 128]),
        (Float(0, 1, step=0.1), [0.0, 0.1, 0.3, 0.7, 1, 1.0], [0.05, 1.1]),
        (Float(1e-5, 1, "log"), [1e-5, 0.3, 1, 1.0], [0, 1.0000001, math.nan, True, "1"]),
        (Float(0.25, 4, "pow2"), [0.25, 0.5, 1, 4.0], [0.3, 8.0]),
        (Bool(), [True, False], [0, 1, "true"]),
        (Choice((1, "a", True)), [1, 1.0, "a", True], [False, "b", None]),
    ],
)
def test_membership(domain, inside, outside):
    assert all(domain.contains(value) for value in inside)
    assert not any(domain.contains(value) for value in outside)


def test_steps_are_exact_decimals():
    assert Float(0, 1, step=0.1).values() == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def test_log_integers_have_the_mass_of_their_cell():
    domain = Int(4, 8, "log")
    rng = np.random.default_rng(7)
    drawn = np.array([domain.sample(rng) for _ in range(20_000)])
    width = math.log(8.5 / 3.5)
    for value in range(4, 9):
        expected = math.log((value + 0.5) / (value - 0.5)) / width
        assert np.mean(drawn == value) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    "domain", [Int(1, 5), Int(10, 50, step=10), Int(2, 32, "pow2"), Choice(tuple("abcde"))]
)
def test_values_without_a_log_scale_are_equally_likely(domain):
    rng = np.random.default_rng(7)
    drawn = [domain.sample(rng) for _ in range(10_000)]
    for value in domain.values():
        assert drawn.count(value) / 10_000 == pytest.approx(0.2, abs=0.02)


def test_log_floats_are_uniform_in_the_logarithm():
    rng = np.random.default_rng(7)
    domain = Float(1e-4, 1, "log")
    drawn = np.array([domain.sample(rng) for _ in range(4000)])
    assert np.mean(drawn < 1e-2) == pytest.approx(0.5, abs=0.03)
    assert np.mean(drawn < 1e-3) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Int(1, 4), (1, 2, 3, 4)),
        (Int(4, 512, "log", points=3), (4, 45, 512)),
        (Int(8, 1024, "pow2", points=3), (8, 128, 1024)),
        (Float(0, 1, points=3), (0.0, 0.5, 1.0)),
        (Float(1e-4, 1, "log"), (1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
        (Float(0, 1, grid=(0.2, 0.9)), (0.2, 0.9)),
        (Choice(("a", "b")), ("a", "b")),
        (Bool(), (False, True)),
        (Int(3, 3), (3,)),
    ],
)
def test_grid_values(domain, values):
    found = domain.grid_values()
    assert found == (values if isinstance(domain, Choice) else pytest.approx(values, rel=1e-12))


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Int(4, 512, "log"), "log-uniform integer 4 … 512"),
        (Int(1, 5), "uniform integer 1 … 5"),
        (Int(0, 10, step=5), "uniform integer 0 … 10, step 5"),
        (Int(8, 1024, "pow2"), "integer 8 … 1024, powers of two"),
        (Float(1e-5, 1, "log"), "log-uniform float 1e-05 … 1"),
        (Float(2, 2), "constant float 2"),
        (Bool(), "true or false"),
        (Choice(("L2", 3)), "one of L2, 3"),
        (Int(1, 5, when=(("loss", ("warp",)),)), "uniform integer 1 … 5, when loss = warp"),
        (Bool(when=(("k", (1, 2)), ("b", (True,)))), "true or false, when k = 1 or 2 and b = true"),
    ],
)
def test_descriptions(domain, words):
    assert domain.describe() == words


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Int(5, 4), "min"),
        (lambda: Int(0, 4, "log"), "min"),
        (lambda: Float(-1, 4, "log"), "min"),
        (lambda: Float(math.nan, 4), "min"),
        (lambda: Float(0, math.inf), "max"),
        (lambda: Int(1, 4.5), "max"),
        (lambda: Int(1, True), "max"),
        (lambda: Int(1, 4, step=0), "step"),
        (lambda: Int(1, 4, step=1.5), "step"),
        (lambda: Float(1, 4, step=-0.1), "step"),
        (lambda: Float(1, 4, "log", step=0.1), "step"),
        (lambda: Int(3, 8, "pow2"), "min"),
        (lambda: Int(4, 9, "pow2"), "max"),
        (lambda: Int(1, 4, points=1), "points"),
        (lambda: Int(1, 4, grid=()), "grid"),
        (lambda: Int(1, 4, grid=(1, 5)), "grid"),
        (lambda: Int(1, 4, grid=(1, 1)), "grid"),
        (lambda: Choice(()), "choices"),
        (lambda: Choice(("a", "a")), "choices"),
        (lambda: Choice((1, 1.0)), "choices"),
    ],
)
def test_impossible_domains_name_the_key(make, key):
    with pytest.raises(DomainError) as caught:
        make()
    assert caught.value.key == key

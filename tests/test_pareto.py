"""Fronts by their definition, on every input: nothing on one is beaten, everything else is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsearch.evaluation import parse
from recsearch.pareto import dominates, front, layers, losses, trial_values

RMSE, NDCG = parse("RMSE"), parse("NDCG@10")
# Few distinct values: ties and duplicates are the rule.
NUMBERS = st.integers(-3, 3).map(float)
POINTS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[NUMBERS] * width), max_size=25)
)


def beats(one, other):
    """The definition, written the other way round."""
    return not any(a > b for a, b in zip(one, other, strict=True)) and any(
        a < b for a, b in zip(one, other, strict=True)
    )


@given(POINTS)
def test_no_point_of_the_front_is_dominated_and_every_other_point_is(points):
    kept = front(points)
    best = [points[k] for k in kept]
    assert not any(beats(a, b) for a in points for b in best)
    assert len(set(best)) == len(best), "of equal points one"
    for position, point in enumerate(points):
        if position not in kept:
            assert any(beats(a, point) for a in best) or point in points[:position]


@given(POINTS, st.randoms())
def test_the_front_does_not_depend_on_the_order(points, random):
    shuffled = random.sample(points, len(points))
    assert {points[k] for k in front(points)} == {shuffled[k] for k in front(shuffled)}


@given(POINTS)
def test_layers_are_the_fronts_of_what_is_left(points):
    found = layers(points)
    left, number = dict(enumerate(points)), 0
    while left:
        beaten = {k for k, p in left.items() if any(beats(other, p) for other in left.values())}
        assert {k for k in left if found[k] == number} == left.keys() - beaten
        left, number = {k: p for k, p in left.items() if k in beaten}, number + 1


@given(POINTS)
def test_dominance_is_a_strict_order(points):
    for a, b, c in itertools.product(points[:6], repeat=3):
        assert dominates(a, b) == beats(a, b)
        assert not (dominates(a, b) and dominates(b, a))
        assert dominates(a, c) or not (dominates(a, b) and dominates(b, c))


def test_each_objective_has_its_own_direction():
    assert losses({"RMSE": 0.9, "NDCG@10": 0.2}, (RMSE, NDCG)) == (0.9, -0.2)
    for value in (None, float("nan"), float("inf")):
        assert losses({"RMSE": 0.9, "NDCG@10": value}, (RMSE, NDCG)) is None
    assert losses({"RMSE": 0.9}, (RMSE, NDCG)) is None


def test_a_score_of_zero_is_a_value():
    assert losses({"RMSE": 0.0, "NDCG@10": 0.0}, (RMSE, NDCG)) == (0.0, 0.0)


def test_the_value_of_a_trial_by_hand():
    trials = [
        [(1.0, 4.0), (3.0, 3.5)],  # its first epoch is on the front
        [(2.0, 2.0)],  # on the front
        [(3.0, 3.0)],  # beaten by (2, 2) alone: second front
        [],  # no epoch
        [(4.0, 1.0), (5.0, 5.0)],  # the first is on the front
    ]
    # The pool: (1, 4), (3, 3.5) dominates nothing and is beaten by (2, 2), so within its own trial
    # it is no worse than (1, 4) by the second objective and stays in the pool.
    pool = [(1.0, 4.0), (3.0, 3.5), (2.0, 2.0), (3.0, 3.0), (4.0, 1.0)]
    assert layers(pool) == [0, 2, 0, 1, 0]
    values = trial_values(trials)
    assert values[0] == pytest.approx(0 + (0 / 5 + 4 / 5) / 2)
    assert values[1] == pytest.approx(0 + (1 / 5 + 1 / 5) / 2)
    assert values[2] == pytest.approx(1 + (2 / 5 + 2 / 5) / 2)
    assert values[3] is None
    assert values[4] == pytest.approx(0 + (4 / 5 + 0 / 5) / 2)


@given(st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4), max_size=10))
def test_values_order_trials_as_their_fronts_do(trials):
    values = trial_values(trials)
    assert [value is None for value in values] == [not points for points in trials]
    everything = [point for points in trials for point in points]
    best = {everything[k] for k in front(everything)}
    for points, value in zip(trials, values, strict=True):
        if value is not None:
            assert (value < 1) == bool(best & set(points)), "below 1: on the front"


@given(st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3), max_size=8))
def test_a_trial_that_dominates_another_has_the_lower_value(trials):
    values = trial_values(trials)
    for (one, a), (other, b) in itertools.permutations(zip(trials, values, strict=True), 2):
        if all(any(beats(p, q) for p in one) for q in other):
            assert a < b


def test_blocks_change_nothing(monkeypatch):
    points = [(float(k % 7), float(k * k % 11)) for k in range(50)]
    whole = layers(points)
    monkeypatch.setattr("recsearch.pareto.BLOCK", 1)
    assert layers(points) == whole

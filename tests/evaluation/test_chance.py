from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from eval_tools import make_split, simple, table
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.evaluation import chance, evaluate
from recsearch.evaluation.metrics import NEEDS_CUTOFF, RANKING

NAMES = tuple(base for base in RANKING if base not in NEEDS_CUTOFF) + tuple(
    f"{base}@{k}" for base in RANKING for k in (1, 2, 3, 5, 50)
)


def by_enumeration(total: int, relevant: int) -> dict[str, float]:
    """Mean over all equally likely sets of ranks that the relevant items can have."""
    values = []
    for places in combinations(range(total), relevant):
        # Item i is at rank i + 1, so moving the relevant items is moving their ranks.
        scores = table(-np.arange(total, dtype=np.float32)[None, :])
        values.append(evaluate(scores, simple(places, total), NAMES))
    return {name: float(np.mean([value[name] for value in values])) for name in NAMES}


@pytest.mark.parametrize(
    ("total", "relevant"), [(1, 1), (2, 1), (2, 2), (5, 1), (6, 3), (7, 5), (7, 7), (8, 2)]
)
def test_equals_the_mean_over_all_rankings(total: int, relevant: int) -> None:
    split = simple(range(relevant), total)
    assert chance(split, NAMES) == pytest.approx(by_enumeration(total, relevant), abs=1e-12)


def test_averages_over_users_with_their_own_candidates() -> None:
    train = [{0: 1.0, 1: 1.0}, {}, dict.fromkeys(range(5), 1.0)]
    heldout = {0: {2: 1.0}, 1: dict.fromkeys((0, 3, 5), 1.0), 2: {5: 1.0}}
    parts = [by_enumeration(4, 1), by_enumeration(6, 3), by_enumeration(1, 1)]
    mean = {name: np.mean([part[name] for part in parts]) for name in NAMES}
    assert chance(make_split(6, train, heldout), NAMES) == pytest.approx(mean, abs=1e-12)


def test_held_out_items_that_are_no_candidates_cannot_be_found() -> None:
    split = make_split(4, [{0: 1.0}], {0: {0: 5.0, 1: 5.0}})
    found = chance(split, ["Recall@50", "NDCG@50", "MAP@50", "Hit@3", "Precision@3"])
    hidden = {**by_enumeration(3, 1)}
    assert found["Hit@3"] == 1.0
    assert found["Recall@50"] == pytest.approx(hidden["Recall@50"] / 2)
    assert found["MAP@50"] == pytest.approx(hidden["MAP@50"] / 2)
    assert found["Precision@3"] == pytest.approx(hidden["Precision@3"])


def test_users_without_candidates_score_zero() -> None:
    split = make_split(2, [{0: 1.0, 1: 1.0}], {0: {1: 5.0}})
    assert set(chance(split, NAMES).values()) == {0.0}


def test_rating_metrics_have_no_chance_value() -> None:
    assert set(chance(simple([1], 9), ["RMSE", "NDCG@3", "MAE-pooled"])) == {"NDCG@3"}


def test_documented_values_for_the_shape_of_movielens_1m() -> None:
    found = chance(simple(range(5), 3700), ["NDCG", "RBP", "RecipRank"])
    assert found["NDCG"] == pytest.approx(0.139, abs=5e-4)
    assert found["RBP"] == pytest.approx(5 / 3700)
    assert found["RBP"] == pytest.approx(0.0013, abs=6e-5)


@settings(deadline=None)
@given(st.integers(1, 400), st.data())
def test_a_cutoff_past_the_end_changes_nothing(total: int, data: st.DataObject) -> None:
    split = simple(range(data.draw(st.integers(1, total))), total)
    bases = [base for base in RANKING if base not in NEEDS_CUTOFF]
    full = chance(split, bases)
    cut = chance(split, [f"{base}@{total}" for base in bases])
    assert list(full.values()) == pytest.approx(list(cut.values()), abs=1e-12)
    assert all(0 <= full[base] <= 1 + 1e-12 for base in bases if base != "DCG")

"""Every metric on lists whose values were worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eval_tools import make_split, simple, table

from recsearch.evaluation import evaluate, per_user

LG3, LG4, LG6 = math.log2(3), 2.0, math.log2(6)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # Relevant items at ranks 1, 4 and 6 of 6.
        ("DCG", 1 + 1 / LG4 + 1 / LG6),
        ("NDCG", (1 + 1 / LG4 + 1 / LG6) / (1 + 1 + 1 / LG3)),
        ("NDCG@4", (1 + 1 / LG4) / (1 + 1 + 1 / LG3)),
        ("NDCG@2", 1 / 2),
        ("DCG@5", 1 + 1 / LG4),
        ("RBP", 0.15 * (1 + 0.85**3 + 0.85**5)),
        ("RBP@4", 0.15 * (1 + 0.85**3)),
        ("RecipRank", 1.0),
        ("Hit@1", 1.0),
        ("Precision@4", 2 / 4),
        ("Precision@10", 3 / 6),
        ("Recall@2", 1 / 2),
        ("Recall@4", 2 / 3),
        ("Recall@10", 1.0),
        ("MAP", (1 / 1 + 2 / 4 + 3 / 6) / 3),
        ("MAP@4", (1 / 1 + 2 / 4) / 3),
        ("MAP@2", (1 / 1) / 2),
    ],
)
def test_ranking_metrics(metric: str, expected: float) -> None:
    scores = table(np.array([[6.0, 5, 4, 3, 2, 1]]))
    assert evaluate(scores, simple([0, 3, 5], 6), [metric])[metric] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "expected"), [("RecipRank", 1 / 3), ("RecipRank@2", 0.0), ("RecipRank@3", 1 / 3)]
)
def test_reciprocal_rank_is_that_of_the_first_hit(metric: str, expected: float) -> None:
    scores = table(np.array([[1.0, 2, 3, 4, 5]]))
    assert evaluate(scores, simple([0, 2], 5), [metric])[metric] == pytest.approx(expected)


def test_ties_go_to_the_lower_item_number() -> None:
    scores = table(np.zeros((1, 9)))
    assert evaluate(scores, simple([4], 9), ["RecipRank"])["RecipRank"] == pytest.approx(1 / 5)


def test_training_items_are_no_candidates() -> None:
    split = make_split(5, [{0: 1.0, 1: 1.0, 2: 5.0}], {0: {3: 5.0}})
    scores = table(np.array([[9.0, 8, 7, 6, 5]]))
    assert evaluate(scores, split, ["RecipRank", "Precision@10"]) == {
        "RecipRank": 1.0,
        "Precision@10": 0.5,
    }


def test_users_that_cannot_be_scored_count_as_zero() -> None:
    split = make_split(4, [{}, {}], {0: {0: 5.0}, 1: {0: 5.0}})
    scores = table(np.array([[4.0, 3, 2, 1], [np.nan] * 4]))
    names = ["NDCG", "DCG", "RBP@3", "RecipRank", "Hit@3", "Precision@1", "Recall@3", "MAP"]
    values = per_user(scores, split, names)
    assert [values[name][1] for name in names] == [0.0] * len(names)
    assert [values[name][0] > 0 for name in names] == [True] * len(names)
    assert evaluate(scores, split, ["NDCG"])["NDCG"] == pytest.approx(0.5)


def test_negative_scores_are_scores() -> None:
    scores = table(np.array([[-9.0, -1, -5, np.nan]]))
    split = simple([1], 4)
    assert evaluate(scores, split, ["RecipRank", "Precision@10"]) == {
        "RecipRank": 1.0,
        "Precision@10": pytest.approx(1 / 3),
    }


def test_per_user_and_pooled_errors_differ() -> None:
    split = make_split(3, [{}, {}], {0: {0: 3.0}, 1: {0: 1.0, 1: 2.0, 2: 5.0}})
    scores = table(np.array([[5.0, 0, 0], [2.0, 2.0, 2.0]]))
    values = evaluate(scores, split, ["RMSE", "RMSE-pooled", "MAE", "MAE-pooled"])
    assert values["RMSE"] == pytest.approx((2 + math.sqrt(10 / 3)) / 2)
    assert values["RMSE-pooled"] == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 4))
    assert values["MAE"] == pytest.approx((2 + 4 / 3) / 2)
    assert values["MAE-pooled"] == pytest.approx((2 + 1 + 0 + 3) / 4)
    alone = per_user(scores, split, ["RMSE-pooled", "MAE"])
    assert alone["RMSE-pooled"] == pytest.approx([2, math.sqrt(10 / 3)])
    assert alone["MAE"] == pytest.approx([2, 4 / 3])

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsearch.errors import UsageError
from recsearch.evaluation import Metric, better, default_metrics, parse
from recsearch.evaluation.metrics import RANKING, RATING


@pytest.mark.parametrize(
    ("name", "kind", "direction", "k"),
    [
        ("RMSE", "rating", "min", None),
        ("RMSE-pooled", "rating", "min", None),
        ("MAE", "rating", "min", None),
        ("MAE-pooled", "rating", "min", None),
        ("NDCG", "ranking", "max", None),
        ("NDCG@10", "ranking", "max", 10),
        ("DCG@3", "ranking", "max", 3),
        ("RBP", "ranking", "max", None),
        ("RBP@20", "ranking", "max", 20),
        ("RecipRank", "ranking", "max", None),
        ("Hit@1", "ranking", "max", 1),
        ("Precision@10", "ranking", "max", 10),
        ("Recall@100", "ranking", "max", 100),
        ("MAP", "ranking", "max", None),
    ],
)
def test_known_names(name: str, kind: str, direction: str, k: int | None) -> None:
    metric = parse(name)
    assert (metric.name, metric.kind, metric.direction, metric.k) == (name, kind, direction, k)
    assert metric.base == name.partition("@")[0]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("ndcg@10", "NDCG@10"),
        ("NDGC@5", "NDCG@5"),
        ("NDCG10", "NDCG@10"),
        ("nDCG@010", "NDCG@10"),
        ("Hit10", "Hit@10"),
        ("hit", "Hit@10"),
        ("Recall", "Recall@10"),
        ("rmse", "RMSE"),
        ("RMSE@10", "RMSE"),
        ("rmse_pooled", "RMSE-pooled"),
        ("mae-pooled", "MAE-pooled"),
        ("MRR", "RecipRank"),
        ("MRR@5", "RecipRank@5"),
        ("recip_rank", "RecipRank"),
        ("AveragePrecision@7", "MAP@7"),
        ("precison@10", "Precision@10"),
        ("RBP@0", "RBP"),
    ],
)
def test_a_wrong_name_is_told_the_right_one(wrong: str, right: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(wrong)
    assert wrong in caught.value.message
    assert caught.value.hint is not None
    hint = caught.value.hint.rstrip("?.")
    assert hint.split()[-1] == right
    parse(right)


@pytest.mark.parametrize("name", ["", "@10", "accuracy", "NDCG@", "NDCG@-1", "NDCG@.5", "NDCG@1@2"])
def test_nonsense_is_refused_and_the_valid_names_are_listed(name: str) -> None:
    with pytest.raises(UsageError, match=r"NDCG\[@k\].*Hit@k"):
        parse(name)


@given(st.text(max_size=12))
def test_any_text_gives_a_metric_or_a_usage_error(name: str) -> None:
    try:
        assert parse(name).name == name
    except UsageError as err:
        assert err.exit_code == 2


def test_default_metrics_can_all_be_parsed() -> None:
    ranking = default_metrics(predicts_ratings=False)
    both = default_metrics(predicts_ratings=True)
    assert both == (*RATING, *ranking)
    assert {parse(name).base for name in ranking} < set(RANKING)


MIN, MAX = parse("RMSE"), parse("NDCG")


@pytest.mark.parametrize(
    ("metric", "a", "b", "expected"),
    [
        (MIN, 0.8, 0.9, True),
        (MIN, 0.9, 0.8, False),
        (MIN, 0.8, 0.8, False),
        (MIN, 0.0, 0.1, True),
        (MAX, 0.9, 0.8, True),
        (MAX, 0.8, 0.9, False),
        (MAX, 0.0, -0.1, True),
        (MAX, math.inf, 0.1, False),
        (MIN, -math.inf, 0.1, False),
        (MIN, math.nan, 0.1, False),
        (MIN, 0.1, math.nan, True),
        (MAX, 0.0, math.inf, True),
        (MAX, 0.0, math.nan, True),
        (MAX, math.nan, math.nan, False),
        (MIN, math.nan, math.inf, False),
    ],
)
def test_better(metric: Metric, a: float, b: float, expected: bool) -> None:
    assert better(metric, a, b) is expected


@given(st.floats(), st.floats())
def test_better_is_never_both_ways(a: float, b: float) -> None:
    for metric in (MIN, MAX):
        assert not (better(metric, a, b) and better(metric, b, a))


def test_names_load_no_heavy_library() -> None:
    script = (
        "import sys, recsearch.evaluation, recsearch.stopping, recsearch.pruning\n"
        "heavy = {'ray', 'torch', 'lenskit', 'matplotlib', 'pandas', 'scipy', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

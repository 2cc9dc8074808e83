from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import pytest
from eval_tools import make_split, problems, simple, table
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data import Split
from recsearch.errors import DataError, UsageError
from recsearch.evaluation import Scores, default_metrics, evaluate, per_user
from recsearch.evaluation.prepared import prepared

EVERYTHING = default_metrics(predicts_ratings=True)


class Watch:
    """Scores that remember what was asked of them."""

    def __init__(self, scores: Scores):
        self.scores = scores
        self.asked: list[tuple[int, int | None]] = []

    def __call__(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        self.asked.append((len(users), None if items is None else len(items)))
        return self.scores(users, items)


@settings(deadline=None)
@given(problems(), st.sampled_from([1, 40, 100, 1 << 26]))
def test_the_size_of_blocks_changes_nothing(
    problem: tuple[Split, np.ndarray], block_bytes: int
) -> None:
    split, matrix = problem
    fallback = table(np.full(matrix.shape, 2.0))
    one = evaluate(table(matrix), split, EVERYTHING, fallback=fallback)
    many = evaluate(table(matrix), split, EVERYTHING, fallback=fallback, block_bytes=block_bytes)
    assert list(one) == list(EVERYTHING)
    # Infinite scores make infinite errors, and those of both signs none.
    assert str(many) == str(one)


def crowd(n_users: int = 7, n_items: int = 10) -> Split:
    rng = np.random.default_rng(2)
    train = [dict.fromkeys(range(3), 3.0) for _ in range(n_users)]
    heldout = {
        user: {int(item): 4.0 for item in rng.permutation(np.arange(3, n_items))[: 1 + user % 3]}
        for user in range(n_users)
    }
    return make_split(n_items, train, heldout)


def test_everything_comes_from_one_pass() -> None:
    watch = Watch(table(np.random.default_rng(1).random((7, 10))))
    evaluate(watch, crowd(), EVERYTHING)
    assert watch.asked == [(7, None)]


def test_blocks_respect_the_memory_bound() -> None:
    watch = Watch(table(np.random.default_rng(1).random((7, 10))))
    evaluate(watch, crowd(), ["NDCG"], block_bytes=2 * 10 * 4)
    assert watch.asked == [(2, None), (2, None), (2, None), (1, None)]


def test_rating_metrics_alone_ask_for_held_out_items_only() -> None:
    split = crowd()
    watch = Watch(table(np.random.default_rng(1).random((7, 10))))
    evaluate(watch, split, ["RMSE", "MAE-pooled"])
    assert watch.asked == [(7, len(np.unique(split.heldout.items)))]


def test_rating_metrics_alone_take_few_users_at_a_time() -> None:
    watch = Watch(table(np.zeros((600, 10))))
    evaluate(watch, crowd(600), ["RMSE"])
    assert [users for users, _ in watch.asked] == [256, 256, 88]


def test_nothing_asked_nothing_scored() -> None:
    watch = Watch(table(np.zeros((7, 10))))
    assert evaluate(watch, crowd(), []) == {}
    assert watch.asked == []


def test_the_fallback_predicts_what_is_missing_and_ranks_nothing() -> None:
    split = make_split(3, [{}, {}], {0: {0: 5.0, 1: 3.0}, 1: {2: 1.0}})
    scores = table(np.array([[4.0, np.nan, np.nan], [np.nan, 2.0, 2.5]]))
    fallback = Watch(table(np.full((2, 3), 1.0)))
    found = per_user(scores, split, ["MAE", "Recall@3", "RBP"], fallback=fallback)
    assert found["MAE"] == pytest.approx([(1 + 2) / 2, 1.5])
    assert found["Recall@3"].tolist() == [0.5, 1.0]
    whole = table(np.array([[4.0, 2.0, 2.0], [1.0, 2.0, 2.5]]))
    unused = Watch(table(np.zeros((2, 3))))
    evaluate(whole, split, ["MAE"], fallback=unused)
    assert unused.asked == []


@pytest.mark.parametrize("fallback", [None, table(np.array([[3.0, np.nan]]))])
def test_ratings_without_a_prediction_are_an_error(fallback: Scores | None) -> None:
    scores = table(np.array([[np.nan, np.nan]]))
    with pytest.raises(UsageError, match=r"[12] of 2 held-out ratings have no prediction"):
        evaluate(scores, simple([0, 1], 2), ["RMSE"], fallback=fallback)
    assert evaluate(scores, simple([0, 1], 2), ["NDCG"]) == {"NDCG": 0.0}


def test_infinite_predictions_show_in_the_metric() -> None:
    assert evaluate(table(np.array([[np.inf]])), simple([0], 1), ["RMSE"])["RMSE"] == np.inf


def test_a_model_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(UsageError, match=r"shape \(1, 3\), not \(1, 4\)"):
        evaluate(table(np.zeros((1, 3))), simple([0], 4), ["NDCG"])


def test_unknown_metrics_are_refused_before_anything_is_scored() -> None:
    watch = Watch(table(np.zeros((1, 3))))
    with pytest.raises(UsageError, match="'NDGC' is no metric"):
        evaluate(watch, simple([0], 3), ["NDCG", "NDGC"])
    assert watch.asked == []


@pytest.mark.parametrize(
    "split", [make_split(3, [{}], {}), make_split(3, [{}, {}], {0: {0: 1.0}, 1: {}})]
)
def test_nothing_to_evaluate_on_is_an_error(split: Split) -> None:
    with pytest.raises(DataError, match="nothing to evaluate on"):
        evaluate(table(np.zeros((2, 3))), split, ["NDCG"])


def test_what_no_model_changes_is_computed_once_and_goes_with_the_split() -> None:
    split = crowd()
    first = prepared(split)
    evaluate(table(np.random.default_rng(1).random((7, 10))), split, EVERYTHING)
    assert prepared(split) is first
    assert prepared(crowd()) is not first
    gone = weakref.ref(split), weakref.ref(first)
    del split, first
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_equal_scores_give_equal_bits_again_and_again() -> None:
    split = crowd()
    scores = table(np.random.default_rng(4).normal(3, 1, (7, 10)))
    first = evaluate(scores, split, EVERYTHING)
    assert all(evaluate(scores, split, EVERYTHING) == first for _ in range(3))
    assert evaluate(scores, crowd(), EVERYTHING) == first
    for name in EVERYTHING:
        assert evaluate(scores, split, [name]) == {name: first[name]}


N_ITEMS, BLOCK_BYTES = 2_000, 256 << 10


def peak_bytes(n_users: int, metrics: tuple[str, ...]) -> int:
    """The most memory that an evaluation has at a time, beside the split."""
    one, held = dict.fromkeys(range(20), 3.0), dict.fromkeys((30, 700, 1999), 4.0)
    split = make_split(N_ITEMS, [one] * n_users, dict.fromkeys(range(n_users), held))
    item = np.random.default_rng(1).random(N_ITEMS, dtype=np.float32)

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        return np.multiply.outer(users.astype(np.float32), item if items is None else item[items])

    tracemalloc.start()
    evaluate(scores, split, metrics, block_bytes=BLOCK_BYTES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("metrics", [EVERYTHING, ("RMSE",)])
def test_memory_is_bounded_by_the_block_whatever_the_number_of_users(
    metrics: tuple[str, ...],
) -> None:
    peak_bytes(10, metrics)  # what is loaded and compiled at first is not of the evaluation
    few, many = peak_bytes(500, metrics), peak_bytes(5_000, metrics)
    scores_of_all = 4 * N_ITEMS * 5_000
    assert few < 3 * BLOCK_BYTES
    # A few numbers for each held-out item, as the split itself has them, and never its scores.
    assert many - few < 150 * 3 * 4_500
    assert many < scores_of_all / 10


def test_a_search_of_rating_metrics_alone_compiles_nothing() -> None:
    program = (
        "import sys\n"
        "from eval_tools import simple, table\n"
        "from recsearch.evaluation import evaluate\n"
        "import numpy as np\n"
        "assert evaluate(table(np.ones((1, 2))), simple([0], 2), ['RMSE']) == {'RMSE': 3.0}\n"
        "assert 'numba' not in sys.modules\n"
        "evaluate(table(np.ones((1, 2))), simple([0], 2), ['NDCG'])\n"
        "assert 'numba' in sys.modules\n"
    )
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()

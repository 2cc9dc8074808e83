from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsearch.baselines import (
    bias_scores,
    compute_baselines,
    popularity_scores,
    tune_damping,
)
from recsearch.bias import learn_bias
from recsearch.data import Interactions, Source, Split, load_dataset, load_split
from recsearch.errors import DataNotFoundError, UsageError
from recsearch.evaluation import default_metrics, evaluate, parse

METRICS = default_metrics(predicts_ratings=True)


def interactions(matrix: np.ndarray) -> Interactions:
    """Ratings of a (users, items) matrix; 0 is none."""
    rows = csr_array(matrix.astype(np.float32))
    return Interactions(
        rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data, None
    )


def make_split(train: np.ndarray, heldout: np.ndarray) -> Split:
    users = np.flatnonzero(heldout.any(axis=1)).astype(np.int32)
    return Split(
        source=Source("made", "made", "generated", None, None, True, ()), dataset_id="d",
        split_id="e", method={}, part=0, user_ids=np.arange(train.shape[0]),
        item_ids=np.arange(train.shape[1]), titles=None, train=interactions(train),
        eval_users=users, heldout=interactions(heldout[users]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def split() -> Split:
    """Ratings from a bias model with noise: sparse enough for damping to matter."""
    rng = np.random.default_rng(3)
    n_users, n_items = 150, 90
    latent = 3 + rng.normal(0, 0.5, (n_users, 1)) + rng.normal(0, 0.6, (1, n_items))
    ratings = np.clip(np.rint(latent + rng.normal(0, 1, (n_users, n_items))), 1, 5)
    order = rng.random((n_users, n_items)) + np.linspace(0, 0.6, n_items)
    place = np.argsort(np.argsort(order, axis=1), axis=1)
    held = (place < 3) & (np.arange(n_users) % 3 == 0)[:, None]
    train = (place >= 3) & (place < 14)
    return make_split(np.where(train, ratings, 0), np.where(held, ratings, 0))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 7), st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-12, 0.3, 5.0]), st.sampled_from([0.0, 0.1, 7.7]),
)  # fmt: skip
def test_bias_equals_lenskit_to_the_bit(
    n_users: int, n_items: int, seed: int, user: float, item: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lenskit.basic.bias import BiasModel

        from recsearch.data.lenskit import dataset
    rng = np.random.default_rng(seed)
    train = rng.integers(1, 11, (n_users, n_items)) / 2 * (rng.random((n_users, n_items)) < 0.6)
    train[0, 0] = 3.5
    split = make_split(train, np.zeros_like(train))
    theirs = BiasModel.learn(dataset(split), (user, item))
    mean, items, users = learn_bias(split.train, n_items, user, item)
    assert mean == theirs.global_bias
    np.testing.assert_array_equal(items, theirs.item_biases)
    np.testing.assert_array_equal(users, theirs.user_biases)
    assert (items.dtype, users.dtype) == (np.float32, np.float32)


def test_bias_by_hand() -> None:
    train = interactions(np.array([[5.0, 3, 0], [0, 1, 0], [0, 0, 0]]))
    mean, item, user = learn_bias(train, 3, damping_user=1, damping_item=1)
    assert mean == 3
    assert item == pytest.approx([2 / 2, -2 / 3, 0])
    assert user == pytest.approx([(1 + 2 / 3) / 3, (-2 + 2 / 3) / 2, 0])


def test_bias_of_no_ratings_is_zero() -> None:
    mean, item, user = learn_bias(interactions(np.zeros((2, 3))), 3, 0, 0)
    assert (mean, item.tolist(), user.tolist()) == (0.0, [0, 0, 0], [0, 0])


def test_damping_is_tuned_to_the_best_point(split: Split) -> None:
    user, item = tune_damping(split)
    best = evaluate(bias_scores(split, user, item), split, ["RMSE"])["RMSE"]
    grid = [0.1, 0.3, 1, 2, 3, 5, 8, 12, 20, 40, 100]
    others = {
        (u, i): evaluate(bias_scores(split, u, i), split, ["RMSE"])["RMSE"]
        for u in grid for i in grid
    }  # fmt: skip
    assert best <= min(others.values()) + 1e-6
    assert best < others[0.1, 0.1] - 1e-3
    assert 0.1 < user < 100
    assert 0.1 < item < 100


def test_damping_stays_in_its_bounds() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 6, (40, 30)) * 1.0
    shown = rng.random((40, 30)) < 0.3
    noisy = make_split(noise * shown, noise * ~shown)
    pure = np.tile(np.arange(1.0, 5.0), (40, 8))[:, :30]
    exact = make_split(pure * shown, pure * ~shown)
    assert max(tune_damping(noisy)) == 100
    assert min(tune_damping(exact)) == 0.1


def test_baselines_are_complete_and_deterministic(split: Split) -> None:
    found = compute_baselines(split, METRICS)
    assert compute_baselines(split, METRICS) == found
    ranking = [name for name in METRICS if parse(name).kind == "ranking"]
    assert list(found) == ["bias", "popular", "chance"]
    assert list(found["bias"]["metrics"]) == list(METRICS)
    assert list(found["popular"]["metrics"]) == ranking
    assert list(found["chance"]["metrics"]) == ranking
    assert set(found["bias"]["config"]["damping"]) == {"user", "item"}
    assert found["popular"]["metrics"]["NDCG"] > found["chance"]["metrics"]["NDCG"] > 0
    numbers = [value for one in found.values() for value in one["metrics"].values()]
    assert all(type(value) is float and np.isfinite(value) for value in numbers)


def test_the_recorded_dampings_give_the_recorded_metrics(split: Split) -> None:
    bias = compute_baselines(split, ["RMSE", "MAE-pooled"])["bias"]
    damping = bias["config"]["damping"]
    again = evaluate(bias_scores(split, damping["user"], damping["item"]), split, bias["metrics"])
    assert again == bias["metrics"]


def test_only_what_is_asked_for(split: Split) -> None:
    assert list(compute_baselines(split, ["RMSE"])) == ["bias"]
    assert list(compute_baselines(split, ["NDCG@10"])) == ["popular", "chance"]
    assert compute_baselines(split, []) == {}
    with pytest.raises(UsageError, match="no metric"):
        compute_baselines(split, ["RSME"])


def test_equal_ratings_have_no_bias() -> None:
    ones = np.ones((4, 6))
    held = np.zeros((4, 6))
    held[:, 5] = 1
    found = compute_baselines(make_split(ones * (1 - held), held), METRICS)
    assert list(found) == ["popular", "chance"]


def test_popularity_counts_training_ratings() -> None:
    split = make_split(np.array([[5.0, 1, 0], [0, 1, 0]]), np.array([[0, 0, 3.0], [0, 0, 0]]))
    scores = popularity_scores(split)
    assert scores(np.array([0, 1]), None).tolist() == [[1, 2, 0], [1, 2, 0]]
    assert scores(np.array([0]), np.array([1, 2])).tolist() == [[2, 0]]


def test_bias_scores_by_block(split: Split) -> None:
    users, items = np.array([3, 0]), np.array([5, 1, 7])
    scores = bias_scores(split, 5.0, 2.0)
    whole = scores(users, None)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(scores(users, items), whole[:, items])


@pytest.mark.data
def test_tuned_bias_on_movielens_1m() -> None:
    try:
        ratings = load_dataset("ml1m", allow_download=False)
    except DataNotFoundError:
        pytest.skip(f"no MovieLens 1M (RECSEARCH_DATA={os.environ.get('RECSEARCH_DATA')})")
    found = compute_baselines(load_split(ratings), METRICS)
    assert found["bias"]["metrics"]["RMSE"] == pytest.approx(0.8677, abs=1e-4)
    assert found["chance"]["metrics"]["NDCG"] == pytest.approx(0.139, abs=1e-3)
    assert found["chance"]["metrics"]["RBP"] == pytest.approx(0.0013, abs=1e-4)

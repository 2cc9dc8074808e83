"""Equal to LensKit's own metrics, run on the same rankings and through LensKit's own pipeline."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from eval_tools import brute_ranks, make_split, problems, table
from hypothesis import given, settings
from hypothesis import strategies as st

from recsearch.data import Split
from recsearch.evaluation import evaluate, per_user

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch  # noqa: F401 - first, so that its import warnings stay in here
    from lenskit import metrics as lk
    from lenskit import predict, recommend
    from lenskit.data import ItemList, ItemListCollection, RecQuery, UserIDKey
    from lenskit.pipeline import Component, RecPipelineBuilder
    from lenskit.training import Trainable

CUTS = (1, 2, 3, 5, 10, 100, 1000)
RANKING = {
    "NDCG": lk.NDCG(),
    "DCG": lk.DCG(),
    "RBP": lk.RBP(),
    "RecipRank": lk.RecipRank(),
    "MAP": lk.ranking.AveragePrecision(),
    **{f"NDCG@{k}": lk.NDCG(k) for k in CUTS},
    **{f"DCG@{k}": lk.DCG(k) for k in CUTS},
    **{f"RBP@{k}": lk.RBP(k) for k in CUTS},
    **{f"RecipRank@{k}": lk.RecipRank(k) for k in CUTS},
    **{f"Hit@{k}": lk.Hit(k) for k in CUTS},
    **{f"Precision@{k}": lk.Precision(k) for k in CUTS},
    **{f"Recall@{k}": lk.Recall(k) for k in CUTS},
    **{f"MAP@{k}": lk.ranking.AveragePrecision(k) for k in CUTS},
}
NAMES = tuple(RANKING)


def truth_lists(split: Split) -> ItemListCollection[UserIDKey]:
    held = split.heldout
    lists = ItemListCollection(UserIDKey)
    for row, user in enumerate(split.eval_users):
        span = slice(held.indptr[row], held.indptr[row + 1])
        items = split.item_ids[held.items[span]]
        lists.add(ItemList(item_ids=items, rating=held.values[span]), split.user_ids[user])
    return lists


def our_lists(split: Split, matrix: np.ndarray) -> ItemListCollection[UserIDKey]:
    train = np.split(split.train.items, split.train.indptr[1:-1])
    lists = ItemListCollection(UserIDKey)
    for user in split.eval_users:
        order = brute_ranks(matrix[user], set(train[user].tolist()))
        ids = split.item_ids[np.array(order, dtype=np.int64)]
        lists.add(ItemList(item_ids=ids, ordered=True), split.user_ids[user])
    return lists


def measured(
    lists: ItemListCollection[UserIDKey], truth: ItemListCollection[UserIDKey]
) -> dict[str, np.ndarray]:
    analysis = lk.RunAnalysis()
    for name, metric in RANKING.items():
        analysis.add_metric(metric, label=name)
    found = analysis.measure(lists, truth).list_metrics(fill_missing=True)
    return {name: found[name].to_numpy(dtype=np.float64) for name in NAMES}


@settings(max_examples=60, deadline=None)
@given(problems())
def test_every_ranking_metric_on_every_list(problem: tuple[Split, np.ndarray]) -> None:
    split, matrix = problem
    ours = per_user(table(matrix), split, NAMES)
    theirs = measured(our_lists(split, matrix), truth_lists(split))
    means = evaluate(table(matrix), split, NAMES)
    for name in NAMES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-12, err_msg=name)
        assert means[name] == pytest.approx(theirs[name].mean(), abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 60, 10**6]), st.sampled_from([0.0, 0.3]))
def test_long_lists_with_many_held_out_items(seed: int, distinct: int, unscored: float) -> None:
    rng = np.random.default_rng(seed)
    n_items, train, heldout = 230, [], {}
    for user, count in enumerate((1, 5, 120, 60)):
        items = rng.permutation(n_items).tolist()
        train.append(dict.fromkeys(items[: int(rng.integers(0, n_items - count))], 3.0))
        heldout[user] = dict.fromkeys(items[n_items - count :], 4.0)
    split = make_split(n_items, train, heldout)
    matrix = rng.integers(0, distinct, (4, n_items)).astype(np.float32)
    matrix[rng.random(matrix.shape) < unscored] = np.nan
    ours = per_user(table(matrix), split, NAMES)
    theirs = measured(our_lists(split, matrix), truth_lists(split))
    for name in NAMES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-12, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_rating_metrics(problem: tuple[Split, np.ndarray]) -> None:
    split, matrix = problem
    matrix = np.nan_to_num(matrix, nan=3.0, posinf=8.0, neginf=-8.0)
    held, truth = split.heldout, truth_lists(split)
    predictions = ItemListCollection(UserIDKey)
    for row, user in enumerate(split.eval_users):
        items = held.items[held.indptr[row] : held.indptr[row + 1]]
        listed = ItemList(item_ids=split.item_ids[items], scores=matrix[user, items])
        predictions.add(listed, split.user_ids[user])
    result = lk.RunAnalysis(lk.RMSE(), lk.MAE()).measure(predictions, truth)
    ours = per_user(table(matrix), split, ["RMSE", "MAE"])
    means = evaluate(table(matrix), split, ["RMSE", "RMSE-pooled", "MAE", "MAE-pooled"])
    theirs = result.list_metrics()
    for name in ("RMSE", "MAE"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-6)
        assert means[name] == pytest.approx(theirs[name].mean(), abs=1e-6)
    pooled = {"RMSE": lk.RMSE(), "MAE": lk.MAE()}
    for name, metric in pooled.items():
        pairs = [
            metric.compute_list_data(predictions.lookup(*key), truth.lookup(*key))
            for key in truth.keys()  # noqa: SIM118 - a collection, not a dict
        ]
        assert means[f"{name}-pooled"] == pytest.approx(metric.global_aggregate(pairs), abs=1e-6)


class MatrixScorer(Component[ItemList], Trainable):
    """A LensKit scorer that looks its scores up."""

    config: None = None
    matrix: np.ndarray

    def train(self, data: object, options: object = None) -> None:
        self.users, self.items = data.users, data.items  # type: ignore[attr-defined]

    def __call__(self, query: RecQuery, items: ItemList) -> ItemList:
        row = self.matrix[self.users.number(RecQuery.create(query).user_id)]
        return ItemList(items, scores=row[items.numbers(vocabulary=self.items)])


def test_the_whole_way_through_a_lenskit_pipeline() -> None:
    from recsearch.data.lenskit import dataset

    rng = np.random.default_rng(11)
    n_users, n_items = 30, 70
    train, heldout = [], {}
    for user in range(n_users):
        items = rng.permutation(n_items - 5)[: int(rng.integers(4, 40))].tolist()
        train.append({item: float(rng.integers(1, 6)) for item in items[3:]})
        if user % 2:
            heldout[user] = {item: float(rng.integers(1, 6)) for item in items[:3]}
    split = make_split(n_items, train, heldout)
    matrix = rng.normal(3, 1, (n_users, n_items)).astype(np.float32)
    # LensKit lets the recommender rank what has a score, and refuses ratings without one.
    for user in split.eval_users:
        spare = [item for item in range(n_items) if item not in heldout[int(user)]]
        matrix[user, rng.choice(spare, 9, replace=False)] = np.nan
    scorer = MatrixScorer()
    scorer.matrix = matrix
    builder = RecPipelineBuilder()
    builder.scorer(scorer)
    builder.predicts_ratings()
    pipe = builder.build()
    pipe.train(dataset(split))
    lists, errors = ItemListCollection(UserIDKey), []
    truth = truth_lists(split)
    for key, test in truth:
        lists.add(recommend(pipe, query=key.user_id), key.user_id)
        errors.append(lk.call_metric(lk.RMSE, predict(pipe, query=key.user_id, items=test), test))
    ours = per_user(table(matrix), split, [*NAMES, "RMSE"])
    theirs = measured(lists, truth)
    for name in NAMES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours["RMSE"], errors, atol=1e-6)
    assert len({round(value, 6) for value in ours["NDCG"]}) > 5

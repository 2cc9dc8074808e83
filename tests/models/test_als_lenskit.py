"""The same numbers as LensKit's own ALS trainers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from model_splits import make_split

from recsearch.data import Split
from recsearch.data.lenskit import dataset
from recsearch.models import resolve
from recsearch.models.als.solver import one_blas_thread

EPOCHS = 5


@pytest.fixture(scope="module")
def split() -> Split:
    """Rows of 0 to 89 entries: shorter and longer than every size that is tried."""
    return make_split(90, 120, seed=4)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads do not change these numbers; on a busy machine they cost seconds."""
    for name in ("LK_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    with one_blas_thread():
        yield


def lenskit_trainer(name: str, config: dict[str, Any], split: Split, seed: int) -> tuple[Any, Any]:
    from lenskit import als
    from lenskit.training import TrainingOptions

    scorer = getattr(als, name.rpartition(":")[2])(**config)
    return scorer, scorer.create_trainer(dataset(split), TrainingOptions(rng=seed))


def rmse(block: np.ndarray, split: Split) -> float:
    held = split.heldout
    row = np.repeat(np.arange(len(split.eval_users)), np.diff(held.indptr))
    return float(np.sqrt(np.mean((block[row, held.items] - held.values) ** 2)))


@pytest.mark.parametrize("size", [8, 40, 100])
def test_biased_mf_follows_lenskit_epoch_by_epoch(split: Split, size: int) -> None:
    family = resolve("als")
    config = family.complete(
        {
            "embedding_size": size,
            "user_embeddings": "prefer",
            "regularization": {"user": 0.08, "item": 0.03},
            "damping": {"user": 1.5, "item": 7},
        }
    )
    model = family.create(config, split, 11)
    scorer, trainer = lenskit_trainer(family.class_path, config, split, 11)
    assert model.item_embeddings.tobytes() == scorer.item_embeddings.tobytes()
    assert model.user_embeddings.tobytes() == scorer.user_embeddings.tobytes()
    bias = scorer.bias
    for _ in range(EPOCHS):
        found, expected = model.train_epoch(), trainer.train_epoch()
        np.testing.assert_allclose(model.item_embeddings, scorer.item_embeddings, atol=1e-3)
        np.testing.assert_allclose(model.user_embeddings, scorer.user_embeddings, atol=1e-3)
        block = scorer.user_embeddings[split.eval_users] @ scorer.item_embeddings.T
        block += bias.global_bias + bias.item_biases[None, :]
        block += bias.user_biases[split.eval_users, None]
        ours = rmse(model.scores(split.eval_users), split)
        assert ours == pytest.approx(rmse(block, split), abs=1e-4)
    # LensKit leaves unrated rows out of its first change.
    assert found["deltaQ"] == pytest.approx(expected["deltaQ"], rel=1e-4)


def float64_epochs(split: Split, config: dict[str, Any], items: np.ndarray) -> np.ndarray:
    """ImplicitMF as LensKit writes it down, in float64; the users of each epoch's items."""
    confidence = np.zeros((split.n_users, split.n_items))
    users = np.repeat(np.arange(split.n_users), np.diff(split.train.indptr))
    values = split.train.values if config["use_ratings"] else 1.0
    confidence[users, split.train.items] = config["weight"] * values

    def half(V: np.ndarray, W: np.ndarray, reg: float) -> np.ndarray:
        background = V.T @ V + reg * np.eye(V.shape[1])
        return np.array(
            [
                np.linalg.solve(background + (V.T * w) @ V, V.T @ (w + (w > 0)))
                if w.any()
                else np.zeros(V.shape[1])
                for w in W
            ]
        )

    Q = items.astype(np.float64)
    P = np.zeros(0)
    for _ in range(EPOCHS):
        P = half(Q, confidence, config["regularization"]["user"])
        Q = half(P, confidence.T, config["regularization"]["item"])
    return P @ Q.T


@pytest.mark.parametrize("size", [8, 40, 100])
@pytest.mark.parametrize("use_ratings", [False, True])
def test_implicit_mf_is_closer_to_float64_than_lenskit(
    split: Split, size: int, use_ratings: bool
) -> None:
    family = resolve("als-implicit")
    config = family.complete(
        {
            "embedding_size": size,
            "user_embeddings": "prefer",
            "regularization": {"user": 0.2, "item": 0.1},
            "weight": 8,
            "use_ratings": use_ratings,
        }
    )
    model = family.create(config, split, 11)
    scorer, trainer = lenskit_trainer(family.class_path, config, split, 11)
    assert model.item_embeddings.tobytes() == scorer.item_embeddings.tobytes()
    exact = float64_epochs(split, config, model.item_embeddings)
    for _ in range(EPOCHS):
        model.train_epoch()
        trainer.train_epoch()
    users = np.arange(split.n_users)
    ours = np.abs(model.scores(users) - exact).max()
    theirs = np.abs(scorer.user_embeddings @ scorer.item_embeddings.T - exact).max()
    assert ours < 2e-4
    assert ours < theirs < 0.1


@pytest.mark.parametrize("family_name", ["als", "als-implicit"])
def test_fold_in_equals_lenskit_at_query_time(split: Split, family_name: str) -> None:
    from lenskit.data import ItemList
    from lenskit.pipeline import topn_pipeline
    from lenskit.training import TrainingOptions

    family = resolve(family_name)
    config = family.complete({"embedding_size": 9, "user_embeddings": True})
    model = family.create(config, split, 2)
    for _ in range(3):
        model.train_epoch()
    from lenskit import als

    scorer = getattr(als, family.class_path.rpartition(":")[2])(**config, epochs=3)
    # A pipeline would derive another seed for its scorer.
    scorer.train(dataset(split), TrainingOptions(rng=2))
    reference = topn_pipeline(scorer)
    reference.train(dataset(split), TrainingOptions(retrain=False))
    ours = model.to_pipeline(split.train)
    users = [0, 1, 2, 3, 8]
    for user, line in zip(users, model.scores(np.array(users)), strict=True):
        query, items = split.user_ids[user].item(), ItemList(split.item_ids)
        theirs = reference.run("scorer", query=query, items=items).scores()
        np.testing.assert_allclose(line, theirs, atol=2e-3)
        found = ours.run("scorer", query=query, items=items).scores()
        np.testing.assert_allclose(line, found, atol=5e-4)


def test_bias_and_popularity_equal_lenskit(split: Split) -> None:
    from lenskit.basic.bias import BiasScorer
    from lenskit.basic.popularity import PopScorer
    from lenskit.data import ItemList

    ratings, items = dataset(split), ItemList(split.item_ids)
    for entities in (["user", "item"], ["item"], ["user"]):
        config = {"entities": entities, "damping": {"user": 4, "item": 2}}
        model = resolve("bias").create(config, split, 0)
        model.train_epoch()
        scorer = BiasScorer(**config)
        scorer.train(ratings)
        for user in (0, 1, 5):
            theirs = scorer(split.user_ids[user].item(), items).scores()
            ours = model.scores(np.array([user]))[0]
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for score in ("quantile", "rank", "count"):
        popular = resolve("popular").create({"score": score}, split, 0)
        popular.train_epoch()
        pop_scorer = PopScorer(score=score)
        pop_scorer.train(ratings)
        assert popular.scores(np.array([3]))[0].tolist() == pop_scorer(items).scores().tolist()

"""Models without blocks of scores: the same numbers through LensKit's pipeline, and said so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blockless import BlocklessALS, BlocklessPopular
from eval_tools import make_split
from search_tools import plan

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.evaluation import default_metrics, evaluate
from recsearch.measuring import measure
from recsearch.models import resolve
from recsearch.models.piped import NOTE, pipeline_scores
from recsearch.store import Store
from recsearch.trial import run_trial


def crowd(n_users: int = 40, n_items: int = 60) -> Split:
    rng = np.random.default_rng(3)
    train, heldout = [], {}
    for user in range(n_users):
        items = rng.permutation(n_items - 2).tolist()
        cut = int(rng.integers(5, 40))
        train.append({item: float(rng.integers(1, 6)) for item in items[:cut]})
        if user % 3:
            heldout[user] = {item: float(rng.integers(1, 6)) for item in items[-4:]}
    return make_split(n_items, train, heldout)


def trained(name: str, split: Split, epochs: int, config: dict[str, Any]) -> Any:
    family = resolve(name)
    model = family.create(family.complete(config), split, 5)
    for _ in range(epochs):
        model.train_epoch()
    return model


@pytest.mark.parametrize(
    ("name", "config", "epochs"),
    [
        ("als", {"embedding_size": 6}, 2),
        ("als", {"embedding_size": 6, "user_embeddings": "prefer"}, 2),
        ("als-implicit", {"embedding_size": 6}, 2),
        ("bias", {}, 1),
        ("popular", {}, 1),
    ],
)
def test_equal_to_the_path_over_blocks(name: str, config: dict[str, Any], epochs: int) -> None:
    split = crowd()
    model = trained(name, split, epochs, config)
    metrics = default_metrics(predicts_ratings=resolve(name).predicts_ratings)
    expected = evaluate(model.scores, split, metrics)
    for threads in (1, 3):
        found = evaluate(pipeline_scores(model, split, threads), split, metrics, block_bytes=5000)
        assert found == pytest.approx(expected, abs=1e-6)
    alone = evaluate(pipeline_scores(model, split), split, metrics[:4], block_bytes=5000)
    assert alone == pytest.approx({name: expected[name] for name in metrics[:4]}, abs=1e-6)


@pytest.mark.parametrize(
    ("cls", "config", "epochs"),
    [(BlocklessALS, {"embedding_size": 4}, 3), (BlocklessPopular, {}, 1)],
)
def test_a_class_without_scores_is_searched_and_the_user_told_once(
    tmp_path: Path, cls: Any, config: dict[str, Any], epochs: int
) -> None:
    split, path = crowd(), f"blockless:{cls.__name__}"
    what = plan(path, max_epochs=epochs, objective="RecipRank", **config)
    store = Store.open(tmp_path / "store")
    results = list(run_trial(what, resolve(path), split, store))
    assert [result.note for result in results] == [NOTE] + [None] * (epochs - 1)
    plain = plan(cls.family, max_epochs=epochs, objective="RecipRank", **config)
    other = Store.open(tmp_path / "other")
    direct = list(run_trial(plain, resolve(cls.family), split, other))
    assert {result.note for result in direct} == {None}
    for piped, block in zip(results, direct, strict=True):
        assert piped.metrics == pytest.approx(block.metrics, abs=1e-6)
    replayed = list(run_trial(what, resolve(path), split, store))
    assert {result.note for result in replayed} == {None}


class Silent:
    """A pipeline whose scorer knows no user 101, and of the others items 1003 and 1001 alone."""

    name = "silent"

    def to_pipeline(self, history: Any = None) -> Any:
        return self

    def node(self, name: str, *, missing: Any) -> Any:
        return self

    def run(self, name: str, query: int, items: Any) -> Any:
        from lenskit.data import ItemList

        assert name == "scorer"
        if query == 101:
            return ItemList(items)
        return ItemList(item_ids=[1003, 1001], scores=np.array([2.0, 1.0]))


def test_what_the_scorer_leaves_out_has_no_score() -> None:
    split = make_split(5, [{0: 1.0}] * 3, {0: {1: 4.0}, 1: {1: 4.0}})
    scores: Any = pipeline_scores(Silent(), split, 1)  # type: ignore[arg-type]
    none = np.nan
    expected = np.array([[none, 1.0, none, 2.0, none], [none] * 5], dtype=np.float32)
    np.testing.assert_array_equal(scores(np.array([0, 1])), expected)
    chosen = np.array([3, 0])
    np.testing.assert_array_equal(scores(np.array([0, 1]), chosen), expected[:, chosen])
    assert evaluate(scores, split, ["RecipRank"]) == {"RecipRank": 0.25}


def test_a_pipeline_without_a_scorer_is_refused() -> None:
    from lenskit.pipeline import PipelineBuilder

    class Odd:
        def to_pipeline(self, history: Any = None) -> Any:
            return PipelineBuilder("odd").build()

    with pytest.raises(UsageError, match="pipeline odd has no component 'scorer'"):
        measure(Odd(), resolve("popular"), crowd(), ["NDCG"])  # type: ignore[arg-type]

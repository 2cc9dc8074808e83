"""Models of `lenskit.knn`: the family contract, and equality with LensKit's own components."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import lenskit.knn
import numpy as np
import pytest
from contract import PipelineContract
from lenskit import recommend
from lenskit.data import ItemList, RecQuery
from lenskit.training import TrainingOptions
from model_splits import make_split

from recsearch.data import DATASETS, Interactions, Split, fetch, load_dataset, load_split
from recsearch.data.lenskit import dataset
from recsearch.errors import UsageError
from recsearch.models import Family, Model, resolve, variant_of
from recsearch.models.neighbours import shared
from recsearch.models.neighbours.ease import _inverse, _weights
from recsearch.models.neighbours.shared import gram, neighbourhoods


@pytest.mark.filterwarnings("ignore:no query items", "ignore:no user history")
class HistoryContract(PipelineContract):
    """Pipelines hold the training ratings, which these scorers need: LensKit's own do, too."""

    def test_history_is_left_out_of_recommendations(self, split: Split, model: Model) -> None:
        for pipeline in (model.to_pipeline(), model.to_pipeline(split.train)):
            user = 5
            row = slice(split.train.indptr[user], split.train.indptr[user + 1])
            seen = set(split.item_ids[split.train.items[row]].tolist())
            line = model.scores(np.array([user]))[0]
            scored = set(split.item_ids[np.isfinite(line)].tolist())
            found = set(recommend(pipeline, split.user_ids[user].item()).ids().tolist())
            assert found == scored - seen
            assert found

    def test_items_of_a_query_are_left_out_of_recommendations(
        self, split: Split, model: Model
    ) -> None:
        taken = split.item_ids[[2, 9]]
        history = ItemList(taken, rating=np.array([4.0, 2.0], dtype=np.float32))
        query = RecQuery(user_id=split.user_ids[3].item(), history_items=history)
        found = set(recommend(model.to_pipeline(), query).ids().tolist())
        assert found
        assert not found & set(taken.tolist())

    def test_users_without_history_have_no_scores(self, model: Model) -> None:
        assert np.isnan(model.scores(np.array([1]))).all()

    def test_what_trials_share_is_the_same_arrays(
        self, family: Family, split: Split, model: Model
    ) -> None:
        again = family.create(family.complete(self.config), split, 9)
        again.train_epoch()
        for name, part in model.state().items():
            if part.constant:
                other = again.state()[name].tensors
                for key, array in part.tensors.items():
                    assert np.array_equal(array, other[key])
        assert family.shared_bytes(family.complete(self.config), split) > 0


class TestItemExplicit(HistoryContract):
    family_name = "iknn-explicit"
    config: ClassVar = {"max_nbrs": 5, "min_nbrs": 2, "min_sim": 0.02, "save_nbrs": 10000}
    typo = ("max_nbr", "max_nbrs")


class TestItemImplicit(HistoryContract):
    family_name = "iknn-implicit"
    config: ClassVar = {"k": 7, "save_nbrs": 12}
    string_ids = True
    typo = ("min_similarity", "min_sim")


class TestUserExplicit(HistoryContract):
    family_name = "uknn-explicit"
    config: ClassVar = {"max_nbrs": 6, "min_sim": 0.1}
    typo = ("min_nbr", "min_nbrs")


class TestUserImplicit(HistoryContract):
    family_name = "uknn-implicit"
    config: ClassVar = {"min_nbrs": 3}
    string_ids = True
    typo = ("max_nbr", "max_nbrs")


class TestEASE(HistoryContract):
    family_name = "ease"
    config: ClassVar = {"regularization": 20}
    typo = ("regularisation", "regularization")


class SLIMContract(HistoryContract):
    family_name = "slim"
    typo = ("l1_rg", "l1_reg")

    def test_model_bytes_is_the_size_of_the_parameters(
        self, family: Family, split: Split, model: Model
    ) -> None:
        size = sum(array.nbytes for array in model.state()["weights"].tensors.values())
        # How many weights are zero depends on the ratings: an expectation, not a size.
        expected = family.model_bytes(family.complete(self.config), split)
        assert size / 10 < expected < 10 * size


class TestSLIM(SLIMContract):
    config: ClassVar = {"l1_reg": 0.5, "l2_reg": 2}


class TestSLIMWithSelection(SLIMContract):
    config: ClassVar = {"max_nbrs": 9, "l1_reg": 0.1}
    string_ids = True


CASES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("iknn-explicit", {"max_nbrs": 5, "min_nbrs": 2, "min_sim": 0.01}),
    ("iknn-explicit", {"max_nbrs": 2, "min_sim": 1e-9}),
    ("iknn-explicit", {"max_nbrs": 20, "save_nbrs": 15}),
    ("iknn-implicit", {"max_nbrs": 8, "min_nbrs": 2, "min_sim": 0.05}),
    ("iknn-implicit", {"max_nbrs": 2, "save_nbrs": 9}),
    ("uknn-explicit", {"max_nbrs": 8, "min_nbrs": 2, "min_sim": 0.01}),
    ("uknn-explicit", {"max_nbrs": 1}),
    ("uknn-implicit", {"max_nbrs": 8, "min_sim": 2.0}),
    ("ease", {"regularization": 30.0}),
    ("slim", {"l1_reg": 0.5, "l2_reg": 3.0}),
    ("slim", {"l1_reg": 0.2, "max_nbrs": 20}),
)


def check_against_lenskit(split: Split, name: str, config: Mapping[str, Any], users: int) -> None:
    """Train both, and compare the scores of some users for all items."""
    family, data = resolve(name), dataset(split)
    complete = family.complete(config)
    model = family.create(complete, split, 0)
    model.train_epoch()
    kind = {"feedback": complete["feedback"]} if "feedback" in complete else {}
    theirs = getattr(lenskit.knn, family.class_path.partition(":")[2])(**config, **kind)
    theirs.train(data, TrainingOptions())
    matrix = data.interactions().matrix()
    chosen = np.random.default_rng(1).choice(split.n_users, users, replace=False)
    for user, line in zip(chosen, model.scores(chosen), strict=True):
        history = matrix.row_items(split.user_ids[user].item())
        query = RecQuery(user_id=split.user_ids[user].item(), history_items=history)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs(query, ItemList(split.item_ids)).scores()
        if expected is None:
            expected = np.full(split.n_items, np.nan)
        np.testing.assert_allclose(line, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_scores_are_those_of_lenskits_component(name: str, config: Mapping[str, Any]) -> None:
    check_against_lenskit(make_split(180, 90), name, config, 180)


@pytest.mark.data
@pytest.mark.parametrize(("name", "config"), CASES[:-2])
def test_scores_are_those_of_lenskits_component_on_ml100k(
    name: str, config: Mapping[str, Any]
) -> None:
    if fetch.locate(DATASETS["ml100k"].archive) is None:
        pytest.skip("ml100k is not on this machine (see RECSEARCH_DATA)")
    check_against_lenskit(load_split(load_dataset("ml100k")), name, config, 40)


@pytest.mark.parametrize("feedback", ["explicit", "implicit"])
@pytest.mark.parametrize("save_nbrs", [None, 11])
def test_a_cut_is_what_lenskit_learns(feedback: Any, save_nbrs: int | None) -> None:
    split = make_split(120, 60)
    for min_sim in (1e-6, 0.03, 0.4):
        found = neighbourhoods(split, feedback, save_nbrs, min_sim).similarities
        cut = found.cut(min_sim)
        theirs = lenskit.knn.ItemKNNScorer(feedback=feedback, min_sim=min_sim, save_nbrs=save_nbrs)
        theirs.train(dataset(split))
        expected = theirs.sim_matrix
        np.testing.assert_array_equal(cut.indptr, expected.offsets.to_numpy())
        np.testing.assert_array_equal(cut.items, expected.indices.to_numpy())
        np.testing.assert_array_equal(cut.values, expected.values.to_numpy())
        np.testing.assert_array_equal(found.counts(min_sim), theirs.item_counts)


def test_equal_similarities_compete_as_in_lenskits_heap() -> None:
    """Users of two kinds, so that most similarities are equal and the heap decides who counts."""
    rng = np.random.default_rng(3)
    n_users, n_items = 60, 24
    kinds = rng.integers(1, 6, (3, n_items)).astype(np.float32)
    rows = [np.sort(rng.choice(n_items, 14, replace=False)) for _ in range(n_users)]
    items = np.concatenate(rows).astype(np.int32)
    users = np.repeat(np.arange(n_users), 14)
    base = make_split(n_users, n_items)
    indptr = np.arange(0, 14 * n_users + 1, 14)
    train = Interactions(indptr, items, kinds[users % 3, items], None)
    values = {**base.__dict__, "train": train}
    for name in ("uknn-explicit", "iknn-explicit"):
        for most in (1, 3, 6):
            check_against_lenskit(Split(**values), name, {"max_nbrs": most}, 20)


def test_similarities_are_computed_once_for_all_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    split, calls = make_split(), []
    compute = shared._neighbourhoods
    monkeypatch.setattr(
        shared, "_neighbourhoods", lambda *given: calls.append(given) or compute(*given)
    )
    family, states = resolve("iknn-explicit"), []
    for config in ({"min_sim": 0.05, "save_nbrs": 10000}, {"max_nbrs": 3}, {"min_nbrs": 4}):
        model = family.create(family.complete(config), split, 0)
        model.train_epoch()
        states.append(model.state()["similarities"].tensors["values"])
    assert len(calls) == 1
    assert all(values is states[0] for values in states)


def test_counts_that_float32_cannot_invert_are_inverted() -> None:
    split = make_split(20, 60)
    assert _inverse(gram(split), 1e-6, np.float32) is None, "or the test shows nothing"
    found = _weights(gram(split), 1e-6)
    exact = np.linalg.inv(gram(split).astype(np.float64) + 1e-6 * np.eye(60))
    exact /= -np.diag(exact)
    np.fill_diagonal(exact, 0)
    np.testing.assert_allclose(found, exact, atol=1e-3)


@pytest.mark.parametrize("cls", ["lenskit.knn:ItemKNNScorer", "lenskit.knn.UserKNNScorer"])
def test_fixed_parameters_choose_among_the_families_of_a_component(cls: str) -> None:
    short = "iknn" if "Item" in cls else "uknn"
    assert variant_of(cls, {"feedback": "implicit"}) == f"{short}-implicit"
    assert variant_of(cls, {"feedback": "explicit"}) == f"{short}-explicit"
    assert variant_of(cls, {}) == cls
    assert resolve(cls).name == f"{short}-explicit"
    assert variant_of(f"{short}-implicit", {"feedback": "explicit"}) == f"{short}-implicit"
    assert variant_of("lenskit.als:BiasedMFScorer", {"feedback": "implicit"}).endswith("MFScorer")


def test_the_other_kind_of_feedback_is_refused() -> None:
    with pytest.raises(UsageError, match="iknn-implicit"):
        resolve("iknn-explicit").complete({"feedback": "implicit"})
    with pytest.raises(UsageError, match="feedback"):
        resolve("uknn-explicit").complete({"feedback": "none"})
    complete = resolve("uknn-implicit").complete({})
    assert complete["feedback"] == "implicit"
    assert "block_size" not in resolve("iknn-implicit").complete({"block_size": 9})


def test_similarities_of_the_last_limit_alone_are_kept() -> None:
    from recsearch.models import per_split

    split = make_split(seed=3)
    for limit in (5, 6, 7):
        found = neighbourhoods(split, "implicit", limit, 0.1)
        assert neighbourhoods(split, "implicit", limit, 0.2) is found
    kept = [key for key in per_split._KEPT[split] if key[0] == "neighbourhoods"]
    assert len(kept) == 1

"""What every family must do. Subclass `FamilyContract` to hold a family to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from model_splits import make_split

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.identity import canonical_json
from recsearch.models import Family, Model, resolve
from recsearch.state import Part, State


def assert_states_equal(found: State, expected: State, *parts: str) -> None:
    """Bit for bit: same parts, tensors, dtypes, shapes and values."""
    assert set(found) == set(expected)
    for name in parts or tuple(expected):
        assert found[name].values == expected[name].values
        assert set(found[name].tensors) == set(expected[name].tensors)
        for tensor, array in expected[name].tensors.items():
            other = found[name].tensors[tensor]
            assert other.dtype == array.dtype, f"{name}.{tensor}"
            assert other.shape == array.shape, f"{name}.{tensor}"
            assert other.tobytes() == array.tobytes(), f"{name}.{tensor}"


def copied(state: State) -> State:
    """As a store gives it back: other memory, and writable."""
    return {
        name: Part({key: array.copy() for key, array in part.tensors.items()}, dict(part.values))
        for name, part in state.items()
    }


class FamilyContract:
    """Tests of one family with one configuration."""

    family_name: str
    config: ClassVar[Mapping[str, Any]] = {}
    typo: tuple[str, str]
    """A misspelt key and the key that the message must name."""
    epochs = 6
    string_ids = False

    @pytest.fixture
    def split(self) -> Split:
        return make_split(string_ids=self.string_ids)

    @pytest.fixture
    def family(self) -> Family:
        return resolve(self.family_name)

    @property
    def trained_epochs(self) -> int:
        return self.epochs if resolve(self.family_name).iterative else 1

    @pytest.fixture
    def model(self, family: Family, split: Split) -> Model:
        """Trained to the end."""
        model = family.create(family.complete(self.config), split, 5)
        for _ in range(self.trained_epochs):
            model.train_epoch()
        return model

    def test_complete_is_a_fixed_point_with_a_json_form(self, family: Family) -> None:
        once = family.complete(self.config)
        assert family.complete(once) == once
        assert json.loads(canonical_json(once)) == once
        assert "epochs" not in once

    def test_complete_leaves_its_argument_alone(self, family: Family) -> None:
        given = json.loads(json.dumps(dict(self.config)))
        family.complete(given)
        assert given == self.config

    def test_a_typo_is_refused_and_the_nearest_key_named(self, family: Family) -> None:
        wrong, right = self.typo
        with pytest.raises(UsageError) as caught:
            family.complete({wrong: 1})
        assert wrong in str(caught.value)
        assert right in caught.value.message

    def test_equal_seeds_give_equal_bits(self, family: Family, split: Split, model: Model) -> None:
        again = family.create(family.complete(self.config), split, 5)
        for _ in range(self.trained_epochs):
            statistics = again.train_epoch()
            assert all(isinstance(value, float) for value in statistics.values())
        assert_states_equal(again.state(), model.state())

    def test_stopped_and_resumed_equals_straight_at_every_epoch(
        self, family: Family, split: Split
    ) -> None:
        config = family.complete(self.config)
        straight = family.create(config, split, 5)
        states = []
        for _ in range(self.trained_epochs):
            straight.train_epoch()
            states.append(copied(straight.state()))
        for stop in range(1, len(states)):
            needed = family.continue_parts or tuple(states[0])
            resumed = family.create(config, split, 5)
            resumed.load_state({name: copied(states[stop - 1])[name] for name in needed})
            for state in states[stop:]:
                resumed.train_epoch()
                assert_states_equal(resumed.state(), state)

    def test_full_state_round_trips(self, family: Family, split: Split, model: Model) -> None:
        again = family.create(family.complete(self.config), split, 5)
        again.load_state(copied(model.state()))
        assert_states_equal(again.state(), model.state())
        users = np.arange(split.n_users)
        assert again.scores(users).tobytes() == model.scores(users).tobytes()

    def test_state_does_not_change_with_further_training(
        self, family: Family, split: Split
    ) -> None:
        model = family.create(family.complete(self.config), split, 5)
        model.train_epoch()
        handed_out = model.state()
        before = copied(handed_out)
        model.train_epoch()
        model.scores(np.arange(split.n_users))[:] = -1
        assert_states_equal(handed_out, before)

    def test_state_is_storable(self, model: Model) -> None:
        for part in model.state().values():
            json.dumps(dict(part.values), allow_nan=False)
            for array in part.tensors.values():
                assert array.dtype.kind in "biufU"
                assert array.dtype.byteorder in "=<|"
                assert array.ndim > 0

    def test_loaded_without_ratings_scores_equally(
        self, family: Family, split: Split, model: Model
    ) -> None:
        config = family.complete(self.config)
        loaded = family.load(config, copied(model.state()))
        users = np.arange(split.n_users)
        assert loaded.scores(users).tobytes() == model.scores(users).tobytes()
        assert_states_equal(loaded.state(), model.state())

    def test_loaded_without_ratings_refuses_training(self, family: Family, model: Model) -> None:
        loaded = family.load(family.complete(self.config), copied(model.state()))
        with pytest.raises(UsageError, match="without training ratings"):
            loaded.train_epoch()

    def test_a_state_of_other_items_is_refused(
        self, family: Family, split: Split, model: Model
    ) -> None:
        other = make_split(split.n_users, split.n_items + 1, string_ids=self.string_ids)
        with pytest.raises(UsageError, match="other items"):
            family.create(family.complete(self.config), other, 5).load_state(model.state())

    def test_an_incomplete_state_is_refused(self, family: Family, model: Model) -> None:
        for missing in model.state():
            state = {name: part for name, part in model.state().items() if name != missing}
            with pytest.raises(UsageError, match=missing):
                family.load(family.complete(self.config), state)

    def test_scores_of_chosen_items_are_columns_of_all(self, split: Split, model: Model) -> None:
        users = np.array([3, 0, 5], dtype=np.int32)
        items = np.array([7, 1, 4, 4], dtype=np.int32)
        block = model.scores(users)
        assert block.dtype == np.float32
        assert block.shape == (3, split.n_items)
        np.testing.assert_allclose(model.scores(users, items), block[:, items], rtol=1e-5)

    def test_model_bytes_is_the_size_of_the_parameters(
        self, family: Family, split: Split, model: Model
    ) -> None:
        parts = [
            part
            for name, part in model.state().items()
            if name in ("model", "users", "biases", "propagated", "optimizer")
        ]
        size = sum(array.nbytes for part in parts for array in part.tensors.values())
        assert family.model_bytes(family.complete(self.config), split) == size

    def test_versions_are_of_installed_libraries(self, family: Family) -> None:
        versions = family.versions()
        assert set(versions) == set(family.libraries)
        assert all(versions.values())


class PipelineContract(FamilyContract):
    """A family whose pipeline is built of LensKit's components."""

    def test_pipeline_scores_equal_model_scores(self, split: Split, model: Model) -> None:
        from lenskit.data import ItemList

        pipeline = model.to_pipeline()
        users = np.array([0, 1, 2, 3, split.n_users - 1])
        expected = model.scores(users)
        for user, line in zip(users, expected, strict=True):
            items = ItemList(split.item_ids)
            found = pipeline.run("scorer", query=split.user_ids[user].item(), items=items)
            np.testing.assert_allclose(found.scores(), line, rtol=2e-5, atol=2e-5)

    def test_loaded_pipeline_recommends_as_before_saving(
        self, family: Family, split: Split, model: Model
    ) -> None:
        import lenskit

        loaded = family.load(family.complete(self.config), copied(model.state())).to_pipeline()
        for user in (0, 3, 4):
            query = split.user_ids[user].item()
            before = lenskit.recommend(model.to_pipeline(), query, n=8)
            after = lenskit.recommend(loaded, query, n=8)
            assert after.ids().tolist() == before.ids().tolist()
            assert after.scores().tobytes() == before.scores().tobytes()

    def test_history_is_left_out_of_recommendations(self, split: Split, model: Model) -> None:
        import lenskit

        pipeline = model.to_pipeline(split.train)
        user = 5
        row = slice(split.train.indptr[user], split.train.indptr[user + 1])
        seen = set(split.item_ids[split.train.items[row]].tolist())
        found = set(lenskit.recommend(pipeline, split.user_ids[user].item()).ids().tolist())
        assert found == set(split.item_ids.tolist()) - seen
        everything = lenskit.recommend(model.to_pipeline(), split.user_ids[user].item())
        assert len(everything) == split.n_items

    def test_items_of_a_query_are_left_out_of_recommendations(
        self, split: Split, model: Model
    ) -> None:
        from lenskit import recommend
        from lenskit.data import ItemList, RecQuery

        taken = split.item_ids[[2, 9]]
        query = RecQuery(
            user_id=split.user_ids[3].item(),
            history_items=ItemList(taken, rating=np.array([4.0, 2.0], dtype=np.float32)),
        )
        found = recommend(model.to_pipeline(), query)
        assert not set(found.ids().tolist()) & set(taken.tolist())
        assert len(found) == split.n_items - 2

    def test_history_of_another_split_is_refused(self, split: Split, model: Model) -> None:
        other = make_split(split.n_users + 1)
        with pytest.raises(UsageError, match="history"):
            model.to_pipeline(other.train)

    def test_pipeline_holds_lenskits_own_class_and_has_a_configuration(
        self, family: Family, model: Model
    ) -> None:
        pipeline = model.to_pipeline()
        component = pipeline.node("scorer").component
        assert type(component).__name__ == family.class_path.rpartition(":")[2]
        assert type(component).__module__.startswith("lenskit.")
        assert "scorer" in json.loads(pipeline.config.model_dump_json())["components"]
        predicts = pipeline.node("rating-predictor", missing=None) is not None
        assert predicts == family.predicts_ratings

    def test_strangers_are_served(self, family: Family, split: Split, model: Model) -> None:
        from lenskit import predict, recommend
        from lenskit.data import ItemList

        pipeline, stranger = model.to_pipeline(), "nobody" if self.string_ids else -7
        assert len(recommend(pipeline, stranger, n=5)) in (0, 5)
        if family.predicts_ratings:
            found = predict(pipeline, stranger, ItemList(split.item_ids[:3]))
            assert np.isfinite(found.scores()).all()

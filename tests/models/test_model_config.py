"""Configurations: what is accepted, what it becomes, what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from recsearch.errors import UsageError
from recsearch.models import resolve


def test_defaults_are_lenskits() -> None:
    assert resolve("als").complete({}) == {
        "embedding_size": 50,
        "regularization": {"user": 0.1, "item": 0.1},
        "user_embeddings": True,
        "damping": {"user": 5.0, "item": 5.0},
    }
    assert resolve("als-implicit").complete({}) == {
        "embedding_size": 50,
        "regularization": {"user": 0.1, "item": 0.1},
        "user_embeddings": True,
        "weight": 40.0,
        "use_ratings": False,
    }
    assert resolve("bias").complete({}) == {
        "entities": ["item", "user"],
        "damping": {"user": 0.0, "item": 0.0},
    }
    assert resolve("popular").complete({}) == {"score": "quantile"}


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"regularization": 0.2}, {"regularization": {"user": 0.2, "item": 0.2}}),
        ({"regularization": {"user": 0.2}}, {"regularization": {"user": 0.2, "item": 0.1}}),
        ({"damping": {"item": 3}}, {"damping": {"user": 0, "item": 3.0}}),
        ({"features": 20}, {"embedding_size": 20}),
        ({"embedding_size_exp": 5}, {"embedding_size": 32}),
        ({"embedding_size": 16.0}, {"embedding_size": 16}),
    ],
)
def test_equal_configurations_are_written_alike(
    given: dict[str, Any], same: dict[str, Any]
) -> None:
    family = resolve("als")
    assert family.complete(given) == family.complete(same)


def test_lenskit_reads_a_complete_configuration_as_meant() -> None:
    from lenskit.als import BiasedMFConfig

    config = BiasedMFConfig(**resolve("als").complete({"regularization": {"item": 0.3}}))
    assert (config.user_reg, config.item_reg) == (0.1, 0.3)


@pytest.mark.parametrize(
    ("family", "config", "words"),
    [
        (
            "als",
            {"regularization": {"users": 0.1}},
            ["regularization.users", "regularization.user"],
        ),
        ("als", {"embedding_size": 0}, ["embedding_size = 0", "greater than 0"]),
        ("als", {"embedding_size": 7.5}, ["embedding_size = 7.5", "integer"]),
        ("als", {"regularization": {"user": 0}}, ["regularization", "greater than 0"]),
        ("als", {"regularization": "much"}, ["regularization.user = 'much'", "number"]),
        ("als", {"regularization": float("inf")}, ["regularization", "finite"]),
        ("als", {"damping": {"user": -1}}, ["damping.user = -1", "at least 0"]),
        ("als", {"damping": float("nan")}, ["damping", "finite"]),
        ("als", {"user_embeddings": "sometimes"}, ["user_embeddings = 'sometimes'", "prefer"]),
        ("als", {"features": 3, "embedding_size": 4}, ["features", "same parameter"]),
        ("als", {"epochs": 10}, ["epochs", "max_epochs"]),
        ("als-implicit", {"damping": 3}, ["damping", "regularization"]),
        ("als-implicit", {"weight": -2}, ["weight = -2", "at least 0"]),
        ("bias", {"entities": ["user", "film"]}, ["entities", "film", "item"]),
        ("popular", {"score": "fame"}, ["score = 'fame'", "quantile"]),
        ("popular", {"damping": 1}, ["damping", "score"]),
    ],
)
def test_a_refusal_names_key_value_and_what_was_expected(
    family: str, config: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(family).complete(config)
    for word in words:
        assert word in str(caught.value)


def test_create_completes_the_configuration_itself() -> None:
    from model_splits import make_split

    model = resolve("als").create({"embedding_size": 3}, make_split(), 0)
    assert model.config == resolve("als").complete({"embedding_size": 3})


def test_negative_ratings_cannot_be_confidences() -> None:
    from dataclasses import replace

    from model_splits import make_split

    split = make_split()
    split = replace(split, train=replace(split.train, values=split.train.values - 3))
    family = resolve("als-implicit")
    family.create({}, split, 0)
    with pytest.raises(UsageError, match="use_ratings"):
        family.create({"use_ratings": True}, split, 0)


def test_scores_after_a_partial_state_name_the_missing_part() -> None:
    import numpy as np
    from model_splits import make_split

    split, family = make_split(), resolve("als")
    config = {"embedding_size": 3, "user_embeddings": "prefer"}
    model = family.create(config, split, 0)
    model.train_epoch()
    state = {name: model.state()[name] for name in family.continue_parts or ()}
    again = family.create(config, split, 0)
    again.load_state(state)
    with pytest.raises(UsageError, match="'users'"):
        again.scores(np.array([0]))
    again.train_epoch()
    assert np.isfinite(again.scores(np.array([0]))).all()


@pytest.mark.parametrize("size", [2, 5])
def test_a_state_of_another_size_is_refused(size: int) -> None:
    from model_splits import make_split

    split, family = make_split(), resolve("als")
    model = family.create({"embedding_size": 3}, split, 0)
    with pytest.raises(UsageError, match=rf"shape \(50, 3\).* \(50, {size}\)"):
        family.create({"embedding_size": size}, split, 0).load_state(model.state())
    with pytest.raises(UsageError, match="shape"):
        family.load({"embedding_size": size}, model.state())


def test_a_state_of_another_family_is_refused() -> None:
    from model_splits import make_split

    split = make_split()
    state = resolve("popular").create({}, split, 0).state()
    with pytest.raises(UsageError, match="item_embeddings"):
        resolve("als").load({}, state)


@pytest.mark.parametrize("module", ["biased", "implicit"])
def test_a_completed_configuration_is_known_as_one(module: str) -> None:
    from importlib import import_module

    from recsearch.models.config import is_complete

    adapter = import_module(f"recsearch.models.als.{module}")
    config = resolve(adapter.NAME).complete({})
    assert is_complete(config, adapter.FIELDS, adapter.PAIRS)
    assert not is_complete({**config, "regularization": 0.1}, adapter.FIELDS, adapter.PAIRS)
    assert not is_complete({"embedding_size": 3}, adapter.FIELDS, adapter.PAIRS)

"""Keys that the command line sets over those of a search file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_files import FILE

from recsearch.errors import SpecError, UsageError
from recsearch.space import Float, Int
from recsearch.spec import load_search, parse_override

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def load(tmp_path):
    """Loads `FILE` with overrides."""

    def load(overrides=None):
        path = tmp_path / "mine.toml"
        path.write_text(FILE, encoding="utf-8")
        return load_search(path, overrides=overrides)

    return load


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("search.trials=20", "search.trials", 20),
        (" search.trials = 20 ", "search.trials", 20),
        ("search.metric=NDCG@10", "search.metric", "NDCG@10"),
        ('search.metric="RMSE"', "search.metric", "RMSE"),
        ("space.a.max=1e-3", "space.a.max", 1e-3),
        ("model.config.bias=true", "model.config.bias", True),
        ('search.metrics=["MAE"]', "search.metrics", ["MAE"]),
        ('space.a={type="bool"}', "space.a", {"type": "bool"}),
        ("title=a = b", "title", "a = b"),
        ("title=1\nx = 2", "title", "1\nx = 2"),
        ("title=", "title", ""),
    ],
)
def test_parse_override(text, key, value):
    assert parse_override(text) == (key, value)


@pytest.mark.parametrize("text", ["search.trials", "=3", ""])
def test_parse_override_refuses(text):
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        parse_override(text)


def test_overrides_are_laid_over_the_file(load):
    spec = load(
        overrides={
            "title": "Mine",
            "search.trials": 20,
            "search.metric": "NDCG@10",
            "search.stop.patience": 9,
            "space.embedding_size.max": 64,
            "space.regularization.user.min": 0.5,
            "space.damping.item": {"type": "float", "min": 1, "max": 2},
            "model.config.user_embeddings": True,
        }
    )
    assert spec.title == "Mine"
    assert spec.search.trials == 20
    assert spec.search.metric == "NDCG@10"
    assert spec.search.stop.model_dump()["patience"] == 9
    assert spec.space["embedding_size"] == Int(4, 64, "log")
    assert spec.space["regularization.user"] == Float(0.5, 1, "log")
    assert spec.space["damping.item"] == Float(1, 2)
    assert spec.model.config == {"user_embeddings": True}


def test_a_stop_rule_may_be_named_alone(load):
    assert load(overrides={"search.stop": "none"}).search.stop.rule == "none"


def test_conditions_can_be_set(load):
    spec = load(
        overrides={
            "space.loss": {"type": "choice", "choices": ["a", "b"]},
            "space.damping.user.when.loss": "a",
        }
    )
    assert spec.space["damping.user"].when == (("loss", ("a",)),)


def test_the_options_of_a_scheduler_do_not_outlive_it(load):
    assert load().search.scheduler_options == {"grace": 2}
    assert load(overrides={"search.scheduler": "asha"}).search.scheduler_options == {"grace": 2}
    assert load(overrides={"search.scheduler": "median"}).search.scheduler_options == {}
    both = {"search.scheduler": "median", "search.scheduler_options.grace": 5}
    assert load(overrides=both).search.scheduler_options == {"grace": 5}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"search.trials": "x"}, 'search.trials: "x" does not fit, expected an integer'),
        ({"search.triasl": 1}, "did you mean trials?"),
        ({"serach.trials": 1}, "did you mean search?"),
        ({"title.x": 1}, "title is not a table"),
        ({"model": "als"}, 'model: "als" is not a table'),
        ({"space.embedding_size.mx": 3}, "did you mean max?"),
        ({"space.embedding_size.max": 3}, "4 is above max = 3"),
        ({"space.damping.usr.max": 3}, "did you mean damping.user?"),
        ({"space.damping.user": 3}, "model.config.damping.user for a fixed value"),
    ],
)
def test_wrong_overrides_blame_the_command_line(load, overrides, message):
    with pytest.raises(SpecError) as caught:
        load(overrides=overrides)
    assert caught.value.message.startswith("mine.toml, overridden by the command line: ")
    assert message in caught.value.message


@given(st.integers(1, 10**6), st.integers(4, 10**6))
def test_numbers_arrive_as_given(trials, top):
    texts = [f"search.trials={trials}", f"space.embedding_size.max={top}"]
    spec = load_search(ROOT / "searches" / "als.toml", overrides=dict(map(parse_override, texts)))
    assert spec.search.trials == trials
    assert spec.space["embedding_size"].high == top

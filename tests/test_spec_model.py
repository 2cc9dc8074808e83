"""Whether a search fits its model."""

import pytest
from spec_files import FILE

from recsearch.errors import SpecError
from recsearch.spec import check_against_model, load_search


@pytest.fixture
def load(tmp_path):
    """Loads `FILE` with one replacement."""

    def load(old="", new="", overrides=None):
        assert old in FILE
        path = tmp_path / "mine.toml"
        path.write_text(FILE.replace(old, new, 1), encoding="utf-8")
        return load_search(path, overrides=overrides)

    return load


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BiasedMFScorer", "BiasedMF", "model.class: "),
        ("user_embeddings", "user_embedings", "model.config: .*user_embeddings"),
        ("embedding_size", "embeding_size", "space.embeding_size = 4: .*embedding_size"),
        ("damping.user", "damping.usr", "space.damping.usr = 1e-12: .*damping.user"),
        ("min = 4,", "min = -4,", "space.embedding_size = -4: "),
    ],
)
def test_what_the_model_refuses_is_named(load, old, new, message):
    spec = load(old, new, {"space.embedding_size.scale": "uniform"} if "-4" in new else None)
    with pytest.raises(SpecError, match=r"mine\.toml: " + message):
        check_against_model(spec)


def test_every_choice_is_tried(load):
    table = {"type": "choice", "choices": [True, "prefer", "perfer"]}
    with pytest.raises(SpecError, match=r"space.user_embeddings = perfer"):
        check_against_model(load(overrides={"space.user_embeddings": table}))


def test_conditional_parameters_are_tried(load):
    spec = load(
        overrides={
            "space.user_embeddings": {"type": "choice", "choices": [False, "prefer"]},
            "space.dampng": {
                "type": "float",
                "min": 0,
                "max": 1,
                "when": {"user_embeddings": "prefer"},
            },
        }
    )
    with pytest.raises(SpecError, match=r"space.dampng = 0: .*damping"):
        check_against_model(spec)


def test_rating_metrics_need_predicted_ratings(tmp_path):
    spec = load_search("popular", overrides={"search.metric": "RMSE"})
    with pytest.raises(SpecError, match="RMSE needs predicted ratings"):
        check_against_model(spec)
    spec = load_search("popular", overrides={"search.metrics": ["MAE"]})
    with pytest.raises(SpecError, match="MAE needs predicted ratings"):
        check_against_model(spec)
    spec = load_search("popular", overrides={"model.predicts_ratings": True})
    with pytest.raises(SpecError, match="predicts no ratings"):
        check_against_model(spec)

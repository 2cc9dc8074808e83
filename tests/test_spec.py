"""Search files: what they say, what they may not say, overrides, and LensKit's format."""

import json
import re
from pathlib import Path

import pytest
from spec_files import FILE

from recsearch.errors import SpecError, UsageError
from recsearch.identity import canonical_json
from recsearch.space import Bool, Choice, Float, Int
from recsearch.spec import (
    SearchSpec,
    available_searches,
    check_against_model,
    describe_schema,
    load_search,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def load(tmp_path):
    """Loads `FILE` with one replacement."""

    def load(old="", new="", overrides=None):
        assert old in FILE
        path = tmp_path / "mine.toml"
        path.write_text(FILE.replace(old, new, 1), encoding="utf-8")
        return load_search(path, overrides=overrides)

    return load


def test_a_file_is_read_and_completed(load):
    spec = load()
    assert spec.title == "ALS"
    assert spec.source == "mine.toml"
    assert spec.model.class_ == "lenskit.als:BiasedMFScorer"
    assert spec.search.trials == 50
    assert spec.search.max_epochs == 30
    assert spec.search.method == "tpe"
    assert spec.search.lag == 8
    assert spec.search.retention == "best+last"
    assert spec.search.stop.model_dump() == {
        "rule": "plateau",
        "patience": 4,
        "min_improvement": 0.005,
        "grace": 3,
    }
    assert spec.direction == "min"
    assert list(spec.space) == [
        "embedding_size",
        "damping.user",
        "regularization.user",
        "regularization.item",
    ]
    assert spec.space["embedding_size"] == Int(4, 512, "log")
    assert spec.space["damping.user"] == Float(1e-12, 100, "log")
    assert spec.notes == ()


def test_dotted_keys_equal_nested_tables(load, tmp_path):
    dotted = FILE.split("[space.regularization]")[0] + (
        'regularization.user = { type = "float", min = 1e-5, max = 1, scale = "log" }\n'
        '"regularization.item" = { type = "float", min = 1e-5, max = 1, scale = "log" }\n'
    )
    path = tmp_path / "dotted.toml"
    path.write_text(dotted, encoding="utf-8")
    assert load_search(path).space == load().space


def test_resolved_is_json_and_comes_back(load):
    spec = load()
    resolved = json.loads(json.dumps(spec.resolved()))
    assert resolved["search"]["stop"]["grace"] == 3
    assert resolved["space"]["embedding_size"] == {
        "type": "int",
        "min": 4,
        "max": 512,
        "scale": "log",
        "points": 5,
    }
    assert SearchSpec.from_resolved(resolved, "mine.toml") == spec
    assert canonical_json(SearchSpec.from_resolved(resolved).resolved()) == canonical_json(resolved)


def test_configuration_lays_parameters_over_the_fixed_ones(load):
    params = {"embedding_size": 8, "regularization.user": 0.5}
    assert load().configuration(params) == {
        "user_embeddings": "prefer",
        "embedding_size": 8,
        "regularization": {"user": 0.5},
    }


def test_every_type_and_condition(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(
        'title = "t"\nmodel.class = "als"\nsearch.metric = "NDCG@10"\nsearch.stop = "none"\n'
        "[space]\n"
        'loss = { type = "choice", choices = ["warp", "bpr"] }\n'
        'bias = { type = "bool", when = { loss = "warp" } }\n'
        'size = { type = "int", min = 8, max = 64, scale = "pow2", points = 3 }\n'
        'rate = { type = "float", min = 0, max = 1, step = 0.25, when.loss = ["warp", "bpr"] }\n'
        'k = { type = "int", min = 1, max = 50, grid = [10, 20] }\n',
        encoding="utf-8",
    )
    spec = load_search(path)
    assert spec.space["loss"] == Choice(("warp", "bpr"))
    assert spec.space["bias"] == Bool(when=(("loss", ("warp",)),))
    assert spec.space["size"] == Int(8, 64, "pow2", points=3)
    assert spec.space["rate"] == Float(0, 1, step=0.25, when=(("loss", ("warp", "bpr")),))
    assert spec.space["k"].grid_values() == (10, 20)
    assert spec.search.stop.model_dump() == {"rule": "none"}
    assert spec.direction == "max"
    again = SearchSpec.from_resolved(json.loads(json.dumps(spec.resolved())), "all.toml")
    assert again == spec


WRONG = [
    ("trials = 50", "trails = 50", "search.trails: is no key of [search]", "did you mean trials?"),
    ("trials = 50", 'trials = "50"', 'search.trials: "50" does not fit', "an integer"),
    ("trials = 50", "trials = 0", "search.trials: 0 does not fit", "1 or more"),
    ("trials = 50", "trials = true", "search.trials: true does not fit", "an integer"),
    ("trials = 50", 'method = "tpa"', 'search.method: "tpa"', "did you mean tpe?"),
    ("trials = 50", "lag = 0", "search.lag: 0", "1 or more"),
    ("trials = 50", 'retention = "bset"', 'search.retention: "bset"', "best+last"),
    ("trials = 50", 'metrics = "NDCG"', 'search.metrics: "NDCG"', "an array"),
    ("trials = 50", 'metrics = ["NDGC@10"]', "search.metrics: ", "NDCG@10"),
    ('"asha"', '"ahsa"', 'search.scheduler: "ahsa"', "did you mean asha?"),
    ('metric = "RMSE"', 'metric = "RMS"', "search.metric: ", "RMSE"),
    ('metric = "RMSE"', "", "search.metric: is missing", "a value"),
    ("patience", "patiance", "search.stop.patiance", "did you mean patience?"),
    ('"plateau"', '"platau"', 'search.stop.rule: "platau"', "did you mean plateau?"),
    ("patience = 4", "patience = 0", "search.stop.patience: 0", "1 or more"),
    ("patience = 4", "min_improvement = nan", "search.stop.min_improvement: nan", "finite"),
    ("[search]", "[serach]", "serach: is no key of the file", "did you mean search?"),
    ('title = "ALS"', "", "title: is missing", "a string"),
    ('title = "ALS"', "title = 3", "title: 3", "a string"),
    ("class =", "clas =", "model.clas: is no key of [model]", "did you mean class?"),
    ('"prefer"', "nan", "model.config.user_embeddings: nan", "finite"),
    ('"prefer"', "1979-05-27", "model.config.user_embeddings: 1979-05-27", "a string"),
    ("max = 512", "mx = 512", "space.embedding_size.mx", "did you mean max?"),
    (", max = 512", "", "space.embedding_size.max: is missing", "a value"),
    ("max = 512", "max = 3", "space.embedding_size.min: 4 is above max = 3", "min <= max"),
    ("max = 512", "max = 9.5", "space.embedding_size.max: 9.5", "an integer"),
    ("min = 4", "min = 0", "space.embedding_size.min: 0 has no logarithm", "above 0"),
    ("max = 512", "max = 512, step = 2", "space.embedding_size.step", "no step"),
    ("max = 512", "max = 512, points = 1", "space.embedding_size.points: 1", "2 or more"),
    ("max = 512", "max = 512, grid = [2]", "space.embedding_size.grid: 2 is outside", "4 … 512"),
    ('"int"', '"itn"', 'space.embedding_size.type: "itn"', "did you mean int?"),
    ('type = "int", ', "", "space.embedding_size.type: is missing", "int, float, bool, choice"),
    ('scale = "log"', 'scale = "lgo"', 'space.embedding_size.scale: "lgo"', "did you mean log?"),
    ('scale = "log"', 'scale = "pow2", when = 3', "space.embedding_size.when: 3", "a table"),
    ('scale = "log"', "when = { x = 3 }", "space.embedding_size.when.x", "one of damping.user"),
    ("max = 100", "max = inf", "space.damping.user.max: inf", "finite"),
    ("min = 1e-12", 'min = "a"', 'space.damping.user.min: "a"', "a number"),
    ("embedding_size = {", "embedding_size.x = 3 #", "space.embedding_size.type", "int, float"),
    ("[space]", "[space]\nx = 3", "space.x: 3 is not a table", "a parameter such as"),
    (
        "[space]",
        '[space]\nx = { type = "choice", choices = [] }',
        "space.x.choices: is empty",
        "one value or more",
    ),
    (
        "[space]",
        '[space]\nx = { type = "choice", choices = [[1]] }',
        "space.x.choices.0: [1] does not fit",
        "a string, number or boolean",
    ),
    ("[space]", '[space]\nx = { type = "bool", min = 1 }', "space.x.min: is no key", "when"),
]


@pytest.mark.parametrize(("old", "new", "problem", "expected"), WRONG)
def test_what_is_wrong_is_named_in_one_paragraph(load, old, new, problem, expected):
    with pytest.raises(SpecError) as caught:
        load(old, new)
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    assert problem in message
    assert expected in message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_syntax_errors_have_their_line(load):
    with pytest.raises(SpecError, match=r"mine\.toml: .*line 5.*expected valid TOML"):
        load("[search]", "[search")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_search(path)


def test_a_parameter_may_not_be_the_parent_of_another(load):
    with pytest.raises(SpecError, match=r"damping: is a parameter and the parent of damping.user"):
        load(overrides={"space.damping": {"type": "bool"}})


def test_unknown_names_list_the_nearest_and_all():
    with pytest.raises(UsageError) as caught:
        load_search("alss")
    assert "did you mean als?" in caught.value.message
    assert "bias" in caught.value.message
    assert caught.value.hint == "recsearch spaces list"
    with pytest.raises(UsageError, match=r"no search file .*nowhere"):
        load_search("nowhere/als.toml")


def test_searches_of_the_current_folder_come_first(tmp_path, monkeypatch):
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / "als.toml").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_search("als").title == "ALS"
    assert load_search("bias").title == "Bias"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "searches").glob("*.toml")))
def test_bundled_searches_fit_their_models(name):
    assert name in available_searches()
    spec = load_search(ROOT / "searches" / f"{name}.toml")
    check_against_model(spec)
    assert SearchSpec.from_resolved(spec.resolved(), spec.source) == spec


def test_bundled_spaces_are_those_of_the_codex():
    als = load_search(ROOT / "searches" / "als.toml")
    assert als.space.describe() == {
        "embedding_size": "log-uniform integer 4 … 512",
        "regularization.user": "log-uniform float 1e-05 … 1",
        "regularization.item": "log-uniform float 1e-05 … 1",
        "damping.user": "log-uniform float 1e-12 … 100",
        "damping.item": "log-uniform float 1e-12 … 100",
    }
    assert (als.search.metric, als.search.trials, als.search.max_epochs) == ("RMSE", 100, 30)
    implicit = load_search(ROOT / "searches" / "als-implicit.toml").space
    assert (implicit["weight"].low, implicit["weight"].high) == (1.0, 100.0)
    popular = load_search(ROOT / "searches" / "popular.toml")
    assert (len(popular.space), popular.search.trials) == (0, 1)


def test_the_documentation_has_every_key():
    text = (ROOT / "docs" / "searches.md").read_text(encoding="utf-8")
    for key, meaning in describe_schema().items():
        row = f"| `{key}` | {meaning.replace('``', '`').replace('|', chr(92) + '|')} |"
        assert row in text, f"docs/searches.md lacks or misstates {key}: {row}"
    assert all(describe_schema().values())


def test_toml_examples_of_the_documentation_load(tmp_path):
    text = (ROOT / "docs" / "searches.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(title.*?)```", text, re.DOTALL)
    assert examples
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(example, encoding="utf-8")
        check_against_model(load_search(path))

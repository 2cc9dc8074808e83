"""Search files in the format of LensKit's tuner and the LensKit Codex."""

import json
from pathlib import Path

import pytest

from recsearch.errors import SpecError
from recsearch.spec import SearchSpec, check_against_model, load_search

ALS = """\
[search]
metric = "RMSE"

[space.scorer]
embedding_size = { type = "int", min = 8, max = 1024, scale = "pow2" }
regularization.user = { type = "float", min = 1e-5, max = 0.2, scale = "log" }
regularization.item = { type = "float", min = 1e-5, max = 0.2, scale = "log" }
damping.user = { type = "float", min = 1e-12, max = 100, scale = "log" }
damping.item = { type = "float", min = 1e-12, max = 100, scale = "log" }

[pipeline]
file = "pipeline.toml"
"""

ALS_PIPELINE = """\
[meta]
name = "als-biased"

[options]
base = "std:topn-predict"

[components.scorer]
class = "lenskit.als.BiasedMFScorer"

[components.scorer.config]
user_embeddings = "prefer"
"""

FLEXMF = """\
embedding_size = { type = "int", min = 8, max = 1024, scale = "pow2" }
regularization = { type = "float", min = 1e-4, max = 10, scale = "log" }
learning_rate = { type = "float", min = 1e-3, max = 0.1, scale = "log" }
"""
NEIGHBOURS = """\
max_nbrs = { type = "int", min = 2, max = 50 }
min_nbrs = { type = "int", min = 1, max = 5 }
min_sim = { type = "float", min = 1.0e-6, max = 0.1, scale = "log" }
"""
SPACES = {
    "als-implicit": 'weight = { type = "float", min = 5, max = 60 }\n',
    "bias": 'damping.user = { type = "float", min = 0.1, max = 100, scale = "log" }\n',
    "ease": 'regularization = { type = "float", min = 0.01, max = 1000, scale = "log" }\n',
    "slim-fs": 'max_nbrs = { type = "int", min = 50, max = 2000, scale = "log" }\n',
    "iknn": NEIGHBOURS,
    "flexmf-explicit": FLEXMF,
    "flexmf-bpr": FLEXMF
    + 'negative_count = { type = "int", min = 1, max = 5 }\n'
    + 'item_bias = { type = "bool" }\n',
}


def write(folder: Path, search: str = ALS, pipeline: str = ALS_PIPELINE) -> Path:
    folder = folder / "als-biased"
    folder.mkdir()
    (folder / "pipeline.toml").write_text(pipeline, encoding="utf-8")
    path = folder / "search.toml"
    path.write_text(search, encoding="utf-8")
    return path


def inline(space: str, search: str = 'metric = "RBP"', pipeline: str = "") -> str:
    return f"""\
[search]
{search}
[space.scorer]
{space}
[pipeline.meta]
name = "inline"
[pipeline.options]
base = "std:topn"
[pipeline.components.scorer]
class = "lenskit.als:ImplicitMFScorer"
{pipeline}
"""


def test_a_codex_search_with_its_pipeline_file(tmp_path):
    spec = load_search(write(tmp_path))
    assert spec.title == "als-biased"
    assert spec.source == "search.toml"
    assert spec.model.class_ == "lenskit.als:BiasedMFScorer"
    assert spec.model.config == {"user_embeddings": "prefer"}
    assert spec.model.predicts_ratings is True
    assert spec.search.metric == "RMSE"
    assert spec.search.method == "tpe"
    assert spec.search.trials == 60
    assert spec.search.max_epochs == 100
    assert spec.search.scheduler == "median"
    assert spec.search.stop.model_dump() == {
        "rule": "plateau",
        "patience": 3,
        "min_improvement": 0.005,
        "grace": 3,
    }
    assert spec.space.describe()["embedding_size"] == "integer 8 … 1024, powers of two"
    assert list(spec.space) == [
        "embedding_size",
        "regularization.user",
        "regularization.item",
        "damping.user",
        "damping.item",
    ]
    assert spec.notes == ()
    check_against_model(spec)
    resolved = json.loads(json.dumps(spec.resolved()))
    assert SearchSpec.from_resolved(resolved, "search.toml") == spec


@pytest.mark.parametrize("name", SPACES)
def test_codex_spaces_are_read(tmp_path, name):
    spec = load_search(write(tmp_path, inline(SPACES[name])))
    assert len(spec.space) == SPACES[name].count("\n")
    assert spec.title == "inline"
    assert spec.model.predicts_ratings is False


def test_every_option_of_lenskit_has_a_counterpart_or_a_note(tmp_path):
    options = """\
method = "optuna"
max_points = 30
default_points = 100
max_epochs = 50
min_epochs = 5
metric = "RBP"
list_length = 1000
num_cpus = "all-threads"
num_gpus = 0.2
checkpoint_iters = 4
error_action = "abort"
"""
    weight = 'weight = { type = "float", min = 5, max = 100, scale = "log", base = 2 }\n'
    pipeline = "config = { epochs = 5, weight = 40 }\n[pipeline.components.ranker]\nclass = 'a.B'"
    spec = load_search(write(tmp_path, inline(weight, options, pipeline)))
    search = spec.search
    assert (search.method, search.trials, search.max_epochs) == ("tpe", 30, 50)
    assert search.metric == "RBP@1000"
    assert search.stop.model_dump()["grace"] == 5
    assert spec.model.config == {"weight": 40}
    noted = [note.partition(":")[0] for note in spec.notes]
    assert noted == [
        "components.scorer.config.epochs",
        "components.ranker",
        "search.num_cpus",
        "search.num_gpus",
        "search.checkpoint_iters",
        "search.error_action",
        "space.scorer.weight.base",
    ]


@pytest.mark.parametrize(
    ("method", "ours"),
    [("hyperopt", "tpe"), ("optuna", "tpe"), ("tpe", "tpe"), ("random", "random")],
)
def test_methods(tmp_path, method, ours):
    path = write(tmp_path, ALS.replace("[search]", f'[search]\nmethod = "{method}"'))
    assert load_search(path).search.method == ours


@pytest.mark.parametrize(
    ("given", "trials"),
    [("", 60), ("max_points = 20", 20), ("max_points = 90", 60), ("default_points = 100", 100)],
)
def test_the_number_of_trials_is_lenskits(tmp_path, given, trials):
    assert (
        load_search(write(tmp_path, ALS.replace("[search]", f"[search]\n{given}"))).search.trials
        == trials
    )


def test_a_metric_without_cut_off_keeps_its_whole_list(tmp_path):
    spec = load_search(write(tmp_path, ALS.replace("[search]", "[search]\nlist_length = 100")))
    assert spec.search.metric == "RMSE"
    assert spec.notes == ("search.list_length: RMSE has no cut-off",)


@pytest.mark.parametrize(("base", "metric"), [("std:topn-predict", "RMSE"), ("std:topn", "RBP")])
def test_without_a_metric_the_pipeline_decides(tmp_path, base, metric):
    pipeline = ALS_PIPELINE.replace("std:topn-predict", base)
    spec = load_search(write(tmp_path, ALS.replace('metric = "RMSE"', ""), pipeline))
    assert spec.search.metric == metric
    assert spec.notes == (f"search.metric: not given, so {metric}",)


def test_exponents_become_powers_of_two(tmp_path):
    spec = load_search(
        write(tmp_path, inline('embedding_size_exp = { type = "int", min = 3, max = 10 }'))
    )
    assert spec.space.describe() == {"embedding_size": "integer 8 … 1024, powers of two"}


@pytest.mark.parametrize(
    ("feedback", "base", "metric"),
    [("explicit", "std:topn-predict", "RMSE"), ("implicit", "std:topn", "RBP")],
)
@pytest.mark.parametrize("short", ["iknn", "uknn"])
def test_the_codexs_neighbourhoods_are_told_apart_by_feedback(
    tmp_path, short, feedback, base, metric
):
    cls = {"iknn": "ItemKNNScorer", "uknn": "UserKNNScorer"}[short]
    pipeline = (
        f'[options]\nbase = "{base}"\n[components.scorer]\nclass = "lenskit.knn.{cls}"\n'
        f'[components.scorer.config]\nfeedback = "{feedback}"\n'
        + ("save_nbrs = 10000\n" if short == "iknn" else "")
    )
    head = f'[search]\nmetric = "{metric}"\n[pipeline]\nfile = "pipeline.toml"\n[space.scorer]\n'
    spec = load_search(write(tmp_path, head + NEIGHBOURS, pipeline))
    assert spec.model.class_ == f"{short}-{feedback}"
    assert spec.model.config["feedback"] == feedback
    check_against_model(spec)
    assert SearchSpec.from_resolved(spec.resolved(), spec.source) == spec


def test_a_json_pipeline(tmp_path):
    document = {"meta": {}, "components": {"scorer": {"code": "lenskit.als:BiasedMFScorer"}}}
    path = write(tmp_path, ALS.replace("pipeline.toml", "pipeline.json"))
    path.with_name("pipeline.json").write_text(json.dumps(document), encoding="utf-8")
    spec = load_search(path)
    assert spec.model.class_ == "lenskit.als:BiasedMFScorer"
    assert spec.title == path.parent.name
    assert spec.model.predicts_ratings is None


def test_overrides_use_our_keys(tmp_path):
    spec = load_search(
        write(tmp_path),
        overrides={"search.trials": 5, "space.embedding_size.max": 64, "search.stop": "none"},
    )
    assert spec.search.trials == 5
    assert spec.space["embedding_size"].high == 64
    assert spec.search.stop.rule == "none"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric", "metrc", r"search\.metrc: is no key of \[search\].*did you mean metric\?"),
        ("[search]", "[search]\nmax_points = 0", r"search\.max_points: 0 does not fit"),
        ("[search]", "[search]\nmethod = 'grid'", r'search\.method: "grid" does not fit'),
        ("space.scorer", "space.score", r"components\.score: is missing.*there is scorer"),
        ("[pipeline]", "[space.other]\nx = 1\n[pipeline]", "holds the components scorer, other"),
        ("pipeline.toml", "nowhere.toml", r"pipeline\.file: there is no .*nowhere\.toml"),
        ("pipeline.toml", "pipeline.yaml", r"pipeline\.file: .*expected a \.toml or \.json file"),
        ("[pipeline]", "[extra]\n[pipeline]", "extra: is no key of the file"),
        ("embedding_size = {", "embedding_size = 3 #", r"space\.scorer\.embedding_size: 3"),
        ("min = 8", "min = 9", r"space\.embedding_size\.min: 9 is not a power of two"),
        ("min = 8", "mn = 8", r"space\.embedding_size\.mn: is no key"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    assert old in ALS
    with pytest.raises(SpecError, match=message):
        load_search(write(tmp_path, ALS.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class =", "clas =", r"pipeline\.toml: components\.scorer\.class: "),
        ("[components.scorer]", "[components.other]", r"components\.scorer"),
        ("[meta]", "[meta", r"pipeline\.toml: .*line"),
    ],
)
def test_what_is_wrong_in_the_pipeline_names_its_file(tmp_path, old, new, message):
    with pytest.raises(SpecError, match=message):
        load_search(write(tmp_path, pipeline=ALS_PIPELINE.replace(old, new, 1)))

"""Every search of the LensKit Codex loads unchanged: read, checked against its model, started."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from recsearch.errors import SpecError
from recsearch.models import resolve
from recsearch.settings import run_name
from recsearch.spec import SearchSpec, check_against_model, load_search, search_name
from recsearch.suggest.defaults import default_params
from tests.codex_files import CODEX, CODEX_2025, ModelFolder

SIZE = {"embedding_size": ("int", 8, 1024, "pow2")}
SMALL = {"embedding_size": ("int", 8, 256, "pow2")}
PENALTIES = {f"regularization.{side}": ("float", 1e-5, 0.2, "log") for side in ("user", "item")}
DAMPING = {f"damping.{side}": ("float", 0.1, 100, "log") for side in ("user", "item")}
TINY_DAMPING = {f"damping.{side}": ("float", 1e-12, 100, "log") for side in ("user", "item")}
GRADIENT = {
    "regularization": ("float", 1e-4, 10, "log"),
    "learning_rate": ("float", 1e-3, 0.1, "log"),
}
NEGATIVES = {"negative_count": ("int", 1, 5, "uniform")}
WEIGHT = {"positive_weight": ("int", 1, 10, "uniform")}
USER_BIAS = {"user_bias": ("bool", False, True, None)}
ITEM_BIAS = {"item_bias": ("bool", False, True, None)}
LAYERS = {"convolution_layers": ("int", 1, 3, "uniform")}
NEIGHBOURS = {
    "max_nbrs": ("int", 2, 50, "uniform"),
    "min_nbrs": ("int", 1, 5, "uniform"),
    "min_sim": ("float", 1e-6, 0.1, "log"),
}
SLIM = dict.fromkeys(("l1_reg", "l2_reg"), ("float", 0.01, 1000, "log"))
BPR = {"loss": "pairwise", "reg_method": "AdamW", "user_bias": False, "item_bias": False}
LOGISTIC = {"loss": "logistic", "reg_method": "AdamW", "user_bias": True}
COUNTS = {"max_nbrs": 20, "min_nbrs": 2}


@dataclass(frozen=True)
class Expected:
    """What a search comes to here.

    Attributes:
        component: the family's component.
        space: type, bounds and scale by parameter, in the order of the file.
        fixed: the fixed parameters.
        metric: the objective; RMSE is minimised, RBP maximised.
        trials: number of trials.
        epochs: most epochs of a trial.
        start: searched parameters of trial 1 that the pipeline gives.
        notes: what is noted, by key.
    """

    component: str
    space: dict[str, tuple[str, Any, Any, str | None]]
    fixed: dict[str, Any] = field(default_factory=dict)
    metric: str = "RBP"
    trials: int = 60
    epochs: int = 100
    start: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


PREFER = {"user_embeddings": "prefer"}
GPU = ("search.num_gpus",)
ITEM = {**COUNTS, "save_nbrs": 10000}
FLEXMF = "lenskit.flexmf:FlexMFImplicitScorer"
EXPECTED = {
    "als-biased": Expected(
        "lenskit.als:BiasedMFScorer", SIZE | PENALTIES | TINY_DAMPING, PREFER, "RMSE"
    ),
    "als-implicit": Expected(
        "lenskit.als:ImplicitMFScorer",
        SIZE | PENALTIES | {"weight": ("float", 5, 60, "uniform")},
        PREFER,
    ),
    "bias": Expected(
        "lenskit.basic:BiasScorer",
        DAMPING,
        {"damping": 50},
        "RMSE",
        trials=30,
        start={"damping.user": 50, "damping.item": 50},
        notes=("search.num_cpus",),
    ),
    "flexmf-explicit": Expected(
        "lenskit.flexmf:FlexMFExplicitScorer",
        SIZE | GRADIENT,
        {"reg_method": "AdamW"},
        "RMSE",
        epochs=50,
        notes=GPU,
    ),
    "flexmf-bpr": Expected(
        FLEXMF,
        SIZE | GRADIENT | NEGATIVES | WEIGHT | ITEM_BIAS,
        BPR,
        epochs=50,
        start={"item_bias": False},
        notes=GPU,
    ),
    "flexmf-logistic": Expected(
        FLEXMF,
        SIZE | GRADIENT | NEGATIVES | WEIGHT | USER_BIAS | ITEM_BIAS,
        LOGISTIC,
        epochs=50,
        start={"user_bias": True},
        notes=GPU,
    ),
    "flexmf-warp": Expected(
        FLEXMF,
        SIZE | GRADIENT | WEIGHT | ITEM_BIAS,
        {**BPR, "loss": "warp"},
        epochs=50,
        start={"item_bias": False},
        notes=("components.scorer.config.epochs", *GPU),
    ),
    "lightgcn-bpr": Expected(
        FLEXMF,
        SMALL | GRADIENT | NEGATIVES | WEIGHT | ITEM_BIAS | LAYERS,
        {**BPR, "convolution_layers": 2},
        epochs=50,
        start={"convolution_layers": 2},
        notes=GPU,
    ),
    "lightgcn-logistic": Expected(
        FLEXMF,
        SMALL | GRADIENT | NEGATIVES | WEIGHT | USER_BIAS | ITEM_BIAS | LAYERS,
        {**LOGISTIC, "convolution_layers": 2},
        epochs=50,
        start={"convolution_layers": 2, "user_bias": True},
        notes=GPU,
    ),
    "iknn-explicit": Expected(
        "lenskit.knn:ItemKNNScorer",
        NEIGHBOURS,
        {"feedback": "explicit", **ITEM},
        "RMSE",
        start=COUNTS,
    ),
    "iknn-implicit": Expected(
        "lenskit.knn:ItemKNNScorer", NEIGHBOURS, {"feedback": "implicit", **ITEM}, start=COUNTS
    ),
    "uknn-explicit": Expected(
        "lenskit.knn:UserKNNScorer",
        NEIGHBOURS,
        {"feedback": "explicit", **COUNTS},
        "RMSE",
        start=COUNTS,
    ),
    "uknn-implicit": Expected(
        "lenskit.knn:UserKNNScorer",
        NEIGHBOURS,
        {"feedback": "implicit", **COUNTS},
        start=COUNTS,
        notes=("meta.name",),
    ),
    "ease": Expected(
        "lenskit.knn:EASEScorer", {"regularization": ("float", 0.01, 1000, "log")}, trials=30
    ),
    "slim": Expected("lenskit.knn:SLIMScorer", SLIM, trials=30),
    "slim-fs": Expected(
        "lenskit.knn:SLIMScorer",
        {"max_nbrs": ("int", 50, 2000, "log")} | SLIM,
        {"max_nbrs": 200},
        start={"max_nbrs": 200},
    ),
}


def shape(spec: SearchSpec) -> dict[str, tuple[str, Any, Any, str | None]]:
    """Type, bounds and scale of every parameter."""
    shapes = {}
    for name, table in spec.space.tables().items():
        extremes = spec.space[name].extremes()
        shapes[name] = (table["type"], extremes[0], extremes[-1], table.get("scale"))
    return shapes


def keys_of(notes: tuple[str, ...]) -> list[str]:
    return [note.partition(":")[0] for note in notes]


def test_every_search_of_the_codex_is_here() -> None:
    assert CODEX.keys() == EXPECTED.keys()
    assert len(CODEX) == 16


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_read_unchanged(tmp_path: Path, name: str) -> None:
    expected, spec = EXPECTED[name], load_search(CODEX[name].write(tmp_path, name))
    assert shape(spec) == expected.space
    assert list(spec.space) == list(expected.space)
    assert spec.model.config == expected.fixed
    assert spec.model.predicts_ratings is (expected.metric == "RMSE")
    assert spec.search.metric == expected.metric
    assert spec.direction == ("min" if expected.metric == "RMSE" else "max")
    assert (spec.search.method, spec.search.scheduler) == ("tpe", "median")
    assert (spec.search.trials, spec.search.max_epochs) == (expected.trials, expected.epochs)
    assert spec.search.stop.model_dump()["grace"] == 3
    assert keys_of(spec.notes) == list(expected.notes)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_comes_back_from_the_identity_of_its_run(tmp_path: Path, name: str) -> None:
    spec = load_search(CODEX[name].write(tmp_path, name))
    again = SearchSpec.from_resolved(json.loads(json.dumps(spec.resolved())), spec.source)
    assert again.resolved() == spec.resolved()


@pytest.mark.parametrize("name", EXPECTED)
def test_it_names_its_runs_and_its_page(tmp_path: Path, name: str) -> None:
    path = CODEX[name].write(tmp_path, name)
    assert run_name(str(path), "ml1m") == f"{name}-ml1m"
    assert load_search(path).title == name


@pytest.mark.parametrize("name", EXPECTED)
def test_it_fits_its_model_and_starts_where_its_pipeline_is(tmp_path: Path, name: str) -> None:
    expected, spec = EXPECTED[name], load_search(CODEX[name].write(tmp_path, name))
    check_against_model(spec)
    family = resolve(spec.model.class_)
    assert family.class_path == expected.component
    assert family.predicts_ratings is (expected.metric == "RMSE")
    start = default_params(spec, family.complete(spec.model.config))
    assert start.keys() == expected.space.keys()
    assert {key: start[key] for key in expected.start} == expected.start
    complete = family.complete(spec.configuration(start))
    for key, value in expected.fixed.items():
        if key not in {parameter.partition(".")[0] for parameter in expected.space}:
            assert complete[key] == value


@pytest.mark.parametrize("name", CODEX_2025)
def test_its_search_of_2025_is_the_same_one(tmp_path: Path, name: str) -> None:
    expected, spec = EXPECTED[name], load_search(CODEX_2025[name].write(tmp_path, name))
    assert shape(spec) == expected.space
    assert spec.model.config == expected.fixed
    assert spec.model.predicts_ratings is (expected.metric == "RMSE")
    assert spec.title == name
    check_against_model(spec)


def test_its_files_of_2025_say_what_has_another_meaning(tmp_path: Path) -> None:
    noted = {name: load_search(CODEX_2025[name].write(tmp_path, name)) for name in CODEX_2025}
    exponent = "space.scorer.embedding_size_exp.scale"
    assert keys_of(noted["als-biased"].notes) == [exponent]
    assert keys_of(noted["flexmf-bpr"].notes) == ["search.num_gpus", exponent]
    assert keys_of(noted["iknn-implicit"].notes) == ["options.base", "meta.name"]
    assert noted["als-biased"].search.max_epochs == 30
    assert noted["flexmf-bpr"].search.stop.model_dump()["grace"] == 5


def folder(space: str, search: str = "", **given: Any) -> ModelFolder:
    return ModelFolder("als.ImplicitMFScorer", space, search=search, **given)


def test_choices_and_switches_of_lenskit_2026(tmp_path: Path) -> None:
    space = """\
reg_method = { type = "choice", choices = ["L2", "AdamW"], scale = "uniform" }
item_bias = { type = "bool", min = 0, max = 1 }
negative_count = { type = "int", min = 1, max = 5, choices = [] }
"""
    spec = load_search(folder(space).write(tmp_path, "own"))
    assert shape(spec) == {
        "reg_method": ("choice", "L2", "AdamW", None),
        "item_bias": ("bool", False, True, None),
        "negative_count": ("int", 1, 5, "uniform"),
    }
    assert keys_of(spec.notes) == [
        f"space.scorer.{key}"
        for key in ("reg_method.scale", "item_bias.min", "item_bias.max", "negative_count.choices")
    ]


def test_the_rules_that_end_trials_in_lenskit_2026(tmp_path: Path) -> None:
    rules = """\
median_min_trials = 5
min_epochs = 2
plateau_check_iters = 4
plateau_min_rel_improvement = 0.002
"""
    search = load_search(folder("", rules).write(tmp_path, "own")).search
    assert search.scheduler_options == {"min_peers": 5}
    assert search.stop.model_dump() == {
        "rule": "plateau",
        "patience": 4,
        "min_improvement": 0.002,
        "grace": 2,
    }


def test_a_key_that_lenskit_ignores_is_noted_unless_it_looks_misspelt(tmp_path: Path) -> None:
    spec = load_search(folder("", "owner = 'me'\n").write(tmp_path, "own"))
    assert keys_of(spec.notes) == ["search.owner"]
    with pytest.raises(SpecError, match=r"search\.max_point: .*did you mean max_points\?"):
        load_search(folder("", "max_point = 3\n").write(tmp_path, "misspelt"))


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("als._explicit:BiasedMFScorer", "lenskit.als:BiasedMFScorer"),
        ("basic.bias:BiasScorer", "lenskit.basic:BiasScorer"),
        ("als.BiasedMFScorer", "lenskit.als:BiasedMFScorer"),
        ("als:BiasedMFScorer", "lenskit.als:BiasedMFScorer"),
    ],
)
def test_pipelines_that_lenskit_saved_name_private_modules(
    tmp_path: Path, code: str, path: str
) -> None:
    spec = load_search(ModelFolder(code, "").write(tmp_path, "own"))
    assert spec.model.class_ == path
    check_against_model(spec)


def test_the_wiring_of_a_pipeline_is_noted(tmp_path: Path) -> None:
    path = folder("").write(tmp_path, "own")
    pipeline = path.with_name("pipeline.toml")
    wiring = 'default = "recommender"\naliases = { a = "b" }\n'
    more = '\n[components.reranker]\nclass = "some.Reranker"\n'
    options = "fallback_predictor = false\nn = 10\n[components.scorer]"
    text = pipeline.read_text(encoding="utf-8").replace("[components.scorer]", options)
    pipeline.write_text(wiring + text + more, encoding="utf-8")
    assert keys_of(load_search(path).notes) == [
        "components.reranker",
        "default",
        "aliases",
        "options.fallback_predictor",
        "options.n",
    ]


def test_only_a_search_beside_its_pipeline_is_named_by_its_folder(tmp_path: Path) -> None:
    path = folder("").write(tmp_path, "own")
    assert search_name(path) == "own"
    assert search_name(path.parent / ".." / "own" / "search.toml") == "own"
    assert search_name("als") == "als"
    assert search_name("searches/als.toml") == "als"
    path.with_name("pipeline.toml").unlink()
    assert search_name(path) == "search"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("min = 3", "min = -1", r"embedding_size_exp\.min: -1 .* an exponent of two, from 0 to 31"),
        ("max = 10", "max = 64", r"embedding_size_exp\.max: 64 does not fit"),
        ("max = 10", "max = 9.5", r"embedding_size_exp\.max: 9\.5 does not fit"),
        ("max = 10", "max = 2", r"embedding_size"),
        ("max_epochs = 30", "plateau_min_rel_improvement = 2", r"2 does not fit, .* below 1"),
        ("max_epochs = 30", "median_min_trials = 0", r"search\.median_min_trials: 0 does not fit"),
        ("[pipeline]", "[pipeline]\nmeta = {}", r"pipeline\.meta: stands beside pipeline\.file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = CODEX_2025["als-biased"].write(tmp_path, "als-biased")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_search(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[meta]\nname = ", "meta = ", r"pipeline\.toml: meta: .* is not a table"),
        ('name = "als-biased"', "name = 3", r"pipeline\.toml: meta\.name: 3 does not fit"),
        ("[options]\nbase = ", "[[options]]\nbase = ", r"options: .* is not a table"),
        ("[components.scorer.config]", "config = 3 #", r"components\.scorer\.config: 3"),
    ],
)
def test_what_is_wrong_in_the_pipeline_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = CODEX_2025["als-biased"].write(tmp_path, "als-biased")
    pipeline = path.with_name("pipeline.toml")
    text = pipeline.read_text(encoding="utf-8")
    assert old in text
    pipeline.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_search(path)

"""FlexMF and LightGCN: search files of the LensKit Codex, our own, and what they warn of."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from recsearch.cli import cli
from recsearch.spec import check_against_model, load_search
from recsearch.spec.warnings import search_warnings

SIZE = 'embedding_size = { type = "int", min = 8, max = 1024, scale = "pow2" }\n'
BASE = """\
regularization = { type = "float", min = 1e-4, max = 10, scale = "log" }
learning_rate = { type = "float", min = 1e-3, max = 0.1, scale = "log" }
"""
NEGATIVES = 'negative_count = { type = "int", min = 1, max = 5 }\n'
WEIGHT = 'positive_weight = { type = "int", min = 1, max = 10 }\n'
ITEM_BIAS = 'item_bias = { type = "bool" }\n'
USER_BIAS = 'user_bias = { type = "bool" }\n'
LAYERS = 'convolution_layers = { type = "int", min = 1, max = 3 }\n'
EXPONENT = 'embedding_size_exp = { type = "int", min = 3, max = 8 }\n'

PAIRWISE = 'loss = "pairwise"\nreg_method = "AdamW"\nuser_bias = false\n'
LOGISTIC = 'loss = "logistic"\nreg_method = "AdamW"\n'
WARP = 'loss = "warp"\nreg_method = "AdamW"\nuser_bias = false\n'
CODEX = {
    "flexmf-explicit": ("FlexMFExplicitScorer", 'reg_method = "AdamW"\n', SIZE + BASE),
    "flexmf-bpr": ("FlexMFImplicitScorer", PAIRWISE, SIZE + BASE + NEGATIVES + WEIGHT + ITEM_BIAS),
    "flexmf-logistic": (
        "FlexMFImplicitScorer",
        LOGISTIC,
        SIZE + BASE + NEGATIVES + WEIGHT + USER_BIAS + ITEM_BIAS,
    ),
    "flexmf-warp": ("FlexMFImplicitScorer", WARP, SIZE + BASE + WEIGHT + ITEM_BIAS),
    "lightgcn-bpr": (
        "FlexMFImplicitScorer",
        PAIRWISE,
        EXPONENT + BASE + NEGATIVES + WEIGHT + ITEM_BIAS + LAYERS,
    ),
    "lightgcn-logistic": (
        "FlexMFImplicitScorer",
        LOGISTIC,
        EXPONENT + BASE + NEGATIVES + WEIGHT + USER_BIAS + ITEM_BIAS + LAYERS,
    ),
}


def codex(folder: Path, name: str) -> Path:
    """A model folder as the Codex has them: ``search.toml`` beside ``pipeline.toml``."""
    cls, config, space = CODEX[name]
    metric, base = ("RMSE", "topn-predict") if cls.startswith("FlexMFE") else ("RBP", "topn")
    (folder / "pipeline.toml").write_text(
        f'[meta]\nname = "{name}"\n[options]\nbase = "std:{base}"\n[components.scorer]\n'
        f'class = "lenskit.flexmf.{cls}"\n[components.scorer.config]\n{config}',
        encoding="utf-8",
    )
    path = folder / "search.toml"
    path.write_text(
        f'[search]\nmetric = "{metric}"\nmax_epochs = 50\n[space.scorer]\n{space}'
        '[pipeline]\nfile = "pipeline.toml"\n',
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("name", CODEX)
def test_files_of_the_codex_load_unchanged_and_fit(tmp_path: Path, name: str) -> None:
    spec = load_search(codex(tmp_path, name))
    check_against_model(spec)
    assert len(spec.space) == CODEX[name][2].count("\n")
    top = 256 if name.startswith("lightgcn") else 1024
    assert spec.space.describe()["embedding_size"] == f"integer 8 … {top}, powers of two"
    assert spec.search.max_epochs == 50


@pytest.mark.parametrize("name", CODEX)
def test_our_files_cover_the_codexs_ranges_but_for_what_is_inert(tmp_path: Path, name: str) -> None:
    ours, theirs = load_search(name), load_search(codex(tmp_path, name))
    check_against_model(ours)
    inert = {"user_bias", "item_bias"} | (set() if "logistic" in name else {"positive_weight"})
    more = {"reg_method"} if name == "flexmf-explicit" else set()
    assert set(ours.space) - more == set(theirs.space) - inert
    for key, domain in ours.space.items():
        if key in more:
            continue
        low, high = theirs.space[key].extremes()[0], theirs.space[key].extremes()[-1]
        assert domain.extremes()[0] <= low
        assert domain.extremes()[-1] >= high


def test_warnings_are_those_of_every_choice_each_once(tmp_path: Path) -> None:
    assert search_warnings(load_search("flexmf-bpr")) == ()
    (warp,) = search_warnings(load_search("flexmf-warp"))
    assert "WARP" in warp
    path = tmp_path / "both.toml"
    path.write_text(
        'title = "both"\n[model]\nclass = "flexmf-implicit"\n'
        "config = { user_bias = false, item_bias = false }\n"
        '[search]\nmetric = "RBP"\n[space]\n'
        'loss = { type = "choice", choices = ["pairwise", "logistic", "warp"] }\n',
        encoding="utf-8",
    )
    assert search_warnings(load_search(str(path))) == (warp,)


@pytest.mark.parametrize("command", ["show", "check"])
def test_spaces_says_what_is_wrong(command: str) -> None:
    result = CliRunner().invoke(cli, ["spaces", command, "flexmf-warp"])
    assert result.exit_code == 0
    assert result.stderr.count("WARP") == 2  # what it does, and what the results are
    assert "note:" not in CliRunner().invoke(cli, ["spaces", command, "flexmf-bpr"]).stderr


def test_the_page_shows_what_a_run_noted_once_and_nothing_of_single_trials() -> None:
    from types import SimpleNamespace
    from typing import Any

    from analysis.overview import run_notes

    notes = ["samples wrongly", "trial 3: asked through its pipeline", "samples wrongly"]
    run: Any = SimpleNamespace(record=SimpleNamespace(notes=notes))
    assert run_notes(run) == ("samples wrongly",)


def test_a_run_is_warned_once(tmp_path: Path) -> None:
    """Resumed, it finds its note in the journal and is silent."""
    from types import SimpleNamespace
    from typing import Any

    from recsearch.tuning.session import Session

    said: list[str] = []
    written: list[str] = []
    notes: list[str] = []

    def write(event: str, text: str) -> None:
        assert event == "note"
        written.append(text)
        notes.append(text)

    session: Any = SimpleNamespace(
        _identity={},
        _resolved=SimpleNamespace(
            request=SimpleNamespace(spec=load_search("flexmf-warp")), notes=()
        ),
        record=SimpleNamespace(notes=notes),
        ledger=SimpleNamespace(write=write),
        _display=SimpleNamespace(note=said.append),
    )
    Session._warn(session)
    Session._warn(session)
    assert said == written == notes
    assert len(said) == 1

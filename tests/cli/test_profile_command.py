"""The profile of a data set: written when a search begins, added to older runs by a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from search_tools import search_without_ray

from analysis.profiles import read_profile
from recsearch.cli import cli
from recsearch.data import load_dataset, load_split
from recsearch.data.profile import data_profile
from recsearch.errors import UsageError, VerificationError
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


def invoke(*words: str) -> str:
    return CliRunner().invoke(cli, list(words), catch_exceptions=False).stdout


def test_a_search_records_its_data_and_the_command_the_same(tmp_path: Path) -> None:
    view = search_without_ray(
        tmp_path, dataset="demo:small", search="bias", folds=2, search__trials=1
    )
    path = RunPaths(view.path).data_profile
    ratings = load_dataset("demo:small")
    splits = [load_split(ratings, part=part) for part in (0, 1)]
    assert json.loads(path.read_text()) == data_profile(ratings, splits)
    profile = read_profile(view)
    assert profile is not None
    assert profile.n_ratings == view.identity["dataset"]["ratings"]
    assert set(profile.unknown) == set(view.identity["validation"]["split_ids"])
    before = path.read_bytes()
    path.unlink()
    assert invoke("data", "profile", str(view.path)).split() == [str(path)]
    assert path.read_bytes() == before
    text = json.loads(RunPaths(view.path).identity.read_text())
    text["dataset"]["dataset_id"] = "0" * 64
    RunPaths(view.path).identity.write_text(json.dumps(text))
    with pytest.raises(VerificationError, match="data set at hand is another one"):
        invoke("data", "profile", str(view.path))
    assert path.read_bytes() == before
    assert read_profile(RunView.open(view.path)) is None


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        invoke("data", "profile", str(tmp_path))


def test_show_tells_how_unequal_ratings_are() -> None:
    found = json.loads(invoke("data", "show", "demo:small", "--json"))["profile"]
    text = invoke("data", "show", "demo:small")
    for noun in ("user", "item"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"per {noun} ")]
        assert f"Gini {found[f'{noun}s']['gini']:.3f}" in line

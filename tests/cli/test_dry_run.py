"""``recsearch search --dry-run`` in this process: what it says is what the search would do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from search_tools import search_without_ray

from recsearch.cli import cli
from recsearch.errors import IdentityError, UsageError
from recsearch.run import RunView

ALS = ("search", "als", "demo", "--run", "run", "--store", "store", "--trials", "3",
       "--max-epochs", "4", "--set", "space.embedding_size.max=12")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--dry-run"], standalone_mode=False)


def forecast(*arguments: str) -> dict[str, Any]:
    result = dry(*arguments, "--json")
    assert result.exception is None, result.exception
    return dict(json.loads(result.stdout))


def suggested(root: Path) -> dict[int, dict[str, Any]]:
    return {trial.number: trial.params for trial in RunView.open(root).trials}


def test_nothing_is_written_and_ray_is_not_loaded(folder: Path) -> None:
    loaded = "ray" in sys.modules
    result = dry(*ALS)
    assert result.exception is None, result.exception
    assert list(folder.iterdir()) == []
    assert loaded or "ray" not in sys.modules
    for word in ("trials", "epochs", "time", "memory", "store", "about"):
        assert word in result.stdout
    assert result.stdout.splitlines()[-1].startswith("next ")
    assert "--dry-run" not in result.stdout.splitlines()[-1]


def test_the_planned_trials_are_those_of_the_search(folder: Path) -> None:
    found = forecast(*ALS)
    assert (found["total"], found["finished"], found["open"]) == (3, 0, 0)
    search_without_ray(folder)
    expected = suggested(folder / "run")
    assert {trial["trial"]: trial["params"] for trial in found["planned"]} == expected
    assert found["planned"][0]["origin"] == "default"
    assert found["wall_s"] > 0
    again = forecast(*ALS)
    assert (again["finished"], again["planned"], again["open"]) == (3, [], 0)
    assert again["core_s"] == again["wall_s"] == 0


def test_what_follows_from_results_is_counted_and_a_run_gives_the_epochs(folder: Path) -> None:
    search_without_ray(folder)
    before = (folder / "run" / "journal.ndjson").read_bytes()
    ended = [len(trial.epochs) for trial in RunView.open(folder / "run").trials]
    more = [*ALS, "--trials", "20"]
    found = forecast(*more)
    assert (found["finished"], len(found["planned"]), found["open"]) == (3, 8, 9)
    assert [trial["trial"] for trial in found["planned"]] == list(range(4, 12))
    assert found["epochs"] == pytest.approx(sum(ended) / 3)
    assert (found["measured_trials"], found["measured_epochs"]) == (3, sum(ended))
    everything = forecast(*more, "--method", "random", "--run", "other")
    assert (len(everything["planned"]), everything["open"]) == (20, 0)
    assert (folder / "run" / "journal.ndjson").read_bytes() == before


def test_fewer_trials_than_there_are_leave_nothing_to_do(folder: Path) -> None:
    search_without_ray(folder)
    found = forecast(*ALS, "--trials", "2")
    assert (found["finished"], found["planned"], found["open"]) == (2, [], 0)
    assert found["core_s"] == found["wall_s"] == 0


def test_another_identity_is_refused_as_the_search_refuses_it(folder: Path) -> None:
    search_without_ray(folder)
    result = dry(*ALS, "--seed", "7")
    assert isinstance(result.exception, IdentityError)
    assert forecast(*ALS, "--seed", "7", "--fresh")["finished"] == 0


def test_a_search_that_cannot_fit_is_refused_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10_000))
    result = dry(*ALS)
    assert isinstance(result.exception, UsageError)
    assert "does not fit in memory" in result.exception.message
    assert list(folder.iterdir()) == []


def test_json_needs_a_dry_run(folder: Path) -> None:
    result = CliRunner().invoke(cli, [*ALS, "--json"], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert list(folder.iterdir()) == []

"""A search that has come to its end is recognised without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_tools import search_without_ray

from recsearch.display import SilentDisplay
from recsearch.journal import Journal
from recsearch.request import Request, resolve_request
from recsearch.run import RunView
from recsearch.run_paths import RunPaths
from recsearch.spec import load_search
from recsearch.tuning.driver import run_search

GRID = {
    "search.method": "grid", "search.trials": 100, "search.max_epochs": 1,
    "space.damping.user.points": 2, "space.damping.item.points": 2,
}  # fmt: skip


def no_ray(*_: Any) -> Any:
    raise AssertionError("Ray was started")


def closed(view: RunView, code: int) -> None:
    with Journal(RunPaths(view.path).journal) as journal:
        journal.append("closed", exit_code=code, counts={})


def again(root: Path, **overrides: Any) -> Request:
    spec = load_search("bias", overrides={**GRID, **overrides})
    return Request(
        spec, "demo:small", root / "run", str(root / "store"), command="recsearch search"
    )


def test_a_grid_smaller_than_its_number_of_trials(tmp_path: Path) -> None:
    view = search_without_ray(tmp_path, "demo:small", "bias", **GRID)
    assert len(view.trials) == 4
    closed(view, 0)
    outcome = run_search(resolve_request(again(tmp_path)), SilentDisplay(), no_ray)
    assert outcome.exit_code == 0
    assert len(RunView.open(view.path).trials) == 4


def test_a_search_that_may_go_on_starts_ray(tmp_path: Path) -> None:
    view = search_without_ray(tmp_path, "demo:small", "bias", **{**GRID, "search.trials": 2})
    closed(view, 0)
    with pytest.raises(AssertionError, match="Ray was started"):
        run_search(resolve_request(again(tmp_path)), SilentDisplay(), no_ray)

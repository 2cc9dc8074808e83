"""The bench of pages: its runs are what it says they are, and its verdicts are right."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

from analysis.importance import importance_info
from benchmarks.pages.__main__ import show
from benchmarks.pages.runs import METRICS, SPACE, write_run
from recsearch.run import RunView


def test_runs_are_of_the_size_that_pages_are_judged_by(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 100, seed=1)
    write_run(tmp_path / "b", 100, seed=1)
    view = RunView.open(tmp_path / "a")
    assert len(view.trials) == 100
    assert view.counts["pruned"] == 32
    assert all(set(trial.params) == set(SPACE) for trial in view.trials)
    assert list(view.trials[0].epochs[0].metrics) == list(METRICS)
    assert len(SPACE) >= 5
    one, two = ((tmp_path / name / "journal.ndjson").read_bytes() for name in "ab")
    assert one == two, "the same runs every time"
    assert importance_info(view).ranked, "enough of them are finished to rank parameters"


def test_what_misses_its_target_is_called_so() -> None:
    found = {
        "settings": {"runs": 20, "trials": 100},
        "one_s": 3.0, "all_s": 31.0, "page_mb": 0.5,
        "optuna_all_s": 62.0, "optuna_each_s": 3.0, "optuna_mb": 5.0,
        "met": {"one": True, "all": False, "page": True},
    }  # fmt: skip
    out = io.StringIO()
    with redirect_stdout(out):
        show(found)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[1][-1] == "yes"
    assert lines[2][-1] == "NO"
    assert "2.00" in lines[2]

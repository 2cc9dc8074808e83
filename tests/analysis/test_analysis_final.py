"""The block of test results: its numbers, and that it is there only where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fabricate import als_run

from analysis import render_run
from analysis.final import final_info
from recsearch.errors import RecsearchError
from recsearch.run import RunView


def spread(mean: float, parts: float | None = 0.01, seeds: float | None = 0.002) -> dict:
    return {"mean": mean, "std_parts": parts, "std_seeds": seeds, "n": 4}


def measured(root: Path, **changes) -> RunView:
    """A run with results of its best on parts 1 and 2 with two seeds."""
    folder = als_run(root, trials=8)
    trial, row = RunView.open(folder).best()
    best = {"trial": trial.number, "epochs": row.epoch, "metrics": {
        "NDCG@10": spread(0.05), "RMSE": spread(0.81)}}  # fmt: skip
    document = {
        "format": 1, "objective": "RMSE", "direction": "min", "parts": [1, 2], "seeds": [1, 2],
        "results": {
            "best": {**best, **changes},
            "default": {"metrics": {"NDCG@10": spread(0.04), "RMSE": spread(0.83)}},
            "bias": {"metrics": {"RMSE": spread(0.85, seeds=None)}},
        },
    }  # fmt: skip
    (folder / "final").mkdir()
    (folder / "final" / "final.json").write_text(json.dumps(document))
    event = {"event": "test", "time": "2026-07-02T10:00:00.000Z", "config": "best", "part": 1,
             "seed": 1, "phase": "fit", "key": "k"}  # fmt: skip
    with (folder / "journal.ndjson").open("a") as file:
        file.write(json.dumps(event) + "\n")
    return RunView.open(folder)


def test_means_stand_with_their_deviation_beside_default_and_baselines(tmp_path: Path) -> None:
    info = final_info(measured(tmp_path))
    assert info is not None
    assert info.columns == ("best", "default", "tuned bias")
    first, second = info.rows
    assert (first.name, first.objective, first.seeds) == ("RMSE", True, "0.002000")
    assert first.cells == ("0.81000 ± 0.01000", "0.83000 ± 0.01000", "0.85000 ± 0.01000")
    assert second.cells[2] == "", "the bias model was not ranked here"
    assert info.gains == (("the default configuration", "+0.02"), ("tuned bias", "+0.04"))
    assert info.touched == "Test data was read 2026-07-02 10:00 UTC, for 1 model in all."
    assert info.stale is None


def test_results_of_an_earlier_best_are_called_so(tmp_path: Path) -> None:
    info = final_info(measured(tmp_path, trial=99))
    assert info is not None
    assert info.stale is not None
    assert "trial 99" in info.stale


def test_the_page_has_the_block_only_where_there_are_results(tmp_path: Path) -> None:
    plain = als_run(tmp_path / "plain", trials=8)
    assert final_info(RunView.open(plain)) is None
    text = render_run(plain, tmp_path / "reports").read_text()
    assert "Test results" not in text
    assert "No decision of the search was measured on the other parts" in text
    text = render_run(measured(tmp_path / "tested").path, tmp_path / "reports").read_text()
    assert '<h2 id="test">Test results</h2>' in text
    assert "0.81000 ± 0.01000" in text
    assert "std over seeds" in text
    assert "the test results below are not" in text


def test_unreadable_results_are_an_error_of_the_report(tmp_path: Path) -> None:
    view = measured(tmp_path)
    (view.path / "final" / "final.json").write_text("{")
    with pytest.raises(RecsearchError, match="not readable results"):
        final_info(view)

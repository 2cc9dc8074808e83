"""The table of runs, from folders whose content is written by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from recsearch.epochs import EpochRow
from recsearch.summary import RunSummary, fold_metrics, in_order, summarise, summary_of
from recsearch.summary_table import rows, to_csv, to_markdown, write_summary


def make_run(root: Path, metric: str, values: list[float], *, exit_code: int | None = 0) -> Path:
    """A run of one trial with an epoch of 10 s for each value, in two commands."""
    root.mkdir(parents=True)
    direction = "min" if metric == "RMSE" else "max"
    identity = {
        "format": 1, "name": root.name, "search_file": "als.toml", "direction": direction,
        "search": {"search": {"metric": metric, "trials": 2}},
        "dataset": {"name": "demo"}, "store": "../../store",
    }  # fmt: skip
    (root / "run.json").write_text(json.dumps(identity))
    opened = {"event": "opened", "pid": 1, "host": "h", "version": "0", "workers": 1, "trials": 2}
    lines: list[dict[str, Any]] = [
        {**opened, "resumed": False, "time": "2026-01-01T00:00:00+00:00"},
        {"event": "baseline", "name": "bias", "metrics": {"RMSE": 1.0}, "time": at(1)},
        {"event": "baseline", "name": "popular", "metrics": {"NDCG@10": 0.25}, "time": at(1)},
        {"event": "suggested", "trial": 1, "params": {}, "config": {}, "key": "k",
         "origin": "default", "time": at(1)},
        {"event": "started", "trial": 1, "time": at(2)},
    ]  # fmt: skip
    for epoch, value in enumerate(values, start=1):
        lines.append({"event": "epoch", "trial": 1, "epoch": epoch, "time": at(10 * epoch),
                      "metrics": {metric: value, "RBP": None}})  # fmt: skip
    lines += [
        # Killed; nothing is counted until the next command, an hour later.
        {**opened, "resumed": True, "time": "2026-01-01T01:00:00+00:00"},
        {"event": "done", "trial": 1, "epoch": len(values), "reason": "plateau",
         "time": "2026-01-01T01:00:05+00:00"},
    ]  # fmt: skip
    if exit_code is not None:
        lines.append({"event": "closed", "exit_code": exit_code, "counts": {},
                      "time": "2026-01-01T01:00:07+00:00"})  # fmt: skip
    (root / "journal.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}+00:00"


def test_a_run_is_summed_up_by_its_best_epoch(tmp_path: Path) -> None:
    found = summarise(make_run(tmp_path / "runs" / "r", "RMSE", [0.9, 0.75, 0.8]))
    assert (found.value, found.trial, found.epoch) == (0.75, 1, 2)
    assert (found.baseline, found.baseline_value, found.gain) == ("tuned bias", 1.0, 0.25)
    assert found.metrics == {"RMSE": 0.75}, "what was not measured is left out"
    assert (found.epochs, found.trials["done"], found.planned) == (3, 1, 2)
    assert found.wall_s == 30 + 7, "the hour between two commands is nobody's work"
    assert (found.search, found.dataset, found.state) == ("als", "demo", "done")


def test_a_maximised_objective_gains_upwards(tmp_path: Path) -> None:
    found = summarise(make_run(tmp_path / "runs" / "r", "NDCG@10", [0.5, 0.25]))
    assert (found.value, found.epoch, found.gain) == (0.5, 1, 0.25)
    assert found.baseline == "popularity"


@pytest.mark.parametrize(
    ("code", "state"),
    [(0, "done"), (5, "errors"), (130, "interrupted"), (1, "failed"), (None, "unfinished")],
)
def test_the_state_is_that_of_the_last_command(
    tmp_path: Path, code: int | None, state: str
) -> None:
    run = make_run(tmp_path / "runs" / "r", "RMSE", [0.9], exit_code=code)
    assert summarise(run).state == state


def test_what_has_no_folder_is_a_row_with_its_error(tmp_path: Path) -> None:
    found = summary_of(tmp_path / "als-x", "searches/als.toml", "x", "failed", "no data set")
    assert (found.search, found.dataset, found.message) == ("als", "x", "no data set")
    assert rows([found]) == [
        {"dataset": "x", "algorithm": "als", "state": "failed", "run": "als-x"}
    ]


def row(run: str, dataset: str, objective: str | None, value: float | None) -> RunSummary:
    metrics = {} if objective is None or value is None else {objective: value}
    return RunSummary(run, run, run, dataset, "done", objective, value, metrics=metrics)


def test_rows_are_sorted_by_data_kind_objective_and_value() -> None:
    wanted = [
        row("a", "d1", "RMSE", 0.8), row("b", "d1", "RMSE", 0.9),
        row("c", "d1", "NDCG@10", 0.3), row("d", "d1", "NDCG@10", 0.1),
        row("e", "d1", "RBP", 0.9), row("f", "d1", None, None),
        row("g", "d2", "RMSE", 0.1),
    ]  # fmt: skip
    assert in_order(reversed(wanted)) == wanted


def test_csv_keeps_every_digit_and_leaves_blanks() -> None:
    text = to_csv([row("a", "d", "RMSE", 0.1 + 0.2), row("b", "d", "RBP", 0.5)])
    first, second = csv.DictReader(io.StringIO(text))
    assert (float(first["RMSE"]), first["RBP"]) == (0.1 + 0.2, "")
    assert (second["RMSE"], second["RBP"]) == ("", "0.5")
    assert "fold" not in first
    assert (
        to_markdown([row("a|b", "d", "RMSE", 0.123456)])
        .splitlines()[2]
        .startswith("| d | a\\|b | 0.12346 |")
    )


def test_folds_have_rows_and_then_mean_and_deviation() -> None:
    """By hand: of 1, 2, 6 the mean is 3 and the deviation of the sample the root of 7."""
    folds = ({"RMSE": 1.0}, {"RMSE": 2.0}, {"RMSE": 6.0})
    run = RunSummary("a", "a", "als", "d", "done", "RMSE", 3.0, metrics={"RMSE": 3.0}, folds=folds)
    table = rows([run])
    assert [line["fold"] for line in table] == [0, 1, 2, "mean", "std"]
    assert [line["RMSE"] for line in table] == [1, 2, 6, 3, pytest.approx(7**0.5)]
    assert "state" in table[3]
    assert "state" not in table[4]


def test_epochs_without_folds_have_none() -> None:
    epoch = EpochRow(1, 1, {"RMSE": 1.0})
    assert fold_metrics(epoch) == ()
    folded = EpochRow(1, 1, {"RMSE": 2.0}, folds=({"RMSE": 1.0, "RBP": None}, {"RMSE": 3.0}))
    assert fold_metrics(folded) == ({"RMSE": 1.0}, {"RMSE": 3.0})


def test_files_are_whole_and_equal_for_equal_runs(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "runs" / name, "RMSE", [0.9]) for name in ("a", "b")]
    write_summary(tmp_path / "out", [summarise(run) for run in runs])
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert first.keys() == {"summary.json", "summary.csv"}
    assert [run["run"] for run in json.loads(first["summary.json"])["runs"]] == ["a", "b"]
    write_summary(tmp_path / "out", [summarise(run) for run in reversed(runs)])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def test_what_final_writes_is_no_time_of_a_search(tmp_path: Path) -> None:
    root = make_run(tmp_path / "r", "RMSE", [0.9])
    before = summarise(root).wall_s
    with (root / "journal.ndjson").open("a") as journal:
        line = {"event": "test", "config": "best", "part": 1, "seed": 1, "phase": "fit",
                "time": "2026-01-03T00:00:00+00:00"}  # fmt: skip
        journal.write(json.dumps(line) + "\n")
    assert summarise(root).wall_s == before

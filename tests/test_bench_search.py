"""What the bench of searches computes from journals, curves and profiles made by hand."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from benchmarks.search import __main__ as command
from benchmarks.search import equal, ours, peers, profiling, report, scaling, targets
from benchmarks.search.best_so_far import (
    Row,
    best_at,
    best_so_far,
    journal_rows,
    last_of_best_trial,
    time_until,
)
from benchmarks.search.configurations import chunks, configurations, flatten
from benchmarks.search.float64 import solve_rows
from benchmarks.search.given import Given
from benchmarks.search.lenskit_files import march_space, read_trials
from benchmarks.search.processes import ROOT, Usage, environment, python, run
from benchmarks.search.results import QUICK, Part, ResultsFile, merged, resumable
from recsearch.spec import load_search
from recsearch.threads import THREAD_VARIABLES

BEGAN = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000Z"


def epoch(second: int, trial: int, number: int, rmse: float | None) -> dict[str, Any]:
    metrics = {"RMSE": rmse}
    return {
        "time": at(second), "event": "epoch", "trial": trial, "epoch": number,
        "metrics": metrics, "train_s": 0.5, "eval_s": 0.25,
    }  # fmt: skip


JOURNAL = [
    {"time": at(3), "event": "opened"},
    {"time": at(4), "event": "suggested", "trial": 1},
    {"time": at(4), "event": "baseline", "name": "chance", "metrics": {"NDCG": 0.1}},
    {"time": at(4), "event": "baseline", "name": "bias", "metrics": {"RMSE": 0.9}},
    {"time": at(5), "event": "suggested", "trial": 2},
    epoch(10, 1, 1, 0.95),
    epoch(12, 2, 1, 0.90),
    epoch(14, 1, 2, 0.93),
    epoch(20, 2, 2, 0.84),
    {"time": at(21), "event": "pruned", "trial": 1, "epoch": 2, "rule": "asha"},
    epoch(26, 2, 3, 0.85),
    epoch(28, 2, 4, None),
    {"time": at(29), "event": "error", "trial": 2, "epoch": 4, "kind": "X", "message": "x"},
    {"time": at(40), "event": "closed", "exit_code": 5},
]


def test_the_best_so_far_of_a_journal() -> None:
    steps = best_so_far(journal_rows(JOURNAL), BEGAN)
    assert steps == [(10.0, 0.95), (12.0, 0.90), (20.0, 0.84)]
    assert time_until(steps, 0.93) == 12.0
    assert time_until(steps, 0.84) == 20.0
    assert time_until(steps, 0.83) is None
    assert best_at(steps, 9.9) is None
    assert best_at(steps, 19.9) == 0.90
    assert best_at(steps, 1e9) == 0.84


VALUES = st.one_of(st.floats(0.5, 2.0), st.just(math.nan), st.just(math.inf))
ROWS = st.lists(st.tuples(VALUES, st.integers(0, 50)))


@given(ROWS, st.floats(0.5, 2.0))
def test_the_best_so_far_is_the_minimum_at_any_time(
    found: list[tuple[float, int]], value: float
) -> None:
    rows = [Row(1, n, v, float(time)) for n, (v, time) in enumerate(found, start=1)]
    steps = best_so_far(rows, 0.0)
    for when in range(51):
        known = [row.value for row in rows if row.time <= when and math.isfinite(row.value)]
        assert best_at(steps, when) == min(known, default=None)
    reached = [row.time for row in rows if row.value <= value]
    assert time_until(steps, value) == min(reached, default=None)


def test_what_lenskit_reports_is_the_last_epoch_of_the_trial_with_the_best() -> None:
    rows = [Row(1, 1, 0.9, 1), Row(2, 1, 0.80, 2), Row(2, 2, 0.85, 3), Row(1, 2, 0.82, 4)]
    assert last_of_best_trial(rows) == 0.85
    assert last_of_best_trial([]) is None
    assert last_of_best_trial([Row(1, 1, math.nan, 1)]) is None


def test_a_search_is_summed_up_from_its_journal() -> None:
    found = ours.summary(JOURNAL, Usage(BEGAN, 41.0, 60.5, 2_000_000))
    assert found == {
        "wall_s": 41.0, "cpu_s": 60.5, "peak_mb": 2.0, "trials": 2, "pruned": 1, "errors": 1,
        "epochs": 6, "first_epoch_s": 10.0, "searching_s": 25.0, "train_s": 3.0, "eval_s": 1.5,
        "best": 0.84, "bias": 0.9, "gain": pytest.approx(0.06),
        "best_so_far": [(10.0, 0.95), (12.0, 0.90), (20.0, 0.84)],
    }  # fmt: skip


def test_a_journal_without_epochs_has_a_summary() -> None:
    found = ours.summary(JOURNAL[:1], Usage(BEGAN, 1.0, 1.0, 1))
    assert found["best"] is found["gain"] is found["first_epoch_s"] is None
    assert found["best_so_far"] == []


def test_configurations_are_seeded_points_of_the_space_of_march_2025() -> None:
    points = configurations(24, 512)
    assert points == configurations(24, 512)
    assert len({p["embedding_size"] for p in points}) > 15
    space = load_search("als").space
    for point in points:
        space.validate(flatten(point))
    assert max(p["embedding_size"] for p in configurations(50, 32)) <= 32


def test_lenskit_has_the_space_that_we_have() -> None:
    theirs = flatten_space(march_space())
    for name, domain in load_search("als").space.items():
        assert theirs.pop(name).items() <= domain.table().items()
    assert not theirs


def flatten_space(space: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for key, value in space.items():
        if "type" in value:
            found[prefix + key] = value
        else:
            found |= flatten_space(value, f"{prefix}{key}.")
    return found


@given(st.lists(st.integers(), min_size=1), st.integers(1, 10))
def test_chunks_are_all_the_points_in_order(points: list[int], count: int) -> None:
    found = chunks(points, count)
    assert [point for chunk in found for point in chunk] == points
    assert len(found) == min(count, len(points))
    sizes = [len(chunk) for chunk in found]
    assert max(sizes) - min(sizes) <= 1


def test_given_points_are_suggested_by_number() -> None:
    points = configurations(2, 16)
    given_points = Given(points)
    assert given_points.total == 2
    params = given_points.suggest(2, (), ()).params
    assert params["embedding_size"] == points[1]["embedding_size"]
    assert params["damping.item"] == points[1]["damping"]["item"]


def test_differences_of_curves() -> None:
    assert equal.largest_difference([1.0, 2.0], [1.0, 2.5]) == 0.5
    assert equal.largest_difference([1.0, None], [1.25, None]) == 0.25
    assert equal.largest_difference([1.0, 2.0], [1.0]) is None
    assert equal.largest_difference([1.0, 2.0], [1.0, None]) is None
    assert equal.largest_difference([], []) is None
    assert equal.largest_difference([None], [None]) is None


def test_lenskit_trials_are_read_from_their_folders(tmp_path: Path) -> None:
    rows = {
        "b": [{"training_iteration": 1, "RMSE": 0.9, "timestamp": 20}],
        "a": [
            {"training_iteration": 1, "RMSE": 0.8, "timestamp": 30},
            {"training_iteration": 2, "done": True, "timestamp": 31},
        ],
    }
    for name, lines in rows.items():
        (tmp_path / "experiment" / name).mkdir(parents=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "experiment" / name / "result.json").write_text(text)
    assert read_trials(tmp_path) == [Row(2, 1, 0.9, 20.0), Row(1, 1, 0.8, 30.0)]


def test_float64_solves_the_normal_equations() -> None:
    rng = np.random.default_rng(3)
    dense = rng.normal(size=(6, 5)) * (rng.random((6, 5)) < 0.6)
    dense[2] = 0
    other, reg = rng.normal(size=(5, 3)), 0.1
    found = solve_rows(csr_array(dense), other, reg)
    for row, values in zip(found, dense, strict=True):
        rated = values != 0
        loss = (
            2 * other[rated].T @ (other[rated] @ row - values[rated]) + 2 * reg * rated.sum() * row
        )
        assert np.abs(loss).max() < 1e-12


def part(file: ResultsFile, *, resume: bool, configs: int = 3) -> Part:
    settings = {"configs": configs, "seeds": (42, 43)}
    return Part("equal", file, settings, resume=resume)


class StoppedError(Exception):
    pass


def stop() -> None:
    raise StoppedError


def test_an_interrupted_part_keeps_its_finished_steps(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "search.json")
    file.put("scaling", {"complete": True, "steps": {"1x": 5}})
    first = part(file, resume=False)
    first.once("ours 1", lambda: {"wall_s": 1.5})
    with pytest.raises(StoppedError):
        first.once("lenskit 1", stop)

    again = ResultsFile(tmp_path / "search.json")
    assert again.results["parts"]["scaling"]["steps"] == {"1x": 5}
    assert not again.results["parts"]["equal"]["complete"]
    assert targets.steps_of(again.results["parts"], "equal") == {}
    second = part(again, resume=True)
    assert second.once("ours 1", stop) == {"wall_s": 1.5}  # type: ignore[func-returns-value]
    second.once("lenskit 1", lambda: 7)
    second.finish()
    assert ResultsFile(tmp_path / "search.json").results["parts"]["equal"]["complete"]


@pytest.mark.parametrize(("resume", "configs"), [(False, 3), (True, 4)])
def test_steps_of_another_measurement_are_not_taken(
    tmp_path: Path, resume: bool, configs: int
) -> None:
    file = ResultsFile(tmp_path / "search.json")
    part(file, resume=False).once("ours 1", lambda: 1)
    with pytest.raises(StoppedError):
        part(file, resume=resume, configs=configs).once("ours 1", stop)


def test_a_complete_part_is_measured_anew() -> None:
    earlier = {"settings": {"a": [1]}, "steps": {"x": 1}, "complete": False}
    assert resumable(earlier, {"a": (1,)})
    assert not resumable({**earlier, "complete": True}, {"a": (1,)})
    assert not resumable({}, {})


def test_profiles_under_other_labels_stay(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "search.json")
    file.put("profile", {"complete": True, "steps": {"before": 1, "after": 2}})
    again = Part("profile", file, {}, resume=False)
    again.keep_others("after")
    again.once("after", lambda: 3)
    assert file.results["parts"]["profile"]["steps"] == {"before": 1, "after": 3}


def test_each_part_names_the_machine_it_was_measured_on() -> None:
    results = merged({"machine": {"cpu": "A", "versions": {}}}, "equal", {"complete": True})
    results = merged({**results, "machine": {"cpu": "B", "versions": {}}}, "peers", {})
    assert results["parts"]["equal"]["machine"] == {"cpu": "A", "versions": {}}
    assert results["parts"]["peers"]["machine"] == {"cpu": "B", "versions": {}}


def test_a_part_that_was_measured_elsewhere_is_said_to_be() -> None:
    made = results()
    here = report.machine_line(made)
    assert report.markdown(made).count("Python") == here.count("Python") == 1
    made["parts"]["equal"]["machine"] = {**made["machine"], "cpu": "Another", "load": 3.0}
    made["parts"]["search"]["machine"] = {**made["machine"], "load": 9.0}
    assert "\n\nequal: Another, " in report.markdown(made)
    assert "search: " not in report.markdown(made).partition("**")[0]


def test_peers_whose_time_was_over_do_not_count_their_last_trial() -> None:
    epochs = [
        {"trial": 1, "epoch": 1, "value": 0.9, "train_s": 1, "measure_s": 2, "time": BEGAN + 10},
        {"trial": 2, "epoch": 1, "value": 0.8, "train_s": 1, "measure_s": 2, "time": BEGAN + 20},
        {"trial": 3, "epoch": 1, "value": 0.7, "train_s": 1, "measure_s": 2, "time": BEGAN + 30},
    ]
    states, usage = ["complete", "pruned", "pruned"], Usage(BEGAN, 31.0, 50.0, 1)
    found = peers.summary(epochs, states, usage, 100)
    assert (found["trials"], found["pruned"], found["cut"]) == (2, 1, True)
    assert (found["epochs"], found["best"], found["train_s"], found["eval_s"]) == (3, 0.7, 3, 6)
    whole = peers.summary(epochs, states, usage, 3)
    assert (whole["trials"], whole["pruned"], whole["cut"]) == (3, 2, False)


def test_scaling_compares_with_one_worker_at_the_same_size() -> None:
    def step(size: str, workers: int, trials: int, epochs: int, seconds: float) -> dict[str, Any]:
        return {
            "size": size, "workers": workers, "trials": trials, "epochs": epochs,
            "searching_s": seconds,
        }  # fmt: skip

    assert scaling.runs(2, 4) == [(1, 4), (2, 4), (2, 8)]
    assert scaling.runs(1, 4) == [(1, 4)]
    steps = {
        "a": step("1", 1, 4, 8, 16.0),
        "b": step("1", 2, 4, 8, 10.0),
        "c": step("1", 2, 8, 16, 20.0),
        "d": step("10", 1, 4, 8, 160.0),
    }
    one, strong, weak, large = scaling.rows(steps)
    assert "efficiency" not in one
    assert one["epochs_per_core_s"] == 0.5
    assert (strong["scaling"], strong["efficiency"]) == ("strong", 0.8)
    assert strong["epochs_per_core_s"] == 0.4
    assert (weak["scaling"], weak["efficiency"]) == ("weak", 0.8)
    assert large["epochs_per_core_s"] == 0.05


def speedscope() -> dict[str, Any]:
    frames = [
        {"name": "process 1:\"python\"", "file": ""},
        {"name": "search", "file": f"{ROOT}/recsearch/cli/search.py"},
        {"name": "fit", "file": "/x/lib/python3.11/site-packages/ray/tune/tuner.py"},
        {"name": "<module>", "file": "/x/site-packages/ray/_private/workers/default_worker.py"},
        {"name": "train_epoch", "file": "/x/site-packages/recsearch/models/als.py"},
    ]  # fmt: skip
    profiles = [
        {"name": 'Process 1 Thread 1 "M"', "samples": [[0, 1], [0, 1, 2]], "weights": [1, 2]},
        {"name": 'Process 1 Thread 2 ""', "samples": [[0]], "weights": [1]},
        {"name": 'Process 2 Thread 2 "M"', "samples": [[3, 4, 4], [3]], "weights": [3, 1]},
        {"name": 'Process 3 Thread 3 ""', "samples": [[2]], "weights": [5]},
    ]  # fmt: skip
    return {"shared": {"frames": frames}, "profiles": profiles}


def test_functions_of_a_profile_by_role() -> None:
    roles = profiling.top_functions(speedscope())
    assert sorted(roles) == ["driver", "ray", "worker"]
    assert roles["driver"]["seconds"] == 4
    assert roles["driver"]["functions"] == [
        {"function": "fit (ray/tune/tuner.py)", "self": 0.5, "total": 0.5},
        {"function": "search (recsearch/cli/search.py)", "self": 0.25, "total": 0.75},
        {"function": profiling.OUTSIDE, "self": 0.25, "total": 0.0},
    ]
    first = roles["worker"]["functions"][0]
    # A function that calls itself is there once.
    assert first == {
        "function": "train_epoch (recsearch/models/als.py)",
        "self": 0.75,
        "total": 0.75,
    }
    assert roles["ray"]["seconds"] == 5


def side(wall: float, best: float, steps: list[list[float]], **more: Any) -> dict[str, Any]:
    return {
        "wall_s": wall, "cpu_s": 2 * wall, "peak_mb": 900.0, "trials": 100, "epochs": 300,
        "first_epoch_s": 8.0, "best": best, "best_so_far": steps, "bias": 0.8677, **more,
    }  # fmt: skip


def results() -> dict[str, Any]:
    point = {"embedding_size": 8, "regularization": {"user": 0.1, "item": 1e-5}}
    rows = equal.compare([point, point], [([0.9, 0.85], [0.9, 0.85005]), ([0.9, 0.8], [0.9, 0.9])])
    rows[1] |= {"ours_from_float64": 2e-6, "lenskit_from_float64": 0.1}
    figures = {"cpu_s": 10.0, "peak_mb": 500.0}
    steps = {
        "ours 1": {"wall_s": 10.0, **figures},
        "lenskit 1": {"wall_s": 130.0, **figures},
        "ours 2": {"wall_s": 10.0, **figures},
        "lenskit 2": {"wall_s": 130.0, **figures},
        "configurations": rows,
    }
    whole = {
        "ours 42": side(80.0, 0.8170, [[8.0, 0.9], [50.0, 0.8170]]),
        "ours 43": side(90.0, 0.8179, [[8.0, 0.9], [60.0, 0.8179]]),
        "ours 44": side(70.0, 0.8185, [[8.0, 0.9], [65.0, 0.8185]]),
        "lenskit": side(2400.0, 0.8180, [[30.0, 0.9]], last_epoch_of_best_trial=0.8183),
    }
    peer = {**side(600.0, 0.8900, [[20.0, 0.95], [100.0, 0.89]]), "asked": 100, "cut": True}
    machine = {
        "cpu": "CPU | 9", "cores": 2, "memory_gib": 8.0, "system": "Linux 6", "python": "3.11",
        "versions": {"lenskit": "2025.8.1", "optuna": None},
    }  # fmt: skip
    settings = {"configs": 2, "epochs": 2, "trials": 100, "scaling_size": 64}
    parts = {
        "equal": {"complete": True, "settings": settings, "steps": steps},
        "search": {"complete": True, "settings": settings, "steps": whole},
        "peers": {"complete": False, "settings": settings, "steps": {"optuna": peer}},
    }
    return {"benchmark": "search", "machine": machine, "parts": parts}


def verdicts(found: dict[str, Any]) -> dict[str, tuple[float | None, bool | None]]:
    return {v["target"]: (v["figure"], v["met"]) for v in targets.judge(found["parts"])}


def test_targets_met_and_missed() -> None:
    found = verdicts(results())
    assert found["equal configurations, wall time of LensKit / ours"] == (13.0, True)
    distance = found["RMSE per epoch, distance to LensKit or, beyond it, to float64"]
    assert distance == (pytest.approx(5e-5), True)
    assert found["whole search, wall time of LensKit / ours, median"] == (30.0, True)
    better = found["its best RMSE, LensKit's - ours, median"]
    assert better == (pytest.approx(1e-4), True)


def test_a_missed_target_is_missed() -> None:
    made = results()
    made["parts"]["search"]["steps"]["ours 43"]["best"] = 0.8190
    made["parts"]["search"]["steps"]["lenskit"]["wall_s"] = 2399.0
    made["parts"]["equal"]["steps"]["configurations"][0] |= {"difference": None}
    found = verdicts(made)
    assert found["whole search, wall time of LensKit / ours, median"][1] is False
    assert found["its best RMSE, LensKit's - ours, median"][1] is False
    assert found["configurations without a comparison"] == (1, False)


def test_what_is_not_complete_is_not_judged() -> None:
    made = results()
    for name in ("equal", "search"):
        made["parts"][name]["complete"] = False
    assert all(met is None for _, met in verdicts(made).values())
    assert all(met is None for _, met in verdicts({"parts": {}}).values())


def test_targets_of_evaluation_and_those_that_a_part_brings() -> None:
    made = results()
    evaluation = {
        "lenskit": {"ratio": 80.0, "differences": {"same_lists": {"RMSE": 1e-8, "NDCG": 2e-6}}},
        "training": [{"share": 0.02}, {"share": 0.12}],
    }
    own = {"target": "flat memory", "limit": 1, "figure": 0.5, "met": True, "at_least": False}
    made["parts"]["evaluation"] = {"complete": True, "steps": {"run": evaluation}}
    made["parts"]["orchestration"] = {"complete": True, "steps": {"run": {"targets": [own]}}}
    found = verdicts(made)
    assert found["evaluation, CPU time of LensKit's loop / ours"] == (80.0, True)
    assert found["evaluation, largest difference to LensKit on any list"] == (2e-6, False)
    assert found["evaluation, largest share of an epoch's training"] == (0.12, False)
    assert found["flat memory"] == (0.5, True)


def test_limits_of_another_part_become_targets() -> None:
    limits = {"idle_share": (0.1, "of a search"), "growth": (1.0, "MB")}
    one, other = command.own_targets({"measured": {"idle_share": 0.2}}, limits)
    assert (one["target"], one["met"]) == ("idle_share, of a search", False)
    assert (other["figure"], other["met"]) == (None, None)


def test_other_modules_get_what_they_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("benchmarks.search.other")

    def measure(split: Any, sizes: list[int], *, users: int = 9, extra: int = 3) -> dict[str, Any]:
        return {"data": split.source.name, "sizes": sizes, "users": users, "machine": {}}

    module.run = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "benchmarks.search.other", module)
    found = command.beside("other", QUICK, quick=True)
    assert found == {"data": "demo", "sizes": [4, 16, 32], "users": 5000, "targets": []}
    assert command.beside("other", QUICK, quick=False)["users"] == 9


def test_times_until_lenskit_and_peers_were_beaten() -> None:
    whole = results()["parts"]["search"]["steps"]
    compared = targets.comparison(whole)
    assert compared["until_beaten"] == {"42": 50.0, "43": 60.0, "44": None}
    assert targets.passed(whole, 0.89) == 60.0
    assert targets.passed(whole, 0.8180) is None
    assert targets.passed(whole, None) is None
    assert targets.passed({}, 0.9) is None
    assert targets.comparison({"lenskit": whole["lenskit"]}) == {}


def test_the_tables_for_the_documents() -> None:
    lines = report.markdown(results()).splitlines()
    assert lines[0].startswith("CPU | 9, 2 cores, 8.0 GiB, Linux 6; Python 3.11, lenskit 2025.8.1.")
    assert "| LensKit / recsearch | 13 | 1 |  |" in lines
    head = "| recsearch, seed 42 | 80 | 160 | 900 | 100 | 300 | 8 | 0.81700 | 0.0507 | 50 |"
    assert head in lines
    assert "**peers (interrupted): LensKit's training and measuring in one process**" in lines
    optuna = next(line for line in lines if line.startswith("| Optuna"))
    assert "100 of 100, cut | 300 | 0.89000 | 60 | 0.95000 | 0.95000 | 0.89000 |" in optuna
    for table in report.tables(results()):
        assert {len(row) for row in table.rows} <= {len(table.head)}


def test_other_parts_are_shown_as_they_are() -> None:
    own = {"seconds": 1.5, "deep": {"er": [1, 2.5]}, "rows": [{"a": 1, "b": None}, {"c": "x"}]}
    made = {"parts": {"orchestration": {"complete": True, "steps": {"run": own}}}}
    plain, rows, _ = report.tables(made)
    assert plain.rows == [["seconds", "1.5"], ["deep.er", "1, 2.5"]]
    assert rows.head == ["a", "b", "c"]
    assert rows.rows == [["1", "", ""], ["", "", "x"]]


def test_results_are_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    path.write_text(json.dumps(results()))
    shown = CliRunner().invoke(command.main, ["--show", str(path), "--markdown"])
    assert shown.exit_code == 0
    assert shown.output.strip() == report.markdown(results()).strip()
    table = CliRunner().invoke(command.main, ["--show", str(path)])
    assert "lenskit tune, as reported" in table.output


CHILD = """
import subprocess, sys, time
block = bytearray(60_000_000)
burn = "import time\\nwhile time.process_time() < 0.4: pass"
subprocess.run([sys.executable, "-c", burn])
time.sleep(1.2)
"""


def test_a_command_is_measured_with_its_children(tmp_path: Path) -> None:
    usage = run([sys.executable, "-c", CHILD], tmp_path)
    assert usage.cpu_s >= 0.4
    assert usage.wall_s >= 1.2
    assert usage.peak_bytes >= 60_000_000


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; print('no luck'); sys.exit(5)"]
    with pytest.raises(RuntimeError, match=r"(?s)ended with 5.*no luck"):
        run(failing, tmp_path)
    run(failing, tmp_path, accepted=(0, 5))


def test_commands_have_a_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*THREAD_VARIABLES, "RECSEARCH_STORE"):
        monkeypatch.setenv(name, "1")
    found = environment({"EXTRA": "x"})
    assert not {*THREAD_VARIABLES, "RECSEARCH_STORE"} & found.keys()
    assert found["EXTRA"] == "x"
    assert python("a.b", Path("c"))[1:] == ["-m", "a.b", "c"]


def test_peers_suggest_points_of_the_same_space() -> None:
    optuna = pytest.importorskip("optuna")
    from lenskit.tuning.spec import TuningSpec

    from benchmarks.search import sequential
    from benchmarks.search.lenskit_files import tuning_spec

    spec = TuningSpec.model_validate(tuning_spec(march_space(32), points=1))
    study = sequential.make_study("random", 1)
    space = load_search("als", overrides={"space.embedding_size.max": 32}).space
    for _ in range(20):
        space.validate(flatten(sequential.suggest(study.ask(), spec.space["scorer"])))
    assert isinstance(sequential.make_study("optuna", 1).pruner, optuna.pruners.MedianPruner)
    with pytest.raises(ValueError, match="expected one of"):
        sequential.make_study("grid", 1)

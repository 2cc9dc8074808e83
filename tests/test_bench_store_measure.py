"""What the benchmark measures with known answers, and what it says of targets."""

from __future__ import annotations

import json
import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_tools import plan, planted_split

from benchmarks.store import __main__ as command
from benchmarks.store import report, scale, space, writers
from benchmarks.store.disk import disk_usage, evict, write_synced
from benchmarks.store.facts import file_system
from benchmarks.store.flips import flips
from benchmarks.store.measure import FEWEST, Row, Settings, affordable, measure, probes
from benchmarks.store.ours import KEY
from benchmarks.store.search_overhead import NoStore
from benchmarks.store.strategies import (
    INCRCP_MENDED,
    NAIVE,
    OURS,
    OURS_SMALL,
    STRATEGIES,
    TORCH_SAVE,
    TORCH_SAVE_SYNCED,
)
from benchmarks.store.targets import TARGETS, judge, verdict
from benchmarks.store.trace import Knobs, SparseTrace
from recsearch.models import resolve
from recsearch.store import Store
from recsearch.trial import run_trial

KNOBS = Knobs(2, 400, 4, 0.1, 7)
QUIET = Settings(repeats=2, budget_s=60, cold=True, progress=lambda line: None)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    names = [TORCH_SAVE, TORCH_SAVE_SYNCED, NAIVE, INCRCP_MENDED, OURS, OURS_SMALL]
    found = measure(SparseTrace(KNOBS), names, QUIET, tmp_path_factory.mktemp("m") / "place")
    return {row["strategy"]: row for row in found}


def test_bytes_are_those_of_the_files(rows: dict[str, Row]) -> None:
    touched = round(KNOBS.share * KNOBS.rows)
    naive = rows[NAIVE]
    # A length, a count, ids of 8 bytes, rows of 4 float32, for both tables.
    assert naive["bytes"] == 2 * (8 + 8 + touched * (8 + 16))
    assert naive["total_bytes"] == 2 * 400 * 16 + 6 * naive["bytes"]
    assert naive["allocated"] % 4096 == 0
    assert naive["files"] == KNOBS.versions
    assert rows[TORCH_SAVE]["files"] == len(probes(KNOBS.versions))  # all are alike
    assert 1 <= rows[TORCH_SAVE]["bytes"] / rows[TORCH_SAVE]["state_bytes"] < 1.2
    assert rows[OURS]["bytes"] > touched * 2 * 16


def test_every_strategy_is_timed_and_compared(rows: dict[str, Row]) -> None:
    for row in rows.values():
        assert (row["versions"], row["repeats"]) == (7, 2)
        assert list(row["warm_ms"]) == [str(v) for v in probes(7)] == ["0", "2", "4", "6"]
        assert set(row["wrong_rows"].values()) == {0}
        times = [row[name] for name in ("blocking_ms", "durable_ms", "behind_ms", "first_ms")]
        for found in [*times, *row["warm_ms"].values()]:
            assert 0 < found["median"] <= found["max"]
        assert row["blocking_ms"]["median"] <= row["durable_ms"]["median"]
        assert row["durable_ms"]["max"] <= row["behind_ms"]["max"]


def test_wrong_rows_show_up(tmp_path: Path) -> None:
    name = "Check-N-Run 8-bit (lossy)"
    (row,) = measure(SparseTrace(KNOBS), [name], QUIET, tmp_path / "place")
    assert row["lossy"] and min(row["wrong_rows"].values()) > 0.9 * row["rows"]


def test_a_slow_strategy_is_cut_short_and_says_so(tmp_path: Path) -> None:
    settings = Settings(3, budget_s=1e-9, cold=False, progress=lambda line: None)
    trace = SparseTrace(KNOBS)
    binary = "IncrCP mended, binary"
    by_name = {
        row["strategy"]: row
        for row in measure(trace, [binary, INCRCP_MENDED, OURS], settings, tmp_path / "place")
    }
    assert (by_name[binary]["versions"], by_name[binary]["repeats"]) == (FEWEST, 1)
    assert by_name[binary]["note"] == f"{FEWEST} of 7 versions, 1 run"
    assert by_name[INCRCP_MENDED]["versions"] == 0
    assert "left out" in by_name[INCRCP_MENDED]["note"]
    assert (by_name[OURS]["versions"], by_name[OURS]["note"]) == (7, "")
    assert affordable(STRATEGIES[INCRCP_MENDED], trace, 1.0)


def test_results_are_json_and_print(
    rows: dict[str, Row], capsys: pytest.CaptureFixture[str]
) -> None:
    left_out = {**{k: rows[NAIVE][k] for k in ("trace", "share", "state_bytes", "rows", "epoch_ms",
                "memcpy_ms")}, "strategy": "x", "versions": 0, "note": "left out"}  # fmt: skip
    found = [*rows.values(), left_out]
    results = {"rows": found, "figures": {"flips": {}}, "targets": judge(found, {})}
    again = json.loads(json.dumps(results))
    report.show(again)
    printed = capsys.readouterr().out
    assert all(name in printed for name in rows) and "MISSED" in printed
    text = report.markdown(again)
    assert text.count("\n| ") == 2 * 2 + len(found) + len(TARGETS)


def test_plans_cover_what_is_asked_for() -> None:
    assert set(command.DEFAULT.versions) == {0.001, 0.01, 0.05, 0.2, 1.0}
    assert (command.DEFAULT.dims, command.DEFAULT.als) == ((16, 64), (64, 463))
    assert command.DEFAULT.repeats >= 3
    assert command.DEFAULT.versions[0.05] == 31  # its last version is v = 30
    assert 4e9 < command.TABLES * command.FULL.rows * 64 * 4 < 4.3e9


def test_files_leave_memory_and_are_counted(tmp_path: Path) -> None:
    write_synced(tmp_path / "a", bytes(10_000))
    (tmp_path / "b").mkdir()
    write_synced(tmp_path / "b" / "c", bytes(1))
    assert disk_usage(tmp_path) == (10_001, 3 * 4096 + 4096, 2)
    if not evict(tmp_path):
        pytest.skip(
            f"this machine's {file_system(tmp_path)} keeps files in memory when told not to"
        )
    assert (tmp_path / "a").read_bytes() == bytes(10_000)


def a_row(strategy: str, **figures: Any) -> Row:
    times = {"median": 1.0, "max": 2.0}
    return {
        "trace": "p=5% d=16", "share": 0.05, "state_bytes": 1000, "rows": 10, "epoch_ms": None,
        "memcpy_ms": 1.0, "strategy": strategy, "versions": 31, "blocking_ms": times,
        "durable_ms": times, "bytes": 100, "total_bytes": 4000, "warm_ms": {"0": times},
        "wrong_rows": {"0": 0}, **figures,
    }  # fmt: skip


def times(median: float) -> dict[str, float]:
    return {"median": median, "max": median}


@pytest.mark.parametrize(
    ("target", "ours", "other", "figure"),
    [
        ("blocking per save, x memcpy", a_row(OURS, blocking_ms=times(3)), a_row(NAIVE), 3.0),
        ("durable at p = 5 %, x torch.save", a_row(OURS, durable_ms=times(2)),
         a_row(TORCH_SAVE_SYNCED, durable_ms=times(50)), 0.04),
        ("sparse bytes, raw", a_row(OURS), a_row(NAIVE), 1.0),
        ("sparse bytes, deltas", a_row(OURS_SMALL, bytes=63), a_row(NAIVE), 0.6),
        ("sparse bytes, x IncrCP", a_row(OURS), a_row(INCRCP_MENDED, bytes=200), 0.5),
        ("all ALS epochs, x torch.save, lossless", a_row(OURS_SMALL, epoch_ms=5.0, versions=4),
         a_row(TORCH_SAVE, bytes=2000, epoch_ms=5.0), 0.5),
        ("recovery of any version", a_row(OURS, warm_ms={"0": times(2), "30": times(9)}),
         a_row(TORCH_SAVE, warm_ms={"0": times(3), "30": times(3)}), 3.0),
        ("recovery, slowest / fastest", a_row(OURS, warm_ms={"0": times(2), "30": times(9)}),
         a_row(NAIVE), 4.5),
        ("recovery of the last version, x naive",
         a_row(OURS, warm_ms={"0": times(2), "30": times(9)}),
         a_row(NAIVE, warm_ms={"0": times(1), "30": times(90)}), 0.1),
        ("rows restored wrongly", a_row(OURS, wrong_rows={"0": 0, "9": 4}), a_row(NAIVE), 4.0),
    ],
)  # fmt: skip
def test_targets_are_the_ratios_that_they_name(
    target: str, ours: Row, other: Row, figure: float
) -> None:
    (found,) = [v for v in judge([ours, other], {}) if v["target"].startswith(target)]
    assert found["figure"] == pytest.approx(figure)
    assert found["met"] is (found["figure"] <= found["limit"])
    assert "p=5% d=16" in found["where"]


def test_the_worst_figure_counts() -> None:
    found = [("here", 1.0), ("there", 3.0)]
    assert verdict("t", 2.0, found).where == "there"
    assert verdict("t", 2.0, found).met is False
    assert verdict("t", 2.0, found, at_least=True).where == "here"
    assert verdict("t", 3.0, found).met is True
    assert verdict("t", 3.0, []).met is None


def test_figures_beside_the_traces_are_judged() -> None:
    figures = {
        "search": {"trial": "t", "slower": 0.03},
        "clones": [{"trace": "t", "how": "anew", "added_bytes": 9e9, "allowed_bytes": 1},
                   {"trace": "t", "how": "rerun", "added_bytes": 10, "allowed_bytes": 20}],
        "collections": [{"trace": "t", "codec": "fast", "allocated_bytes": 12, "live_bytes": 10}],
        "writers": {"processes": 8, "ratio": 0.95},
        "flips": {OURS: {"silently": 0}, TORCH_SAVE: {"silently": 20}},
        "recomputed": [{"trace": "p=5% d=16", "bytes": 310}],
    }  # fmt: skip
    found = {v["target"]: v for v in judge([a_row(TORCH_SAVE)], figures)}
    expected = {
        "whole search": (0.03, False),
        "bytes added": (0.5, True),
        "allocated": (1.2, False),
        "writers": (0.95, True),
        "flipped": (0, True),
        "all ALS epochs, x torch.save, with recompute": (0.1, True),
    }
    for start, (figure, met) in expected.items():
        (one,) = [v for name, v in found.items() if name.startswith(start)]
        assert (one["figure"], one["met"]) == (pytest.approx(figure), met)


def test_flipped_bits_are_noticed_by_ours_alone(tmp_path: Path) -> None:
    found = flips(tmp_path, 6)
    assert found[OURS] == found[OURS_SMALL] == {"detected": 6, "silently": 0, "harmless": 0}
    assert found[TORCH_SAVE]["silently"] >= 5
    assert found["safetensors"]["silently"] >= 5


def test_space_is_counted_and_collected(tmp_path: Path) -> None:
    trace = SparseTrace(Knobs(2, 4000, 8, 0.1, 5))
    by_how = {found["how"]: found for found in space.clones(tmp_path / "c", [trace])}
    assert by_how["restored"]["added_bytes"] < 4096
    assert by_how["rerun"]["added_bytes"] < 4096
    for found in space.collections(tmp_path / "d", [trace]):
        assert found["kept"] == [2, 5]
        assert found["live_bytes"] < found["allocated_bytes"]
        assert found["logical_bytes"] == 2 * trace.nbytes


def test_a_trial_without_checkpoints_is_the_same_trial(tmp_path: Path) -> None:
    family, what = resolve("planted:Planted"), plan(max_epochs=4)
    split = planted_split()
    without = [r.metrics for r in run_trial(what, family, split, NoStore())]  # type: ignore[arg-type]
    stored = [r.metrics for r in run_trial(what, family, split, Store.open(tmp_path))]
    assert without == stored and len(stored) == 4


@pytest.mark.parametrize("kind", writers.KINDS)
def test_a_writer_writes_new_bytes_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(writers, "BYTES", 256 * 40)
    results: queue.Queue[Any] = queue.Queue()
    writers._write(kind, tmp_path, 3, 4, threading.Barrier(1), results)  # type: ignore[arg-type]
    began, ended, seconds = results.get()
    assert len(seconds) == 4
    assert 0 < sum(seconds) <= ended - began
    assert disk_usage(tmp_path)[0] >= 4 * 40 * 256
    if kind == "store":
        with Store.open(tmp_path) as store:
            states = [store.restore(f"{3:064x}", e)["model"].tensors["weights"] for e in (1, 4)]
        assert np.isfinite(states[0]).all() and (states[0] != states[1]).all()


def test_the_scale_test_measures_and_thins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "TRIALS", 6)
    monkeypatch.setattr(scale, "BIG_BYTES", 2**20)
    monkeypatch.setattr(scale, "COMMITS", 4)
    root = tmp_path / "store"
    Store.open(root).close()
    scale._save_trials(root, range(6), 5)
    results = scale.scale_test(30, tmp_path, keep=root)
    assert results["figures"]["build_s"] is None
    assert results["figures"]["as written"]["checkpoints"] == 30 + 4
    assert results["figures"]["collected"]["checkpoints"] == 30 + 8
    assert all(isinstance(found["met"], bool) for found in results["targets"])
    thinned = scale.thin_out(root)
    with Store.open(root) as store:
        assert {len(store.epochs(scale.key_of(n))) for n in range(6)} == {2}
    assert thinned["swept_packs"] > 10
    assert KEY not in scale.key_of(1)
    json.dumps(results)

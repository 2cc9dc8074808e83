"""Kill anything at any moment, type the same command, and nothing is lost or done twice."""

from __future__ import annotations

import signal
import time
from collections import Counter

import psutil
import pytest
from search_bench import Bench, kill

from recsearch.store import Store

pytestmark = pytest.mark.ray

SETTINGS = {"trials": 4, "max_epochs": 5, "method": "tpe", "scheduler": "asha", "lag": 2}


def slow(bench: Bench) -> None:
    path = bench.search_file(**SETTINGS)
    path.write_text(path.read_text().replace(
        "[search]", "config = { sleep = 0.08 }\n[search]"))  # fmt: skip


def check_whole(bench: Bench) -> None:
    """Exactly the trials asked for, each epoch once, the store clean."""
    assert [e["trial"] for e in bench.events("suggested")] == [1, 2, 3, 4]
    pairs = Counter((e["trial"], e["epoch"]) for e in bench.events("epoch"))
    assert set(pairs.values()) == {1}
    ended = Counter(e["trial"] for kind in ("done", "pruned") for e in bench.events(kind))
    assert ended == Counter({1: 1, 2: 1, 3: 1, 4: 1})
    assert not any(e["cached"] for e in bench.events("epoch"))
    assert not Store.open(bench.folder / "store", create=False).verify().problems


def test_killed_drivers_resume_to_the_result_of_a_run_never_interrupted(bench: Bench) -> None:
    slow(bench)
    straight = bench.folder / "runs" / "straight"
    done = bench.search("--run", str(straight), "--store", "other", "--workers", "1")
    assert done.returncode == 0, done.stderr
    bench.log.write_text("")
    committed: set[tuple[str, int]] = set()
    for kind, count in (("opened", 1), ("epoch", 1), ("epoch", 4), ("epoch", 9)):
        process = bench.start("--workers", "1")
        try:
            bench.wait_for(count, kind)
        finally:
            kill(process)
        committed |= {(e["trial"], e["epoch"]) for e in bench.events("epoch")}
    assert bench.search("--workers", "1").returncode == 0
    check_whole(bench)
    assert bench.result() == bench.result(straight)
    assert (bench.root / "best-config.json").exists()
    keys = ("trial", "epoch", "metrics")
    mine = [[event[key] for key in keys] for event in bench.events("epoch")]
    theirs = [[event[key] for key in keys] for event in bench.events("epoch", straight)]
    assert sorted(mine) == sorted(theirs)
    # An epoch in flight may be trained again; one that was journalled never is.
    levels = {e["trial"]: e["config"]["level"] for e in bench.events("suggested")}
    times = Counter(bench.trained())
    trained_after = [times[(levels[t], e)] for t, e in committed]
    assert max(trained_after) <= 1 + 4
    assert sum(times.values()) - len(times) <= 4, "at most the epoch in flight at each kill"


def workers_of(process: object) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)  # type: ignore[attr-defined]
    return [child for child in children if any("TrialWorker" in word for word in child.cmdline())]


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(bench: Bench) -> None:
    slow(bench)
    process = bench.start("--workers", "2")
    bench.wait_for(2)
    deadline = time.monotonic() + 20
    while not (found := workers_of(process)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found[0].send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    check_whole(bench)
    interrupted = bench.events("interrupted")
    assert [event["reason"] for event in interrupted] == ["the worker process died"]
    assert sum(Counter(bench.trained()).values()) - len(set(bench.trained())) <= 1


def test_ctrl_c_ends_with_130_and_the_command_that_resumes(bench: Bench) -> None:
    slow(bench)
    process = bench.start("--workers", "2")
    bench.wait_for(2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "search planted.toml csv:ratings.csv" in output.splitlines()[-1]
    assert "Traceback" not in output
    done = bench.search("--workers", "2")
    assert done.returncode == 0, done.stderr
    check_whole(bench)


def test_two_processes_on_one_run_folder(bench: Bench) -> None:
    slow(bench)
    first = bench.start("--workers", "1")
    bench.wait_for(1, "opened")
    second = bench.search("--workers", "1")
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    first.communicate(timeout=120)
    assert first.returncode == 0
    check_whole(bench)

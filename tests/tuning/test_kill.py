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

WORKER_NAMES = ("ray::TrialWorker", "ray::ResourceTr")
"""Ray names a worker process after its class, or after the method at work."""

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


def test_b31_killed_drivers_resume_to_the_result_of_a_run_never_interrupted(bench: Bench) -> None:
    slow(bench)
    straight = bench.folder / "runs" / "straight"
    done = bench.search("--run", str(straight), "--store", "other")
    assert done.returncode == 0, done.stderr
    known: list[dict[tuple[float, int], int]] = []
    bench.log.write_text("")
    for kind, count in (("opened", 1), ("epoch", 2), ("epoch", 9)):
        process = bench.start()
        try:
            bench.wait_for(count, kind)
        finally:
            kill(process)
        wait_until_gone(bench)
        known.append(journalled_and_trained(bench))
    assert bench.search().returncode == 0
    check_whole(bench)
    assert bench.result() == bench.result(straight)
    assert (bench.root / "best-config.json").exists()
    keys = ("trial", "epoch", "metrics")
    mine = [[event[key] for key in keys] for event in bench.events("epoch")]
    theirs = [[event[key] for key in keys] for event in bench.events("epoch", straight)]
    assert sorted(mine) == sorted(theirs)
    times = Counter(bench.trained())
    for before in known:
        assert {pair: times[pair] for pair in before} == before, "a journalled epoch never again"
    assert sum(times.values()) - len(times) <= 3, "at most the epoch in flight at each kill"


def journalled_and_trained(bench: Bench) -> dict[tuple[float, int], int]:
    """How often each journalled epoch has been trained so far."""
    levels = {e["trial"]: e["config"]["level"] for e in bench.events("suggested")}
    times = Counter(bench.trained())
    pairs = [(levels[e["trial"]], e["epoch"]) for e in bench.events("epoch")]
    return {pair: times[pair] for pair in pairs}


def wait_until_gone(bench: Bench) -> None:
    """Workers of a killed driver end a moment after it."""
    deadline = time.monotonic() + 60
    while any(name.startswith(WORKER_NAMES) for name in _names(bench)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _names(bench: Bench) -> list[str]:
    names = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PLANTED_LOG") == str(bench.log):
                names.append(process.name())
        except psutil.Error:
            continue
    return names


def workers_of(process: object) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)  # type: ignore[attr-defined]
    return [child for child in children if child.name().startswith(WORKER_NAMES)]


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(bench: Bench) -> None:
    slow(bench)
    process = bench.start("--workers", "2")
    bench.wait_for(2)
    deadline = time.monotonic() + 60
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


def test_two_processes_on_one_run_folder(bench: Bench) -> None:
    slow(bench)
    first = bench.start()
    bench.wait_for(1, "opened")
    second = bench.search()
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    first.communicate(timeout=120)
    assert first.returncode == 0
    check_whole(bench)


def test_a_worker_that_dies_every_time_is_an_error_of_its_trial_alone(bench: Bench) -> None:
    path = bench.search_file(trials=3, max_epochs=3, method="grid", lag=2)
    path.write_text(
        path.read_text().replace("max = 2.0 }", "max = 2.0, points = 2 }")
        + 'die_at = { type = "choice", choices = [0, 2] }\n'
    )
    done = bench.search("--workers", "2")
    assert done.returncode == 5, done.stdout + done.stderr
    errors = bench.events("error")
    dying = {e["trial"] for e in bench.events("suggested") if e["config"]["die_at"] == 2}
    assert {event["trial"] for event in errors} == dying
    assert {event["kind"] for event in errors} == {"WorkerDied"}
    interrupted = Counter(event["trial"] for event in bench.events("interrupted"))
    assert set(interrupted.values()) == {3}
    ended = {event["trial"] for event in bench.events("done")}
    assert ended | dying == {e["trial"] for e in bench.events("suggested")}
    assert len(bench.trained()) == 3 * len(ended) + len(dying), "epoch 1 is read from the store"


def test_a_store_that_fails_ends_the_search_and_no_trial(bench: Bench) -> None:
    """A full disk, in effect: packs can no longer be written."""
    slow(bench)
    process = bench.start()
    bench.wait_for(2)
    packs = bench.folder / "store" / "packs"
    packs.rename(packs.with_name("gone"))
    packs.write_text("")
    output, _ = process.communicate(timeout=120)
    assert process.returncode in {1, 4}, output
    assert "Traceback" not in output
    assert not bench.events("error")
    packs.unlink()
    packs.with_name("gone").rename(packs)
    done = bench.search()
    assert done.returncode == 0, done.stderr
    check_whole(bench)

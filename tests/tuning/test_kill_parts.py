"""Workers that are killed or die, a folder that is worked on already, a store that fails."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest
from kill_tools import check_whole, slow, workers_of
from search_bench import Bench

pytestmark = pytest.mark.ray


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

"""Kill a search at any moment, type the same command, and nothing is lost or done twice."""

from __future__ import annotations

from collections import Counter

import pytest
from kill_tools import check_whole, slow, wait_until_gone
from search_bench import Bench, kill

pytestmark = pytest.mark.ray


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

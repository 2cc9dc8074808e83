"""A search with folds, killed while one fold has an epoch that the next has not."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from kill_tools import wait_until_gone, workers_of
from search_bench import Bench, kill

from recsearch.loading import open_checkpoint
from recsearch.run import RunView
from recsearch.store import Store

pytestmark = pytest.mark.ray

OPTIONS = ("--workers", "1", "--folds", "3")


def trained(bench: Bench) -> Counter[tuple[float, int, int]]:
    """How often each (level, epoch, fold) has been trained."""
    rows = (line.split() for line in bench.log.read_text().splitlines())
    return Counter((float(level), int(epoch), int(fold)) for level, epoch, fold in rows)


def durable(bench: Bench) -> set[tuple[float, int, int]]:
    """Each (level, epoch, fold) that the store has, or had before a later one."""
    found = set()
    for manifest in Store.open(bench.folder / "store", create=False).manifests():
        level, fold = manifest.info["config"]["level"], manifest.info["fold"]
        found |= {(level, row["epoch"], fold) for row in manifest.info["history"]}
    return found


def kill_within(bench: Bench, lines: int) -> None:
    """SIGKILL to driver and worker once so many epochs of folds have been trained."""
    process = bench.start(*OPTIONS)
    try:
        deadline = time.monotonic() + 180
        while sum(trained(bench).values()) < lines:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for worker in workers_of(process):
            worker.kill()
    finally:
        kill(process)
    wait_until_gone(bench)


def test_killed_inside_a_fold_a_search_goes_on_there_and_ends_the_same(bench: Bench) -> None:
    path = bench.search_file(model="planted:PlantedFolds", trials=2, max_epochs=4, lag=1)
    text = path.read_text()
    config = "best_epoch = 1, shift = 1, spread = 0.25, sleep = "
    path.write_text(text.replace("[search]", f"config = {{ {config}0.1 }}\n[search]", 1))
    # Fold 0 has the second epoch, fold 1 has just trained it, fold 2 has not.
    kill_within(bench, 5)
    before, known = trained(bench), durable(bench)
    assert known
    done = bench.search(*OPTIONS)
    assert done.returncode == 0, done.stderr
    times = trained(bench)
    assert len(times) == 2 * 4 * 3
    assert all(times[each] == before[each] for each in known), "nothing durable again"
    assert sum(times.values()) - len(times) <= 1, "at most the epoch in flight"
    root = bench.folder / "runs" / "planted-csv-ratings-folds3"
    pairs = [(event["trial"], event["epoch"]) for event in bench.events("epoch", root)]
    assert sorted(pairs) == [(trial, epoch) for trial in (1, 2) for epoch in range(1, 5)]
    for trial in RunView.open(root).trials:
        values = [row.value("RMSE") for row in trial.epochs]
        level = trial.config["level"]
        by_hand = [0.1 + 0.2, 0.1 + 0.1, 0.2 + 0.1, 0.3 + 0.2 + 0.1]
        assert values == pytest.approx([level + 0.25 + each / 3 for each in by_hand], abs=1e-6)
    _, row = RunView.open(root).best() or pytest.fail("no best")
    assert row.epoch == 2
    for fold in range(3):
        assert open_checkpoint(root, fold=fold).state["trainer"].values["part"] == fold
    assert not Store.open(bench.folder / "store", create=False).verify().problems

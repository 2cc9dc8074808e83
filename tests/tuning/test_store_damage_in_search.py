"""Whole searches on Ray whose store is damaged or full."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kill_tools import wait_until_gone
from search_bench import Bench, kill
from search_tools import damage
from store_bench import check_best, search_file

from recsearch.store import Store

pytestmark = pytest.mark.ray

DAMAGED = {"trials": 2, "max_epochs": 6, "sleep": 0.1, "retention": "best:3+last"}


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the search below finds that nobody kills."""
    bench = Bench(tmp_path_factory.mktemp("undamaged"))
    search_file(bench, **DAMAGED)
    assert bench.search().returncode == 0
    return bench.result()


@pytest.mark.parametrize("what", ["weights", "manifest"])
def test_a_search_resumes_over_a_damaged_checkpoint(
    bench: Bench, what: str, undamaged: dict[str, Any]
) -> None:
    search_file(bench, **DAMAGED)
    process = bench.start()
    try:
        bench.wait_for(10)
    finally:
        kill(process)
    wait_until_gone(bench)
    known = {(e["trial"], e["epoch"]): e["metrics"] for e in bench.events("epoch")}
    key = next(e["key"] for e in bench.events("suggested") if e["trial"] == 2)
    with Store.open(bench.folder / "store") as store:
        last = store.epochs(key)[-1]
        damage(store, key, last, what)
    resumed = bench.search()
    assert resumed.returncode == 0, resumed.stderr
    words = f"trial 2: epoch {last} is damaged and set aside in the store, continuing from epoch"
    assert words in resumed.stderr
    assert f"note       {words}" in resumed.stdout
    assert [e["text"] for e in bench.events("note") if words in e["text"]]
    log = Path(bench.root / "trials" / "0002" / "err.log").read_text()
    assert f"epoch {last} is damaged" in log
    rows = [(e["trial"], e["epoch"], e["metrics"]) for e in bench.events("epoch")]
    assert sorted(row[:2] for row in rows) == [(t, e) for t in (1, 2) for e in range(1, 7)]
    assert all(known.get((t, e), m) == m for t, e, m in rows)
    assert bench.result() == undamaged
    with Store.open(bench.folder / "store") as store:
        assert not any(problem.checkpoints for problem in store.verify().problems)
        # The pin of the killed worker protects the damaged pack for a day.
        for lease in (bench.folder / "store" / "leases").iterdir():
            lease.unlink()
        store.repair()
    check_best(bench)


def test_a_full_disk_ends_the_search_which_resumes_when_there_is_room(bench: Bench) -> None:
    sign = bench.folder / "full"
    bench.environment["PLANTED_FULL"] = str(sign)
    search_file(bench, trials=3, max_epochs=5, sleep=0.1)
    process = bench.start()
    bench.wait_for(3)
    sign.touch()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "No space left on device" in output
    assert "recsearch store gc" in output
    assert "Traceback" not in output
    assert not bench.events("error")
    assert bench.events("interrupted")
    with Store.open(bench.folder / "store") as store:
        assert not store.verify().problems
    sign.unlink()
    done = bench.search()
    assert done.returncode == 0, done.stderr
    assert len(bench.events("epoch")) == 15
    assert max(Counter(bench.trained()).values()) <= 2
    check_best(bench)

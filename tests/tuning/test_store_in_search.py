"""Whole searches on Ray whose store is too small, too full or damaged."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from search_bench import Bench, kill
from search_tools import damage
from test_kill import wait_until_gone

from recsearch.plan import owner_of
from recsearch.run import RunView
from recsearch.store import Store
from recsearch.store.holdings import Holdings

pytestmark = pytest.mark.ray

SIZE = 50_000
"""An epoch of a planted model has 200 kB then."""


def search_file(bench: Bench, *, sleep: float = 0.0, **settings: Any) -> None:
    path = bench.search_file(**settings)
    config = f"config = {{ size = {SIZE}, sleep = {sleep} }}\n[search]"
    path.write_text(path.read_text().replace("[search]", config))


def held(bench: Bench) -> int:
    view = RunView.open(bench.root)
    with Store.open(bench.folder / "store") as store:
        holdings = Holdings(store)
        for trial in view.trials:
            owner = owner_of(view.identity["run_id"], trial.number)
            holdings.update(trial.key, owner, len(trial.epochs))
        return holdings.total


def check_best(bench: Bench) -> None:
    checkpoint = bench.result()["checkpoint"]
    with Store.open(bench.folder / "store") as store:
        store.restore(checkpoint["key"], checkpoint["epoch"])
        assert not store.verify().problems


def test_a_quota_is_kept_and_the_best_epoch_too(bench: Bench) -> None:
    search_file(bench, trials=6, max_epochs=5)
    refused = bench.search("--quota", "300 kB")
    assert refused.returncode == 2
    assert "cannot hold even the best and the last epoch" in refused.stderr
    assert "--quota" in refused.stderr
    assert not (bench.root / "run.json").exists()
    assert not (bench.folder / "store").exists(), "nothing was written"
    done = bench.search("--quota", "1.3 MB", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "checkpoints: up to 2.4 MB (12 of 200.3 kB on average)" in done.stderr
    assert "quota 1.3 MB, beyond which those of the worst trials are dropped" in done.stderr
    assert 600_000 < held(bench) <= 1_300_000
    check_best(bench)
    assert bench.events("closed")[-1]["exit_code"] == 0
    assert len(bench.trained()) == 30


def test_a_full_quota_ends_the_search_and_a_larger_one_resumes_it(bench: Bench) -> None:
    search_file(bench, trials=3, max_epochs=5, retention="all")
    full = bench.search("--quota", "1 MB")
    assert full.returncode == 1, full.stderr
    assert "more than its quota of 1.0 MB" in full.stderr
    assert "retention all keeps every epoch" in full.stderr
    assert "the search stops" in full.stderr
    assert "Traceback" not in full.stderr
    assert not bench.events("error")
    before = len(bench.trained())
    assert before < 15
    again = bench.search("--quota", "1 MB")
    assert again.returncode == 1
    assert len(bench.trained()) == before, "refused before anything is trained"
    done = bench.search("--quota", "none")
    assert done.returncode == 0, done.stderr
    assert set(Counter(bench.trained()).values()) == {1} or len(bench.trained()) <= 16
    assert len(bench.events("epoch")) == 15
    check_best(bench)


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

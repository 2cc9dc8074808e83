"""Whole searches on Ray whose quota is too small."""

from __future__ import annotations

from collections import Counter

import pytest
from search_bench import Bench
from store_bench import check_best, search_file

from recsearch.plan import owner_of
from recsearch.run import RunView
from recsearch.store import Store
from recsearch.store.holdings import Holdings

pytestmark = pytest.mark.ray


def held(bench: Bench) -> int:
    view = RunView.open(bench.root)
    with Store.open(bench.folder / "store") as store:
        holdings = Holdings(store)
        for trial in view.trials:
            owner = owner_of(view.identity["run_id"], trial.number)
            holdings.update(trial.key, owner, len(trial.epochs))
        return holdings.total


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

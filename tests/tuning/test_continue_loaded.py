"""What a continuation has trained is loaded and verified like what a search has."""

from __future__ import annotations

import json

import pytest
from continue_tools import planted
from search_bench import Bench, ok

from recsearch.loading import open_checkpoint
from recsearch.run import RunView

pytestmark = pytest.mark.ray


def test_more_epochs_than_the_search_allows_are_loaded_and_verified(bench: Bench) -> None:
    planted(bench)
    ok(bench.search("--trials", "3", "--set", "search.scheduler=none"))
    levels = {t.number: t.params["level"] for t in RunView.open(bench.root).trials}
    before = bench.trained()
    ok(bench.run("continue", str(bench.root), "--trial", "3", "--epochs", "6", "--no-report"))
    assert bench.trained()[len(before) :] == [(levels[3], epoch) for epoch in (4, 5, 6)]
    loaded = open_checkpoint(bench.root, trial=3)
    assert loaded.row.epoch == loaded.model.epochs == 6  # type: ignore[attr-defined]
    best = json.loads((bench.root / "best-config.json").read_text())
    assert best["epochs"] == bench.result()["epoch"]
    verified = ok(bench.run("verify", str(bench.root)))
    assert "bit-equal to the stored checkpoint" in verified.stdout
    again = bench.run("continue", str(bench.root), "--trial", "9", "--epochs", "6")
    assert again.returncode == 2
    assert "trials 1 to 3" in again.stderr

"""More epochs for ended trials, on Ray: killed, resumed, repeated, and no part of the search."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from continue_tools import planted
from search_bench import Bench, kill, ok

from recsearch.run import RunView
from recsearch.store import Store

pytestmark = pytest.mark.ray

MORE = ("continue", "planted-csv-ratings", "--top", "2", "--epochs", "7", "--no-report")


def searched(bench: Bench, root: Path | None = None) -> dict[int, Any]:
    """Every trial as the search suggested and ended it."""
    trials = RunView.open(root or bench.root).record.trials.values()
    views = [trial.searched for trial in trials]
    return {t.number: (t.params, t.state, t.reason, t.history("RMSE")) for t in views}


def test_a_killed_continuation_resumes_and_leaves_the_search_alone(bench: Bench) -> None:
    planted(bench, sleep=0.1)
    ok(bench.search())
    identity = (bench.root / "run.json").read_bytes()
    process = subprocess.Popen(
        bench.command(*MORE), cwd=bench.folder, env=bench.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        bench.wait_for(len(bench.events("epoch")) + 2)
    finally:
        kill(process)
    assert any(t.target and not t.finished for t in RunView.open(bench.root).trials)
    # The search goes on as if there were no continuation, and then the continuation goes on.
    ok(bench.search("--trials", "7"))
    assert len(bench.events("suggested")) == 7
    done = ok(bench.run(*MORE))
    straight = bench.folder / "runs" / "straight"
    trained = len(bench.trained())
    ok(bench.search("--trials", "7", "--run", str(straight), "--store", "other"))
    assert searched(bench) == searched(bench, straight)
    assert any(state == "pruned" for _, state, _, _ in searched(bench).values())

    view = RunView.open(bench.root)
    continued = [trial for trial in view.trials if trial.target]
    assert {(t.state, t.reason, len(t.epochs)) for t in continued} == {("done", "max_epochs", 7)}
    pairs = Counter((e["trial"], e["epoch"]) for e in bench.events("epoch"))
    assert set(pairs.values()) == {1}
    assert trained <= len(pairs) + 2, "at most what was in flight at the kill is trained twice"
    best = view.best()
    assert best is not None
    assert (best[1].epoch, bench.result()["epoch"]) == (6, 6)
    assert (bench.root / "run.json").read_bytes() == identity
    assert "epochs, best" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("next       recsearch verify")

    before, events = bench.trained(), len(bench.events("continued"))
    ok(bench.run(*MORE))
    assert bench.trained() == before, "done twice, it trains nothing"
    assert len(bench.events("continued")) == events
    assert not Store.open(bench.folder / "store", create=False).verify().problems

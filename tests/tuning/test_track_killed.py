"""A search that tools follow, killed and resumed: each (metric, step) once in every one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from search_bench import Bench, kill

sys.path.insert(0, str(Path(__file__).parent.parent / "tracking"))

from kill_tools import SETTINGS, slow, wait_until_gone
from real_tools import check_all

pytestmark = pytest.mark.ray

TRACK = ("--track", "tensorboard", "--track", "wandb:offline", "--track", "mlflow")


def test_tools_have_what_the_journal_has_after_a_kill_and_a_resume(bench: Bench) -> None:
    """At first, one of them fails, which is told of once and ends nothing."""
    pytest.importorskip("wandb", reason="wandb is not installed")
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    slow(bench)
    bench.root.mkdir(parents=True)
    (bench.root / "tensorboard").write_text("no folder")
    process = bench.start(*TRACK)
    try:
        bench.wait_for(1, "note")
        bench.wait_for(7)
    finally:
        kill(process)
    wait_until_gone(bench)
    (note,) = bench.events("note")
    assert note["text"].startswith("tensorboard: ")
    (bench.root / "tensorboard").unlink()
    done = bench.search(*TRACK)
    assert done.returncode == 0, done.stderr
    assert len(bench.events("suggested")) == SETTINGS["trials"]
    check_all(bench.root)
    more = bench.run("continue", str(bench.root), "--top", "1", "--epochs", "7", "--no-report",
                     "--workers", "1", *TRACK)  # fmt: skip
    assert more.returncode == 0, more.stderr
    assert max(event["epoch"] for event in bench.events("epoch")) == 7
    assert bench.events("note") == [note]
    check_all(bench.root)

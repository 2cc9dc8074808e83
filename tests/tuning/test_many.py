"""Many searches through the command line, on Ray: killed in the second, and taken up again."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from search_bench import Bench, kill

pytestmark = pytest.mark.ray

PLAN = """
data = ["demo:small"]
searches = ["bias"]
trials = 2

[[run]]
search = "als"
data = "demo:small"
trials = 3
max_epochs = 4
set = ["space.embedding_size.max=12"]
folder = "runs/als"
"""
ARGUMENTS = ("search", "--plan", "plan.toml", "--no-report", "--workers", "1", "--summary", "table")


def summary(folder: Path) -> list[dict[str, Any]]:
    """What the summary says, but for times and who trained an epoch before it was killed."""
    found = json.loads((folder / "table" / "summary.json").read_text())["runs"]
    for run in found:
        run["all_epochs"] = run.pop("epochs") + run.pop("cached_epochs")
        run["trials"].pop("cached", None)
        del run["wall_s"]
    return list(found)


def work(bench: Bench, root: Path) -> int:
    return sum(len(bench.events(kind, root)) for kind in ("suggested", "started", "epoch"))


def test_a_plan_killed_in_its_second_run_goes_on_there(bench: Bench, tmp_path: Path) -> None:
    (bench.folder / "plan.toml").write_text(PLAN)
    process = subprocess.Popen(
        bench.command(*ARGUMENTS), cwd=bench.folder, env=bench.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    first, second = (bench.folder / "runs" / name for name in ("bias-demo-small", "als"))
    deadline = time.monotonic() + 240
    while not bench.events("epoch", second):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill(process)
    before, halfway = work(bench, first), work(bench, second)
    assert [run["state"] for run in summary(bench.folder)] == ["done", "waiting"]
    done = bench.run(*ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert work(bench, first) == before, "the first run is finished and is left alone"
    assert work(bench, second) > halfway
    assert len(bench.events("opened", second)) == 2
    straight = tmp_path / "straight"
    straight.mkdir()
    (straight / "plan.toml").write_text(PLAN)
    whole = subprocess.run(
        bench.command(*ARGUMENTS), cwd=straight, env=bench.environment, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    assert summary(bench.folder) == summary(straight)
    assert len(whole.stderr.splitlines()) <= 2 * 7, "a few lines per run"

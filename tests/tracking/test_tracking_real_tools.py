"""The real tools, offline: `recsearch track`, killed while it logs, and again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from real_tools import check_mlflow, check_wandb, wandb_rows
from tracking_tools import Tracked, check_tensorboard

ROOT = Path(__file__).resolve().parents[2]
TRIALS, EPOCHS = 4, 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run = Tracked()
    run.opened()
    for number in range(1, TRIALS + 1):
        curve = [1 / number + abs(epoch - 9) / 100 for epoch in range(EPOCHS)]
        run.trial(number, {"x": number / 7}, curve, extra={"NDCG@10": 0.5})
    run.closed()
    return run.write(tmp_path)


def start(root: Path, target: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(root.parent)}
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "recsearch", "track", str(root), "--to", target]
    return subprocess.Popen(
        command, env=environment, cwd=root.parent, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def twice(root: Path, target: str, begun: Callable[[], bool]) -> None:
    """Killed, with all that it started, when it has begun to log; then once more to the end."""
    process = start(root, target)
    deadline = time.monotonic() + 60
    while not begun() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for _ in range(2):
        again = start(root, target)
        output, errors = again.communicate(timeout=120)
        assert again.returncode == 0, errors
        assert f"{TRIALS} trials" in output
        assert not errors, "nothing but our own lines"
    assert not (root.parent / "mlruns").exists()


def test_tensorboard(root: Path) -> None:
    twice(root, "tensorboard", lambda: len(list(root.glob("tensorboard/*"))) > 2)
    check_tensorboard(root)


def test_wandb_offline(root: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    twice(root, "wandb:offline", lambda: len(list(root.glob("wandb/offline-run-*"))) > 2)
    check_wandb(root)
    assert len(wandb_rows(root, 1)) == EPOCHS


def test_mlflow_in_a_local_database(root: Path) -> None:
    """Killed while MLflow made its tables, one by one, too."""
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    process, deadline = start(root, "mlflow"), time.monotonic() + 60
    drafts = ".mlflow.db.draft-*"
    while not any(path.stat().st_size for path in root.glob(f"{drafts}/mlflow.db")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (root / "mlflow.db").exists()
    assert list(root.glob(drafts))
    twice(root, "mlflow", lambda: metrics(root) > EPOCHS)
    check_mlflow(root)
    assert not list(root.glob(drafts))


def metrics(root: Path) -> int:
    """Rows that the database has so far."""
    try:
        with closing(sqlite3.connect(f"file:{root / 'mlflow.db'}?mode=ro", uri=True)) as base:
            return int(base.execute("select count(*) from metrics").fetchone()[0])
    except sqlite3.Error:
        return 0

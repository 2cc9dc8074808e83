"""A worker does not hear SIGTERM, but what a model starts in it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_what_a_worker_starts_can_be_terminated_and_the_worker_cannot() -> None:
    path = os.pathsep.join([str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HERE / "worker_signals.py")],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    ended = [f"{what} {-signal.SIGTERM}" for what in ("fork", "spawn", "forkserver", "program")]
    assert done.stdout.splitlines() == [*ended, "handler True", "alive"], done.stderr
    assert done.returncode == 0

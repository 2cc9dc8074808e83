"""Workers wait for each other once. No Ray runs here."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from recsearch.tuning.meeting import Meeting


def test_a_worker_waits_until_all_have_arrived(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    meeting = Meeting(folder, 2, patience=30)
    meeting.arrive()
    done = threading.Event()
    threading.Thread(target=lambda: (meeting.wait(), done.set()), daemon=True).start()
    assert not done.wait(0.2)
    (folder / "another").touch()
    assert done.wait(10)


def test_it_waits_once_and_not_for_ever(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path, 3, patience=0.1)
    meeting.arrive()
    meeting.wait()
    began = time.monotonic()
    for _ in range(1000):
        meeting.wait()
        meeting.arrive()
    assert time.monotonic() - began < 0.1 * 1000
    assert len(list(tmp_path.iterdir())) == 1


def test_one_worker_waits_for_nobody(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path / "none", 1, patience=3600)
    meeting.arrive()
    meeting.wait()
    assert not (tmp_path / "none").exists()

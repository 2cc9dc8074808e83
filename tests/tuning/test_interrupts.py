"""Ctrl-C on a terminal: once, twice, too early; and nothing is lost or done twice."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from search_bench import Bench

from recsearch.run import RunView
from recsearch.store import Store

pytestmark = pytest.mark.ray

SETTINGS = {"trials": 5, "max_epochs": 5, "method": "random", "lag": 2}


CLEAR = b"\x1b[2J"


def plain(text: bytes | bytearray) -> str:
    found = text.decode(errors="replace").replace("\r", "")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found)


class Terminal:
    """A command in a terminal: what it prints, its size, and the keys that reach its group."""

    def __init__(self, bench: Bench, *options: str):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._bench = bench
        self._ours, theirs = pty.openpty()
        self.resize(80, 24)
        self.process = subprocess.Popen(
            bench.command(*bench._search(options)), cwd=bench.folder,
            env={**bench.environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._read = bytearray()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def resize(self, width: int, height: int) -> None:
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def send(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        code = self.process.wait(timeout=90)
        self._thread.join(timeout=10)
        os.close(self._ours)
        return code

    @property
    def text(self) -> str:
        """All that was printed, without what moves the cursor or colours."""
        return plain(self._read)

    @property
    def since_clearing(self) -> str:
        """What was printed since the terminal was cleared for the last time."""
        return plain(self._read.rpartition(CLEAR)[2])

    def wait_for_clearing(self) -> None:
        deadline = time.monotonic() + 60
        while CLEAR not in self._read:
            assert time.monotonic() < deadline, self.text[-2000:]
            time.sleep(0.02)

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in self.text:
            assert time.monotonic() < deadline, self.text[-2000:]
            time.sleep(0.02)

    def _drain(self) -> None:
        try:
            while found := os.read(self._ours, 65536):
                self._read += found
        except OSError:
            return


@pytest.fixture
def slow(bench: Bench) -> Iterator[Bench]:
    """Epochs long enough for a signal to meet one."""
    path = bench.search_file(**SETTINGS)
    path.write_text(path.read_text().replace(
        "[search]", "config = { sleep = 0.4 }\n[search]"))  # fmt: skip
    yield bench


def check_left(bench: Bench, terminal: Terminal, code: int) -> None:
    """The run can be resumed, each journalled epoch is in the store, and Ray has said nothing."""
    assert code == 130, terminal.text
    last = terminal.text.splitlines()[-1]
    assert "search planted.toml csv:ratings.csv --no-report --workers 1" in last
    for bad in ("Traceback", "KeyboardInterrupt", "ray", "Stop signal"):
        assert bad not in terminal.text
    view = RunView.open(bench.root)
    assert {trial.state for trial in view.trials} <= {"done", "pruned", "interrupted"}
    assert any(trial.state == "interrupted" for trial in view.trials)
    with Store.open(bench.folder / "store", create=False) as store:
        assert not store.verify().problems
        for trial in view.trials:
            if trial.epochs and not trial.finished:
                assert trial.epochs[-1].epoch in store.epochs(trial.key)


def check_same_as_straight(bench: Bench) -> None:
    done = bench.search()
    assert done.returncode == 0, done.stderr
    straight = bench.folder / "runs" / "straight"
    whole = bench.search("--run", str(straight), "--store", "other")
    assert whole.returncode == 0, whole.stderr
    keys = ("trial", "epoch", "metrics")
    mine, theirs = (
        sorted([event[key] for key in keys] for event in bench.events("epoch", root))
        for root in (bench.root, straight)
    )
    assert mine == theirs
    assert [e["params"] for e in bench.events("suggested")] == [
        e["params"] for e in bench.events("suggested", straight)
    ]
    assert bench.result() == bench.result(straight)


def test_ctrl_c_once_finishes_the_epoch_twice_does_not(slow: Bench) -> None:
    """Once in a terminal that is resized; twice and more in the same search, resumed."""
    terminal = Terminal(slow)
    terminal.wait_for("1/5 ")
    terminal.resize(40, 9)
    terminal.wait_for_clearing()
    slow.wait_for(2)
    trained = len(slow.trained())
    terminal.send(signal.SIGINT)
    check_left(slow, terminal, terminal.wait())
    assert "finishing the running epochs of trial 1; Ctrl-C again stops now" in terminal.text
    assert "planted-csv-ratings · RMSE (lower is better)" in terminal.text
    narrow = terminal.since_clearing.split("finishing")[0].splitlines()
    assert any(line.startswith("trial state") for line in narrow)
    assert max(map(len, narrow)) <= 40
    epochs = len(slow.events("epoch"))
    assert epochs == len(slow.trained()), "what was trained is journalled"
    assert epochs <= trained + 1
    assert len(slow.events("started")) == 1, "no new trial"

    again = Terminal(slow)
    slow.wait_for(epochs + 1)
    again.send(signal.SIGINT)
    again.wait_for("Ctrl-C again stops now")
    for _ in range(3):
        again.send(signal.SIGINT)
    check_left(slow, again, again.wait())
    slow.log.write_text("")
    check_same_as_straight(slow)
    times = Counter(slow.trained())
    assert set(times.values()) <= {1, 2}


def test_sigterm_to_all_processes_is_one_ctrl_c(slow: Bench) -> None:
    terminal = Terminal(slow)
    slow.wait_for(1)
    terminal.send(signal.SIGTERM)
    check_left(slow, terminal, terminal.wait())
    assert len(slow.events("epoch")) == len(slow.trained()) <= 2
    closed = slow.events("closed")
    assert [event["exit_code"] for event in closed] == [130]


def test_before_the_first_trial_one_ctrl_c_is_enough(slow: Bench) -> None:
    terminal = Terminal(slow)
    deadline = time.monotonic() + 60
    while not slow.events("opened"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    terminal.send(signal.SIGINT)
    code = terminal.wait()
    assert code == 130, terminal.text
    assert not slow.trained()
    assert "Traceback" not in terminal.text
    assert "search planted.toml" in terminal.text.splitlines()[-1]

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
from pathlib import Path
from typing import Any

import pytest
from search_bench import Bench

from recsearch.run import RunView
from recsearch.store import Store

pytestmark = pytest.mark.ray

SETTINGS = {"trials": 5, "max_epochs": 5, "method": "random", "lag": 2}
MANY = 1000


CLEAR = b"\x1b[2J"


def plain(text: bytes | bytearray) -> str:
    found = text.decode(errors="replace").replace("\r", "")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found)


class Terminal:
    """A command in a terminal: what it prints, its size, and the keys that reach its group."""

    def __init__(self, bench: Turns, *options: str):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._bench = bench
        self._ours, theirs = pty.openpty()
        self.resize(80, 24)
        # Where tests run in several processes these are set, and would fix the size.
        fixed = ("COLUMNS", "LINES")
        given = {name: v for name, v in bench.environment.items() if name not in fixed}
        self.process = subprocess.Popen(
            bench.command(*bench._search(options)), cwd=bench.folder,
            env={**given, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        bench.started.append(self.process)
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
        code = self.process.wait(timeout=240)
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
        deadline = time.monotonic() + 240
        while CLEAR not in self._read:
            assert time.monotonic() < deadline, self.text[-2000:]
            time.sleep(0.02)

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 240
        while words not in self.text:
            assert time.monotonic() < deadline, self.text[-2000:]
            time.sleep(0.02)

    def _drain(self) -> None:
        try:
            while found := os.read(self._ours, 65536):
                self._read += found
        except OSError:
            return


class Turns(Bench):
    """Its epochs end when they are told to: each test knows what is in flight."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self._turns = folder / "turns"
        self.environment["PLANTED_TURNS"] = str(self._turns)
        self.started: list[subprocess.Popen[Any]] = []

    def allow(self, epochs: int) -> None:
        """As many epochs are trained in all; the one after them is in flight until then."""
        self._turns.write_text(str(epochs))

    def wait_for_flight(self, epochs: int) -> None:
        """Until as many are trained and journalled, and the next one is in flight."""
        self.wait_for(epochs)
        waiting = self._turns.with_name("turns.waiting")
        deadline = time.monotonic() + 240
        while not waiting.exists() or waiting.read_text() != str(epochs):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Turns]:
    made = Turns(tmp_path)
    made.search_file(**SETTINGS)
    yield made
    for process in made.started:
        # Where a test has failed, it would wait for its turn forever.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def check_left(bench: Bench, terminal: Terminal, code: int) -> None:
    """The run can be resumed, each journalled epoch is in the store, and Ray has said nothing."""
    assert code == 130, terminal.text
    last = terminal.text.splitlines()[-1]
    assert "search planted.toml csv:ratings.csv --no-report --workers 1" in last
    for bad in ("Traceback", "KeyboardInterrupt", "ray", "Stop signal"):
        assert bad not in terminal.text
    view = RunView.open(bench.root)
    assert {trial.state for trial in view.trials} <= {"done", "pruned", "interrupted", "queued"}
    assert any(trial.state == "interrupted" for trial in view.trials)
    with Store.open(bench.folder / "store", create=False) as store:
        assert not store.verify().problems
        for trial in view.trials:
            if trial.epochs and not trial.finished:
                assert trial.epochs[-1].epoch in store.epochs(trial.key)


def check_same_as_straight(bench: Bench) -> None:
    done = bench.search()
    assert done.returncode == 0, done.stderr
    times = Counter(bench.trained())
    assert len(times) == 25
    assert set(times.values()) == {1}, "no epoch twice"
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


def test_ctrl_c_once_finishes_the_epoch_twice_does_not(bench: Turns) -> None:
    """Once in a terminal that is resized; twice and more in the same search, resumed."""
    bench.allow(3)
    terminal = Terminal(bench)
    bench.wait_for_flight(3)
    terminal.wait_for(" 3/5 ")
    terminal.resize(40, 9)
    terminal.wait_for_clearing()
    terminal.send(signal.SIGINT)
    terminal.wait_for("finishing the running epochs of trial 1; Ctrl-C again stops now")
    bench.allow(MANY)
    check_left(bench, terminal, terminal.wait())
    assert "planted-csv-ratings · RMSE (lower is better)" in terminal.text
    narrow = terminal.since_clearing.split("finishing")[0].splitlines()
    assert any(line.startswith("trial state") for line in narrow)
    assert max(map(len, narrow)) <= 40
    assert len(bench.trained()) == len(bench.events("epoch")) == 4, "what is trained is journalled"
    assert len(bench.events("started")) == 1, "no new trial"

    bench.allow(5)
    again = Terminal(bench)
    bench.wait_for_flight(5)
    again.send(signal.SIGINT)
    again.wait_for("finishing the running epochs of trial 2; Ctrl-C again stops now")
    for _ in range(3):
        again.send(signal.SIGINT)
    check_left(bench, again, again.wait())
    assert len(bench.trained()) == len(bench.events("epoch")) == 5, "it was not waited for"
    bench.allow(MANY)
    check_same_as_straight(bench)


def test_sigterm_to_all_processes_is_one_ctrl_c(bench: Turns) -> None:
    """It is for what the model has started in its worker alone that it means to end."""
    bench.search_file(model="planted:PlantedParent", **SETTINGS)
    bench.allow(1)
    terminal = Terminal(bench)
    bench.wait_for_flight(1)
    terminal.send(signal.SIGTERM)
    terminal.wait_for("Ctrl-C again stops now")
    bench.allow(MANY)
    check_left(bench, terminal, terminal.wait())
    assert len(bench.events("epoch")) == len(bench.trained()) == 2
    closed = bench.events("closed")
    assert [event["exit_code"] for event in closed] == [130]


def test_before_the_first_trial_one_ctrl_c_is_enough_and_later_nobody_need_read_on(
    bench: Turns,
) -> None:
    """Ctrl-C also ends what a command is piped to, such as tee."""
    terminal = Terminal(bench)
    bench.wait_for(1, "opened")
    terminal.send(signal.SIGINT)
    code = terminal.wait()
    assert code == 130, terminal.text
    assert not bench.trained()
    assert "Traceback" not in terminal.text
    assert "search planted.toml" in terminal.text.splitlines()[-1]
    assert {trial.state for trial in RunView.open(bench.root).trials} <= {"queued"}

    bench.allow(1)
    piped = bench.start("--verbose")
    bench.started.append(piped)
    assert piped.stdout is not None
    bench.wait_for_flight(1)
    piped.stdout.close()
    os.killpg(piped.pid, signal.SIGINT)
    bench.allow(MANY)
    assert piped.wait(timeout=240) == 130
    assert len(bench.events("epoch")) == len(bench.trained()) == 2
    assert [event["exit_code"] for event in bench.events("closed")] == [130, 130]
    (stopped,) = bench.events("interrupted")
    assert stopped["reason"] == "stopped by the user"

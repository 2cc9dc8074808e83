"""The processes that feed the tools beside a search, one per tool.

Processes, not threads: whatever a tool does - hang on the network, fill the terminal, install
handlers, take the interpreter for itself, die - the search neither waits for it nor ends with it. A
tool that fails is told of once; nothing is lost by it, since the next command catches up from the
journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

import recsearch
from recsearch.tracking.targets import Target, slug
from recsearch.urls import command_line, without_secrets

PATIENCE = 30.0
"""Seconds that a tool has for what is left when the search has ended."""

FAILED, TOO_SLOW = 1, 75
"""Exit codes: the tool raised; time was up."""

MARK = "recsearch: "
"""Begins the line of the log that says what the tool raised."""

LONGEST = 300
"""Characters of that line."""


class Companions:
    """Starts, watches and ends them.

    Args:
        root: the run folder; what tools print goes to ``tracking/<tool>.log`` in it, or
            ``<tool>-<digest>.log`` for a place that is not the default one.
        targets: the tools.
    """

    def __init__(self, root: Path, targets: Iterable[Target]):
        self._root = root
        self._targets = tuple(targets)
        self._running: dict[Target, subprocess.Popen[bytes]] = {}
        self._begins: dict[Target, int] = {}

    def start(self) -> list[str]:
        """Start all; what went wrong, in words."""
        problems = []
        for target in self._targets:
            try:
                self._running[target] = self._launch(target)
            except OSError as err:
                problems.append(self._sentence(target, str(err)))
        return problems

    def failed(self) -> list[str]:
        """What has gone wrong since the last call, in words."""
        ended = {t: one for t, one in self._running.items() if one.poll() is not None}
        for target, process in ended.items():
            _dismiss(process)
            del self._running[target]
        return [self._problem(target, process.returncode) for target, process in ended.items()]

    def stop(self) -> list[str]:
        """Wait until the tools have what the journal has, but not for long; what went wrong."""
        self.leave()
        problems = []
        while self._running:
            target, process = self._running.popitem()
            try:
                code = process.wait(PATIENCE + 5)
            except subprocess.TimeoutExpired:
                kill_children(process.pid)
                process.kill()
                process.wait()
                code = TOO_SLOW
            if code != 0:
                problems.append(self._problem(target, code))
        return problems

    def leave(self) -> None:
        """Tell the tools that the search has ended, and do not wait for them."""
        for process in self._running.values():
            _dismiss(process)

    def _launch(self, target: Target) -> subprocess.Popen[bytes]:
        log = self._log(target)
        log.parent.mkdir(exist_ok=True)
        # One that was killed, or that a killed search left behind, may still write to it.
        with log.open("ab") as file:
            self._begins[target] = file.seek(0, os.SEEK_END)
            process = subprocess.Popen(  # noqa: S603 - this very program
                [
                    *(sys.executable, "-P", "-m", "recsearch.tracking"),
                    *(str(self._root.resolve()), target.tool),
                ],
                env={**os.environ, "PYTHONPATH": import_path()},
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                # Ctrl-C is for the search, which ends this process in its own time.
                start_new_session=True,
            )
        if process.stdin is not None:
            # Not an argument, which everyone on the machine can read.
            process.stdin.write(json.dumps(target.place).encode() + b"\n")
            process.stdin.flush()
        return process

    def _problem(self, target: Target, code: int) -> str:
        if code == TOO_SLOW:
            return self._sentence(target, f"not all was logged within {PATIENCE:.0f} s")
        try:
            written = self._log(target).read_bytes()[self._begins.get(target, 0) :]
        except OSError:
            written = b""
        lines = written.decode(errors="replace").splitlines()
        told = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
        return self._sentence(target, told[-1] if told else f"its process ended with {code}")

    def _sentence(self, target: Target, why: str) -> str:
        command = command_line(["recsearch", "track", str(self._root), "--to", target.text])
        return without_secrets(f"{target.tool}: {why}; what is missing is logged by: {command}")

    def _log(self, target: Target) -> Path:
        return self._root / "tracking" / f"{slug(target, self._root)}.log"


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()


def said(err: BaseException) -> str:
    """What a tool raised, as the last line of its log."""
    first = next((line.strip() for line in str(err).splitlines() if line.strip()), "")
    return without_secrets(f"{MARK}{type(err).__name__}: {first}")[:LONGEST]


def kill_children(pid: int) -> None:
    """Kill what a process started, and what that did: W&B has a process of its own."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()


def import_path() -> str:
    """``PYTHONPATH`` for a process that imports this very code, and nothing of the working folder.

    Python would put that folder first, and tools would import a ``secrets.py`` that lies there.
    """
    home = Path(recsearch.__file__).resolve().parents[1]
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    # Where packages are installed, Python looks anyway, and for its own modules before.
    installed = home.name in {"site-packages", "dist-packages"}
    return os.pathsep.join(given if installed else [str(home), *given])

"""A command with everything that it starts: wall time, CPU time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from recsearch.threads import THREAD_VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLED_S = 0.5
LAST_LINES = 30


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        began: Seconds since 1970 at which it was started.
        wall_s: From then until its first process had ended.
        cpu_s: User and system time of all its processes.
        peak_bytes: Largest sum over its processes, shared pages divided among them (PSS), of
            samples every half a second.
    """

    began: float
    wall_s: float
    cpu_s: float
    peak_bytes: int

    @property
    def figures(self) -> dict[str, float]:
        """As in the results, rounded to what was measured."""
        return {
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 2),
            "peak_mb": round(self.peak_bytes / 1e6, 1),
        }


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a user's shell would have: no thread limits and no store of this bench's caller."""
    dropped = {*THREAD_VARIABLES, "RECSEARCH_STORE"}
    found = {name: value for name, value in os.environ.items() if name not in dropped}
    path = os.pathsep.join(filter(None, [str(ROOT), found.get("PYTHONPATH")]))
    return {**found, "PYTHONPATH": path, **(extra or {})}


def run(
    command: Sequence[str],
    folder: Path,
    *,
    log: str = "output.log",
    accepted: Sequence[int] = (0,),
    extra: Mapping[str, str] | None = None,
) -> Usage:
    """Run a command in a folder; what it prints goes to a file there.

    Raises:
        RuntimeError: it ended with another code than ``accepted``; has its last lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / log).open("wb") as output:
        began, clock = time.time(), time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(extra), stdout=output, stderr=subprocess.STDOUT
        )
        tree = _Tree(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            tree.end()
        wall = time.monotonic() - clock
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accepted:
        raise RuntimeError(
            f"{' '.join(command)}\nended with {process.returncode}:\n{_tail(folder / log)}"
        )
    # The kernel's sum lacks processes that nobody waited for, the samples lack the last moments.
    cpu = max(usage.ru_utime + usage.ru_stime, tree.cpu_s)
    return Usage(began, wall, cpu, tree.peak_bytes)


class _Tree:
    """Samples a process and all its descendants until told to end."""

    def __init__(self, pid: int):
        self.peak_bytes = 0
        self._root = psutil.Process(pid)
        self._seen: dict[tuple[int, float], tuple[psutil.Process, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        """User and system time of all processes, each as last seen."""
        return sum(seconds for _, seconds in self._seen.values())

    def end(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLED_S):
            self._sample()

    def _sample(self) -> None:
        try:
            found = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            found = []
        # A process whose parent has died is no longer below the root, but still ours.
        known = {(p.pid, p.create_time()): p for p in found}
        known.update({key: process for key, (process, _) in self._seen.items()})
        total = 0
        for key, process in known.items():
            try:
                if not process.is_running():
                    continue
                with process.oneshot():
                    times = process.cpu_times()
                    self._seen[key] = (process, times.user + times.system)
                    total += memory_bytes(process)
            except psutil.Error:
                continue
        self.peak_bytes = max(self.peak_bytes, total)


def memory_bytes(process: psutil.Process) -> int:
    """PSS of a process, or its RSS where the system does not tell."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LAST_LINES:])

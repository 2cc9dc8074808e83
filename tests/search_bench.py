from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from search_tools import write_search

TESTS = Path(__file__).resolve().parent
RATINGS = "\n".join(
    ["user,item,rating"] + [f"{u},{i},3" for u in range(1, 31) for i in range(u % 3, u % 3 + 8)]
)


class Bench:
    """A folder with a planted search and the command line as a user has it."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "ratings.csv").write_text(RATINGS + "\n", encoding="utf-8")
        self.log = folder / "trained"
        self.log.touch()
        self.environment = {
            **os.environ,
            # The code beside these tests, whatever is installed.
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            "PLANTED_LOG": str(self.log),
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self.environment.pop("RECSEARCH_STORE", None)

    def search_file(self, **settings: Any) -> Path:
        return write_search(self.folder / "planted.toml", **settings)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "recsearch", *arguments]

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment, timeout=timeout,
            capture_output=True, text=True,
        )  # fmt: skip

    def search(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self._search(options))

    def start(self, *options: str) -> subprocess.Popen[str]:
        # Tests in the background ignore Ctrl-C, and so would all that they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen(
            self.command(*self._search(options)), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def _search(self, options: tuple[str, ...]) -> tuple[str, ...]:
        """One worker unless told otherwise: to start a second one takes seconds."""
        workers = () if "--workers" in options else ("--workers", "1")
        return ("search", "planted.toml", "csv:ratings.csv", "--no-report", *workers, *options)

    @property
    def root(self) -> Path:
        return self.folder / "runs" / "planted-csv-ratings"

    def events(self, kind: str, root: Path | None = None) -> list[dict[str, Any]]:
        path = (root or self.root) / "journal.ndjson"
        if not path.exists():
            return []
        lines = path.read_bytes().split(b"\n")[:-1]
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def trained(self) -> list[tuple[float, int]]:
        """(level, epoch) of every epoch that was really trained."""
        rows = (line.split() for line in self.log.read_text().splitlines())
        return [(float(level), int(epoch)) for level, epoch in rows]

    def result(self, root: Path | None = None) -> dict[str, Any]:
        """``best-result.json`` without its times."""
        document = json.loads(((root or self.root) / "best-result.json").read_text())
        return {key: value for key, value in document.items()
                if key not in {"train_s", "eval_s", "time", "run"}}  # fmt: skip

    def wait_for(self, count: int, kind: str = "epoch", timeout: float = 180) -> None:
        deadline = time.monotonic() + timeout
        while len(self.events(kind)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {count} {kind} events")
            time.sleep(0.02)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, as the machine's memory manager would."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def ok(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done

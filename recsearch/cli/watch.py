"""``recsearch report --watch``: which runs have changed since their pages were rendered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_S = 2.0
_FILES = ("journal.ndjson", "run.json", "gains.json", "verification.json", "final/final.json")


def changed_runs(
    runs: Callable[[], list[Path]], wait: Callable[[], None] = lambda: time.sleep(POLL_S)
) -> Iterator[list[Path]]:
    """The runs whose files have changed since the last look, each time that any have.

    Args:
        runs: the runs to watch, asked anew at each look, so that new ones are seen.
        wait: called between two looks.
    """
    seen = {run: _signature(run) for run in runs()}
    while True:
        wait()
        now = {run: _signature(run) for run in runs()}
        changed = [run for run, signature in now.items() if seen.get(run) != signature]
        seen = now
        if changed:
            yield changed


def _signature(run: Path) -> tuple[tuple[int, int] | None, ...]:
    """Size and time of everything that a page is made of."""
    return tuple(_stamp(run / name) for name in _FILES)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns

"""``recsearch report --watch``: which runs have changed since their pages were rendered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

POLL_S = 2.0
_FILES = ("journal.ndjson", "*.json", "final/final.json", "comparisons/*.json")


Signature = tuple[tuple[str, int, int], ...]


def signatures(runs: Iterable[Path]) -> dict[Path, Signature]:
    """Name, size and time of everything that the page of each run is made of."""
    return {run: tuple(_stamps(run)) for run in runs}


def changed_runs(
    runs: Callable[[], list[Path]],
    seen: dict[Path, Signature],
    wait: Callable[[], None] = lambda: time.sleep(POLL_S),
) -> Iterator[list[Path]]:
    """The runs whose files have changed since the last look, each time that any have.

    Args:
        runs: the runs to watch, asked anew at each look, so that new ones are seen.
        seen: their signatures before they were rendered, lest a change meanwhile be missed.
        wait: called between two looks.
    """
    while True:
        wait()
        now = signatures(runs())
        changed = [run for run, signature in now.items() if seen.get(run) != signature]
        seen = now
        if changed:
            yield changed


def _stamps(run: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(found for name in _FILES for found in run.glob(name)):
        try:
            stat = path.stat()
        except OSError:
            continue  # gone since it was listed
        yield str(path), stat.st_size, stat.st_mtime_ns

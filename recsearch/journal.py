"""The append-only record of a run: one JSON object per line, fsynced before it counts.

The journal is the truth about decisions (what was suggested, pruned, finished); the store is the
truth about epochs. A line is written whole and ended by a newline, so a crash can only leave a torn
last line. Readers drop it; the next writer removes it and leaves a ``note`` that says so.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from recsearch.errors import RecsearchError

REQUIRED_KEYS: Mapping[str, frozenset[str]] = {
    "opened": frozenset({"pid", "host", "version", "workers", "trials", "resumed"}),
    "baseline": frozenset({"name", "metrics"}),
    "suggested": frozenset({"trial", "params", "config", "key", "origin"}),
    "started": frozenset({"trial"}),
    "epoch": frozenset({"trial", "epoch", "metrics"}),
    "pruned": frozenset({"trial", "epoch", "rule"}),
    "done": frozenset({"trial", "epoch", "reason"}),
    "error": frozenset({"trial", "epoch", "kind", "message"}),
    "interrupted": frozenset({"trial", "epoch"}),
    "continued": frozenset({"trial", "epochs"}),
    "test": frozenset({"config", "part", "seed", "phase"}),
    "closed": frozenset({"exit_code"}),
    "note": frozenset({"text"}),
}
"""Every event and the keys that its line must have."""

Event = dict[str, Any]


class JournalText(NamedTuple):
    """The parsed journal and the bytes of a torn last line, if there is one."""

    events: list[Event]
    whole_bytes: int
    torn_bytes: int


def read_events(path: Path) -> list[Event]:
    """Read all whole lines of a journal; a missing file is an empty journal.

    Raises:
        RecsearchError: a line other than a torn last one is unreadable; names the line.
    """
    return _parse(path).events


class Journal:
    """Writer of one journal. Exactly one process may hold it (the run lock sees to that)."""

    def __init__(self, path: Path):
        self.path = path
        text = _parse(path)
        self.events = text.events
        fresh = not path.exists()
        self._file = path.open("ab", buffering=0)
        if fresh:
            _fsync_folder(path.parent)
        if text.torn_bytes:
            self._file.truncate(text.whole_bytes)
            self.append("note", text=f"dropped a torn last line of {text.torn_bytes} bytes")

    def append(self, event: str, **values: Any) -> Event:
        """Write one event durably and return it.

        Raises:
            RecsearchError: the line cannot be written (disk full, folder gone).
        """
        missing = REQUIRED_KEYS[event] - values.keys()
        if missing:
            raise TypeError(f"event {event!r} lacks {sorted(missing)}")
        row: Event = {"time": now(), "event": event, **values}
        line = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        begin = self._file.tell()
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as err:
            # A part of a line must never be followed by another line.
            with contextlib.suppress(OSError):
                self._file.truncate(begin)
            raise RecsearchError(
                f"{self.path}: cannot write the journal: {err.strerror}.",
                hint="Free some space (or mend the folder), then type the same command to resume.",
            ) from err
        self.events.append(row)
        return row

    def close(self) -> None:
        """Close the file; everything appended is already durable."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class JournalInMemory:
    """Writes nothing: for what a command would do."""

    def append(self, event: str, **values: Any) -> Event:
        """The event as a journal would have it."""
        return {"time": now(), "event": event, **values}


def now() -> str:
    """The current time, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(time: str | None) -> float:
    """A time of the journal as POSIX seconds; 0 for one that it does not have."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def _parse(path: Path) -> JournalText:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return JournalText([], 0, 0)
    except OSError as err:
        raise RecsearchError(f"{path}: cannot read the journal: {err.strerror}.") from err
    events: list[Event] = []
    whole = raw.rfind(b"\n") + 1
    for number, line in enumerate(raw[:whole].splitlines(), start=1):
        events.append(parse_line(path, number, line))
    return JournalText(events, whole, len(raw) - whole)


def parse_line(path: Path, number: int, line: bytes) -> Event:
    """The event of one line.

    Raises:
        RecsearchError: it is none; names journal and line.
    """
    try:
        row = json.loads(line)
        missing = REQUIRED_KEYS[row["event"]] - row.keys()
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise _unreadable(path, number, "not a journal event") from err
    if missing:
        raise _unreadable(path, number, f"the event lacks {', '.join(sorted(missing))}")
    return dict(row)


def _unreadable(path: Path, number: int, why: str) -> RecsearchError:
    return RecsearchError(
        f"{path}: line {number}: {why}; nothing was changed.",
        hint="Mend the line by hand, or start over beside it: the same command with --fresh "
        "(finished epochs are taken from the store, not trained again).",
    )


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""What a running search shows: one quiet live table on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import math
import time
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recsearch.epochs import TrialView, best_row
from recsearch.record import Record

SHOWN_TRIALS = 8
PLAIN_LINES = 20


def make_display(stream: TextIO, *, quiet: bool = False, lines: int = PLAIN_LINES) -> SilentDisplay:
    """The display that fits ``stream``: live on a terminal, lines in a pipe, nothing if quiet."""
    if quiet:
        return SilentDisplay()
    console = Console(file=stream)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console, lines)


class SilentDisplay:
    """Shows nothing; the base of the others."""

    def begin(self, record: Record, total: int) -> None:
        """The search is set up; trials follow."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def update(self, record: Record) -> None:
        """Something was journalled."""

    def end(self) -> None:
        """No more updates follow."""


class PlainDisplay(SilentDisplay):
    """About ``lines`` lines, whatever the number of trials, beside one at each start."""

    def __init__(self, console: Console, lines: int = PLAIN_LINES):
        self._console = console
        self._lines = lines
        self._finished = 0
        self._step = 1

    def begin(self, record: Record, total: int) -> None:
        """Say what is resumed and what is to come."""
        self._clock = Clock(record, total)
        self._step = math.ceil(total / self._lines)
        self._finished = len(_finished(record))
        self._line(f"{total} trials, {self._finished} finished before")

    def note(self, text: str) -> None:
        """Print a line."""
        self._line(text)

    def update(self, record: Record) -> None:
        """Print a line at every n-th finished trial, and at the last."""
        finished = len(_finished(record))
        if finished >= self._finished + self._step or (
            finished == self._clock.total > self._finished
        ):
            self._finished = finished
            self._line(summary(record, self._clock))

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay(SilentDisplay):
    """One table, redrawn in place: running trials, the last finished ones, the best."""

    def __init__(self, console: Console):
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def begin(self, record: Record, total: int) -> None:
        """Start drawing."""
        self._clock = Clock(record, total)
        self._live.start()
        self.update(record)

    def note(self, text: str) -> None:
        """Print a line above the table."""
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, record: Record) -> None:
        """Redraw at the next refresh."""
        if self._live.is_started:
            self._live.update(Group(_table(record), Text(summary(record, self._clock))))

    def end(self) -> None:
        """Stop drawing and leave the terminal clean."""
        self._live.stop()


class Clock:
    """Time left, from the pace of the trials that this command has run."""

    def __init__(self, record: Record, total: int):
        self.total = total
        self._began = time.monotonic()
        self._before = len(_finished(record))

    def left(self, finished: int) -> float | None:
        """Seconds left, None before the first trial of the session has ended."""
        done = finished - self._before
        if done <= 0:
            return None
        return (time.monotonic() - self._began) / done * (self.total - finished)


def summary(record: Record, clock: Clock) -> str:
    """One line: how far, best so far, time left, bytes written."""
    counts = record.counts()
    finished = len(_finished(record))
    parts = [f"{finished}/{clock.total} trials"]
    names = ("pruned", "cached", "error")
    parts += [f"{counts[name]} {name}" for name in names if counts[name]]
    best = record.best()
    if best:
        trial, row = best
        value = row.value(record.objective.name)
        parts.append(
            f"best {record.objective.name} {value:.5f} (trial {trial.number}, epoch {row.epoch})"
        )
    if record.others:
        parts.append(f"front {len(record.front())}")
    left = clock.left(finished)
    if left is not None and finished < clock.total:
        parts.append(f"{duration(left)} left")
    written = sum(row.stored_bytes for t in record.trials.values() for row in t.epochs)
    parts.append(f"{size(written)} written")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Bytes in words, decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _table(record: Record) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("trial", "state", "epoch", record.objective.name, "best epoch"):
        table.add_column(name, justify="left" if name == "state" else "right")
    best = record.best()
    for trial in _shown(record):
        style = "bold" if best and best[0].number == trial.number else ""
        table.add_row(*_cells(trial, record), style=style)
    return table


def _shown(record: Record) -> list[TrialView]:
    """Running trials, the latest finished ones, and always the best."""
    trials = sorted(record.trials.values(), key=lambda t: (not t.finished, t.ended or "", t.number))
    shown = trials[-SHOWN_TRIALS:]
    best = record.best()
    if best and best[0] not in shown:
        shown = [best[0], *shown[1:]]
    return shown


def _cells(trial: TrialView, record: Record) -> tuple[str, ...]:
    name = record.objective.name
    state = trial.state if trial.reason is None else f"{trial.state} ({trial.reason})"
    state = f"{state}, cached" if trial.cached else state
    if not trial.epochs:
        return str(trial.number), state, "", "", ""
    top = best_row(trial.epochs, record.objective)
    return (
        str(trial.number),
        state,
        str(trial.epochs[-1].epoch),
        f"{trial.epochs[-1].value(name):.5f}",
        "" if top is None else f"{top.value(name):.5f} @ {top.epoch}",
    )


def _finished(record: Record) -> list[TrialView]:
    return [trial for trial in record.trials.values() if trial.finished]

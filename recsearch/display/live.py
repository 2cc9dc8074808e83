"""One table, redrawn in place."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live

from recsearch.display.base import NOTHING_KNOWN, About, SilentDisplay
from recsearch.display.clock import Clock
from recsearch.display.epoch_lines import epoch_lines
from recsearch.display.screen import screen
from recsearch.display.snapshot import take, times
from recsearch.display.tally import Tally
from recsearch.display.words import ASCII, UNICODE
from recsearch.errors import RecsearchError
from recsearch.printable import clean
from recsearch.record import Record

TICK_S = 0.5
"""Between two drawings: time goes on while nothing is journalled."""
STORE_S = 10.0
"""Between two looks at the size of the store."""


class LiveDisplay(SilentDisplay):
    """What is searched, the best, what runs with its curves, what ended last, and time left.

    Args:
        console: a terminal.
        verbose: whether every epoch has a line above the table.
        now: seconds, from any moment on.
    """

    def __init__(
        self,
        console: Console,
        verbose: bool = False,
        now: Callable[[], float] = time.monotonic,
    ):
        self._console = console
        self._verbose = verbose
        self._now = now
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._live = Live(
            get_renderable=lambda: self,
            console=console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )

    def begin(self, record: Record, total: int, about: About = NOTHING_KNOWN) -> None:
        """Start drawing."""
        self._about, self._total, self._tally = about, total, Tally()
        self._tally.update(record.trials.values())
        self._clock = Clock(total, self._tally, self._now)
        self._record, self._changed = record, True
        self._store: int | None = None
        self._size = self._console.size
        self._live.start()
        self._thread = threading.Thread(target=self._tick, name="display", daemon=True)
        self._thread.start()

    def note(self, text: str) -> None:
        """Print a line above the table."""
        with self._lock:
            self._console.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def update(self, record: Record) -> None:
        """Count what has changed; the next tick draws it."""
        with self._lock:
            changes = self._tally.update(record.trials.values())
            self._clock.update(self._tally)
            self._record, self._changed = record, True
        if self._verbose:
            for line in epoch_lines(changes, record.objectives):
                self.note(line)

    def draw(self) -> None:
        """Draw the table as it is now."""
        with self._lock:
            if self._over.is_set():
                return
            size, before = self._console.size, self._size
            if size.width < before.width or size.height < before.height:
                # Lines that a narrower terminal has broken in two are more than were drawn.
                self._live.stop()
                self._console.control(Control.clear(), Control.home())
                self._live.start()
            self._size = size
            self._live.refresh()

    def end(self) -> None:
        """Stop drawing and leave the terminal clean."""
        with self._lock:
            self._over.set()
            self._live.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, for the terminal as it is now."""
        glyphs = ASCII if options.ascii_only else UNICODE
        said = times(self._clock, self._tally, self._store)
        size = console.size
        self._look()
        # A line is left for the cursor, which would else scroll the first one away.
        yield from screen(
            self._snapshot, self._tally, said, self._total, size.width, size.height - 1, glyphs
        )

    def _look(self) -> None:
        """Take in what there is to see, if it is not what was drawn last.

        There are many events for each drawing. Of the record nothing is looked at here that the
        search, which goes on beside, could change meanwhile.
        """
        with self._lock:
            if self._changed:
                self._changed = False
                self._snapshot = take(self._record, self._tally, self._about)

    def _tick(self) -> None:
        measured = -STORE_S
        while True:
            if self._now() - measured >= STORE_S:
                with contextlib.suppress(RecsearchError, OSError):
                    self._store = self._about.store_bytes()
                measured = self._now()
            self.draw()
            if self._over.wait(TICK_S):
                return

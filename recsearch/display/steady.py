"""A display that costs no search."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from recsearch.display.base import NOTHING_KNOWN, About, SilentDisplay
from recsearch.record import Record


class SteadyDisplay(SilentDisplay):
    """Shows what another display does until that fails, and then nothing.

    It is called where the journal is written: what it raised would end the search.

    Args:
        shown: the other display.
    """

    def __init__(self, shown: SilentDisplay):
        self._shown = shown

    def begin(self, record: Record, total: int, about: About = NOTHING_KNOWN) -> None:
        """Begin, if that is possible."""
        self._try(lambda shown: shown.begin(record, total, about))

    def note(self, text: str) -> None:
        """Tell, if that is possible."""
        self._try(lambda shown: shown.note(text))

    def update(self, record: Record) -> None:
        """Take in what was journalled, if that is possible."""
        self._try(lambda shown: shown.update(record))

    def end(self) -> None:
        """End, if there is anything to end."""
        self._try(lambda shown: shown.end())

    def _try(self, call: Callable[[SilentDisplay], None]) -> None:
        try:
            call(self._shown)
        except (Exception, SystemExit) as err:  # noqa: BLE001 - a library may even exit
            failed, self._shown = self._shown, SilentDisplay()
            with contextlib.suppress(Exception, SystemExit):
                failed.end()
            with contextlib.suppress(OSError, ValueError):
                why = f"{type(err).__name__}: {err}"
                sys.stderr.write(f"the search goes on, but is not shown any more: {why}\n")

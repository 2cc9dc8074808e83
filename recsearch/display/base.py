"""What every display is asked to do, and what it is told of the search beside its record."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from recsearch.record import Record


class About(NamedTuple):
    """What the record of a run does not say.

    Attributes:
        name: of the run.
        max_epochs: of a trial; None if unknown.
        store_bytes: measures the store; None where that would take long.
    """

    name: str
    max_epochs: int | None
    store_bytes: Callable[[], int | None]


NOTHING_KNOWN = About("", None, lambda: None)


class SilentDisplay:
    """Shows nothing; the base of the others."""

    def begin(self, record: Record, total: int, about: About = NOTHING_KNOWN) -> None:
        """The search is set up; trials follow, until ``total`` have ended."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def update(self, record: Record) -> None:
        """Something was journalled."""

    def end(self) -> None:
        """No more updates follow."""

"""What a running search shows: one live table on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import os
from typing import IO, TextIO, cast

from rich.console import Console

from recsearch.display.base import NOTHING_KNOWN, About, SilentDisplay
from recsearch.display.live import LiveDisplay
from recsearch.display.plain import PLAIN_LINES, PlainDisplay
from recsearch.display.steady import SteadyDisplay
from recsearch.display.stream import LossyStream

__all__ = [
    "NOTHING_KNOWN",
    "About",
    "LiveDisplay",
    "PlainDisplay",
    "SilentDisplay",
    "SteadyDisplay",
    "make_display",
]


def make_display(
    stream: TextIO, *, quiet: bool = False, verbose: bool = False, lines: int = PLAIN_LINES
) -> SilentDisplay:
    """The display that fits ``stream``: live on a terminal, lines elsewhere, nothing if quiet.

    Args:
        stream: where progress goes.
        quiet: show nothing.
        verbose: a line for every epoch beside all else.
        lines: how many there are about, where it is no terminal or one that cannot be redrawn.
    """
    if quiet:
        return SilentDisplay()
    output = LossyStream(stream)
    terminal = output.isatty() and os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}
    # Told, for it would take FORCE_COLOR for a terminal, which a log on a build server is not.
    console = Console(file=cast(IO[str], output), force_terminal=terminal)
    return LiveDisplay(console, verbose) if terminal else PlainDisplay(console, lines, verbose)

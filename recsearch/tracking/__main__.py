"""The process beside a search: ``python -m recsearch.tracking RUN TARGET``.

It follows the journal until its standard input ends, which is when the search ends or dies, and
then has `PATIENCE` seconds for what is left.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from recsearch.tracking.companions import FAILED, PATIENCE, TOO_SLOW, said
from recsearch.tracking.follow import follow
from recsearch.tracking.targets import Target

PAUSE = 0.5
"""Seconds between two looks at the journal."""


def main(root: str, tool: str, place: str | None = None) -> int:
    """Follow one run with one tool; the exit code."""
    over = threading.Event()

    def wait() -> None:
        # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
        while os.read(0, 4096):
            pass
        timer = threading.Timer(PATIENCE, lambda: os._exit(TOO_SLOW))
        timer.daemon = True
        timer.start()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    # What trains goes first.
    os.nice(10)
    try:
        follow(Path(root), Target(tool, place), lambda: over.wait(PAUSE), PATIENCE)
    except Exception as err:  # noqa: BLE001 - a tool may raise anything; the search goes on
        sys.stderr.write(f"\n{said(err)}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

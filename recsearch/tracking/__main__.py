"""The process beside a search: ``python -P -m recsearch.tracking RUN TOOL``.

The first line of its standard input is the place of the tool as JSON, which may hold a password. It
follows the journal until that input ends, which is when the search ends or dies, and then has
`PATIENCE` seconds for what is left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from recsearch.tracking.companions import FAILED, PATIENCE, TOO_SLOW, kill_children, said
from recsearch.tracking.follow import follow
from recsearch.tracking.targets import Target

PAUSE = 0.5
"""Seconds between two looks at the journal."""


def main(root: str, tool: str) -> int:
    """Follow one run with one tool; the exit code."""
    # A batch system sends it to all processes of a job; the search then ends this one's input.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    line, over = _line(), threading.Event()
    if not line.endswith(b"\n"):
        # The search has died before it could say where to.
        return 0
    place = json.loads(line)

    def wait() -> None:
        # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
        while os.read(0, 4096):
            pass
        timer = threading.Timer(PATIENCE, give_up)
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


def give_up() -> None:
    """End now, with what the tool started."""
    kill_children(os.getpid())
    os._exit(TOO_SLOW)


def _line() -> bytes:
    """The first line of the standard input, without its end if there is no more."""
    found = b""
    while not found.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        found += byte
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Ctrl-C and SIGTERM: the first asks to finish what is in flight, the second to stop at once."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Literal, TypeVar

import psutil

Phase = Literal["immediate", "patient", "finishing", "closing"]
Result = TypeVar("Result")

INTERRUPTED = 130
"""Exit code of what was interrupted and can be resumed."""

ENOUGH = 3
"""Signals that end a command which has said that it closes, but does not."""


_KEPT: dict[Phase, float] = {"immediate": 0, "patient": 2, "finishing": 1, "closing": math.inf}
"""How many signals each phase keeps; the one after them raises."""


def kill_below(number: int) -> None:
    """Kill all processes that a process has started, and those that they have."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(number).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()


class Interrupt:
    """What the signals of a command have asked for; a context that catches them.

    What a signal does depends on what the command is at:

    - ``immediate``: it raises `KeyboardInterrupt`, as Python itself would. Preparations are so.
    - ``patient``: it is kept for `check`. Trials are trained so: their driver comes by every tenth
      of a second, at a point where journal and store are whole. Only a third one raises, in case
      that the driver never comes by.
    - ``finishing``: the first is kept, the second raises. What is no trial, but is better whole,
      such as a page, is done so.
    - ``closing``: it is kept. What is left to do takes a moment and prints how to go on. If it
      hangs, the third signal ends the process and all below it.

    One `KeyboardInterrupt` is all that a command gets: it is ``closing`` from then on.

    Attributes:
        asked: Signals so far.
        at_once: Whether what is in flight is given up.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = False
        self._late = 0
        self._phase: Phase = "immediate"
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # What a shell starts in the background is told to ignore Ctrl-C.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Signals wait for `check`; one that was never checked is found in `asked`."""
        with self._at("closing" if self._phase == "closing" else "patient"):
            yield

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """The first signal waits until this is done, the second does not.

        Raises:
            KeyboardInterrupt: a second signal came.
        """
        with self._at("closing" if self._phase == "closing" else "finishing"):
            yield

    def spare(self, work: Callable[[], Result]) -> Result | None:
        """What ``work`` returns; None if a signal came before it or ended it: it can be spared."""
        if self.asked:
            return None
        with contextlib.suppress(KeyboardInterrupt), self.immediate():
            return work()
        return None

    @contextlib.contextmanager
    def immediate(self) -> Iterator[None]:
        """Signals raise, even while the command closes; what is done may be left half done.

        Raises:
            KeyboardInterrupt: a signal came.
        """
        with self._at("immediate"):
            yield

    def close(self) -> None:
        """From here on signals stop nothing."""
        self._phase = "closing"

    def check(self, in_flight: bool) -> None:
        """Stop if a signal asks for it; where it does depends on whether anything is in flight.

        Raises:
            KeyboardInterrupt: a signal came and nothing is in flight, or a second one came.
        """
        if self.asked and (self.at_once or not in_flight):
            self.close()
            raise KeyboardInterrupt

    def leave(self, code: int) -> int:
        """The exit code of a command that has said all it has to; if interrupted, end it here.

        Threads may still wait for Ray to start or measure baselines, and Python would wait for
        them. The processes of Ray end with this one, and what they train with them.
        """
        if self.asked:
            try:
                kill_below(os.getpid())
                for stream in (sys.stdout, sys.stderr):
                    # Whoever read it may have gone by the same Ctrl-C. A closed one has nothing.
                    with contextlib.suppress(OSError, ValueError):
                        stream.flush()
            finally:
                os._exit(code)
        return code

    @contextlib.contextmanager
    def _at(self, phase: Phase) -> Iterator[None]:
        before, self._phase = self._phase, phase
        try:
            yield
        finally:
            # A signal that has raised in between has made it "closing", for good.
            if self._phase == phase:
                self._phase = before

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self._phase == "closing":
            self._late += 1
            if self._late >= ENOUGH:
                kill_below(os.getpid())
                os._exit(INTERRUPTED)
        if self.asked > 1 or self._phase == "immediate":
            self.at_once = True
        if self.asked > _KEPT[self._phase]:
            self.close()
            raise KeyboardInterrupt

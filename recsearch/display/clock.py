"""How long a command has worked on a run, how fast it is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

from recsearch.display.tally import Tally


class Clock:
    """Follows a tally; what it says about time changes by itself.

    Trials that are running count as half done: on average they are. Trials taken from the store
    say nothing about how long the others take.

    Args:
        total: trials that the run will have.
        tally: the run as the command found it.
        now: seconds, from any moment on.
    """

    def __init__(self, total: int, tally: Tally, now: Callable[[], float] = time.monotonic):
        self.total = total
        self.before = tally.finished
        self._now = now
        self._opened = now()
        self._worked, self._trained = tally.worked, tally.trained
        self._finished = tally.finished
        self._began: float | None = None
        self._foreseen: tuple[float, float] | None = None

    def update(self, tally: Tally) -> None:
        """Something was journalled."""
        # Trials that are to have more epochs are not finished any more.
        self.before = min(self.before, tally.finished)
        self._worked = min(self._worked, tally.worked)
        if self._began is None and tally.states["training"]:
            self._began = self._now()
        if tally.finished != self._finished:
            self._finished = tally.finished
            self._foresee(tally)

    def elapsed(self) -> float:
        """Seconds since the command began its work."""
        return self._now() - self._opened

    def left(self) -> float | None:
        """Seconds left; None before the first trial has ended, or if it takes longer than that."""
        if self._foreseen is None:
            return None
        seconds, at = self._foreseen
        left = seconds - (self._now() - at)
        return left if left >= 0.5 else None

    def pace(self, tally: Tally) -> float | None:
        """Epochs trained per minute by this command; None before the first."""
        trained = tally.trained - self._trained
        if self._began is None or trained <= 0:
            return None
        return 60 * trained / max(self._now() - self._began, 1e-9)

    def _foresee(self, tally: Tally) -> None:
        worked, running = tally.worked - self._worked, tally.states["training"]
        if self._began is None or worked <= 0:
            return
        each = (self._now() - self._began) / (worked + running / 2)
        left = self.total - tally.finished - running / 2
        self._foreseen = (each * max(left, 0), self._now())

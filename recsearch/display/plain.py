"""Progress in lines, each of which can be read without the others."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from recsearch.display.base import NOTHING_KNOWN, About, SilentDisplay
from recsearch.display.clock import Clock
from recsearch.display.epoch_lines import epoch_lines
from recsearch.display.tally import Tally
from recsearch.display.words import ASCII, UNICODE, number, state
from recsearch.epochs import TrialView
from recsearch.printable import clean
from recsearch.record import Record
from recsearch.units import duration

PLAIN_LINES = 14
"""With those before and after, no more than 25."""


class PlainDisplay(SilentDisplay):
    """About ``lines`` lines, whatever the number of trials, beside one at each start.

    Args:
        console: where to print.
        lines: how many trials have a line when they end; few have one each.
        verbose: whether every epoch has a line, too.
        now: seconds, from any moment on.
    """

    def __init__(
        self,
        console: Console,
        lines: int = PLAIN_LINES,
        verbose: bool = False,
        now: Callable[[], float] = time.monotonic,
    ):
        self._console = console
        self._lines = lines
        self._verbose = verbose
        self._now = now
        self._glyphs = ASCII if console.options.ascii_only else UNICODE

    def begin(self, record: Record, total: int, about: About = NOTHING_KNOWN) -> None:
        """Say what is resumed and what is to come."""
        self._tally = Tally()
        self._tally.update(record.trials.values())
        self._clock = Clock(total, self._tally, self._now)
        self._shown = 0
        name = f"{about.name}: " if about.name else ""
        self._line(f"{name}{total} trials, {self._tally.finished} finished before")

    def note(self, text: str) -> None:
        """Print a line."""
        self._line(text)

    def update(self, record: Record) -> None:
        """Print a line for a trial that has ended, if it is its turn."""
        changes = self._tally.update(record.trials.values())
        self._clock.update(self._tally)
        if self._verbose:
            for line in epoch_lines(changes, record.objectives):
                self._line(line)
        ended = [trial for trial, _ in changes if trial.finished]
        if ended and self._due():
            self._line(self._ended(ended[-1], record))

    def _due(self) -> bool:
        """Whether the trials that have ended make up a further line."""
        done, todo = (n - self._clock.before for n in (self._tally.finished, self._clock.total))
        reached = done * min(self._lines, todo) // max(todo, 1)
        due, self._shown = reached > self._shown, reached
        return due

    def _ended(self, trial: TrialView, record: Record) -> str:
        name = record.objective.name
        top, best = record.best_of(trial), record.best()
        text = f"{self._tally.finished}/{self._clock.total}  trial {trial.number} {state(trial)}"
        if top is not None:
            text += f": {name} {number(top.value(name))} @ {top.epoch}"
        elif trial.message:
            text += f": {trial.message}"
        parts = [text]
        if best is not None:
            value = number(best[1].value(name))
            parts.append(f"best {value} (trial {best[0].number}, epoch {best[1].epoch})")
        if self._tally.states["error"]:
            parts.append(f"{self._tally.states['error']} error")
        left = self._clock.left()
        if left is not None and self._tally.finished < self._clock.total:
            parts.append(f"{duration(left)} left")
        return self._glyphs.between.join(parts)

    def _line(self, text: str) -> None:
        self._console.print(clean(text), markup=False, highlight=False, soft_wrap=True)

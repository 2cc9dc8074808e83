"""Which trials train at the moment: what an interrupted search waits for."""

from __future__ import annotations

from recsearch.interrupt import Interrupt
from recsearch.tuning.local import DriverOnly


class Flight(DriverOnly):
    """Trials whose epoch a worker trains, and whether further ones may begin.

    Args:
        interrupt: what the user has asked for.
    """

    def __init__(self, interrupt: Interrupt):
        self._interrupt = interrupt
        self._trials: set[int] = set()

    @property
    def ending(self) -> bool:
        """Whether no epoch is to begin any more."""
        return self._interrupt.asked > 0

    def begins(self, number: int) -> None:
        """A trial has begun; its epochs follow one another without further notice."""
        self._trials.add(number)

    def ends(self, number: int) -> None:
        """No further epoch of a trial follows."""
        self._trials.discard(number)

    def check(self) -> None:
        """Stop if the user asks for it, as soon as what runs is finished.

        Raises:
            KeyboardInterrupt: it is, or is not to be waited for.
        """
        self._interrupt.check(in_flight=bool(self._trials))

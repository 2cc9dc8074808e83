"""Frees the bytes of dropped checkpoints while a search runs, and once more at its end."""

from __future__ import annotations

import time

from recsearch.errors import StoreError
from recsearch.store import Store

EVERY_S = 60.0
"""Time between collections, and for how long a marked pack is left for readers."""


class Housekeeper:
    """Collects the store now and then. Several searches may share the store: one at a time does.

    Attributes:
        problem: why the last collection could not be done, if it could not.
    """

    def __init__(self, store: Store):
        self._store = store
        self._last = time.monotonic()
        self.problem: str | None = None

    def tick(self) -> None:
        """Collect if the last time is long enough ago."""
        if time.monotonic() - self._last >= EVERY_S:
            self._collect(EVERY_S)

    def finish(self) -> None:
        """Collect all that the run has left."""
        self._collect(0)

    def _collect(self, grace_s: float) -> None:
        # Another process may be collecting, or a manifest of another run be damaged: neither is
        # a reason to stop this search, and nothing is deleted then.
        try:
            self._store.collect(grace_s=grace_s)
            self.problem = None
        except StoreError as err:
            self.problem = str(err)
        self._last = time.monotonic()

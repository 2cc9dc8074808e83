"""Workers wait for each other once, before the first of them ends a trial.

Ray Tune gives a worker that is free to any trial that waits for a worker, and throws away the one
that is being started for that trial. Quick trials would so keep all but the first from starting.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

PATIENCE_S = 15.0
PAUSE_S = 0.02


class Meeting:
    """One worker's part in it.

    Args:
        folder: shared by all workers of a command; each leaves an empty file in it.
        expected: number of workers that will come.
        patience: seconds after which a worker goes on without the others.
    """

    def __init__(self, folder: Path, expected: int, patience: float = PATIENCE_S):
        self._folder = folder
        self._expected = expected
        self._patience = patience
        self._arrived = False
        self._over = expected <= 1

    def arrive(self) -> None:
        """Say that this worker works; Ray Tune knows it by then."""
        if not self._over and not self._arrived:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / str(os.getpid())).touch()
            self._arrived = True

    def wait(self) -> None:
        """Wait until all have arrived, or no longer than the patience; later calls do nothing."""
        end = time.monotonic() + self._patience
        while not self._over and time.monotonic() < end:
            self._over = len(list(self._folder.iterdir())) >= self._expected
            if not self._over:
                time.sleep(PAUSE_S)
        self._over = True

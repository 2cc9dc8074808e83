"""A Bloom filter with LevelDB's settings: 16 bits a key, 11 probes by double hashing."""

from __future__ import annotations

import numpy as np

BITS = 16
PROBES = 11


class Bloom:
    """What a set of row numbers answers to.

    Args:
        ids: The numbers.
    """

    def __init__(self, ids: np.ndarray):
        self._size = max(64, BITS * len(ids))
        self._bits = np.zeros(self._size, bool)
        for places in self._places(ids):
            self._bits[places] = True

    def count(self, ids: np.ndarray) -> int:
        """How many of ``ids`` seem to be in it: all that are, and about one in 2,000 others."""
        found = np.ones(len(ids), bool)
        for places in self._places(ids):
            found &= self._bits[places]
        return int(found.sum())

    def _places(self, ids: np.ndarray) -> list[np.ndarray]:
        # The finaliser of MurmurHash3.
        word = ids.astype(np.uint64)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            word = (word ^ (word >> np.uint64(33))) * np.uint64(factor)
        word ^= word >> np.uint64(33)
        step = (word >> np.uint64(17)) | np.uint64(1)
        return [(word + np.uint64(n) * step) % np.uint64(self._size) for n in range(PROBES)]

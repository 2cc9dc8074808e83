"""How the blobs of some packs are stored, from the index or from their own tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from recsearch.store.catalog import Catalog, packed


@dataclass(frozen=True, eq=False)
class Inventory:
    """Some blobs.

    Attributes:
        blobs: As numbers (see :func:`~recsearch.store.catalog.packed`), in order.
        rows: Of each what a :class:`~recsearch.store.segment.Segment` says.
    """

    blobs: np.ndarray
    rows: np.ndarray

    @property
    def stored(self) -> np.ndarray:
        """Stored bytes of each blob."""
        return self.rows["stored"]

    def find(self, blobs: np.ndarray) -> np.ndarray:
        """Which ones some blobs are; -1 for one that is not there."""
        if not len(self.blobs):
            return np.full(len(blobs), -1)
        at = np.searchsorted(self.blobs, blobs).clip(max=len(self.blobs) - 1)
        return np.where(self.blobs[at] == blobs, at, -1)

    def sizes(self, blobs: np.ndarray) -> np.ndarray:
        """Stored bytes of each of some blobs; 0 for one that is not there."""
        return np.append(self.stored, 0)[self.find(blobs)]


def take_inventory(
    catalog: Catalog, packs: Iterable[str], tick: Callable[[], None] = lambda: None
) -> Inventory:
    """The blobs of ``packs``; what is damaged or gone is left out, for verify to report."""
    segment = catalog.index.refresh(packs, tick)
    numbers = np.array([catalog.number(ulid) for ulid in segment.packs] or [0])
    places = np.stack([numbers[segment.rows["pack"]], segment.rows["offset"]], axis=1)
    blobs = packed(places)
    order = np.argsort(blobs)
    return Inventory(blobs[order], segment.rows[order])

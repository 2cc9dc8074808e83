"""What a checkpoint needs of one tensor: stored already, or still to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from recsearch.store.manifest import Chain
from recsearch.store.pack import Place


@dataclass(frozen=True)
class Whole:
    """All rows of a tensor: bytes of shape (rows, bytes per row), the series' own from now on."""

    table: np.ndarray


@dataclass(frozen=True)
class Rows:
    """The rows that may have changed.

    Attributes:
        ids: Their sorted unique numbers.
        rows: Their bytes.
        probe: Bytes of some consecutive rows, to prove that others have not changed.
        probe_from: Number of the first of those.
    """

    ids: np.ndarray
    rows: np.ndarray
    probe: np.ndarray
    probe_from: int


@dataclass(frozen=True)
class Wanted:
    """A block or patch that a checkpoint needs and that may have to be written.

    Attributes:
        name: Its name as a blob.
        raw: Its raw bytes.
        patch: Whether it is a patch.
        encode: Gives codec, dtype of the elements, and the bytes to store.
        behind: The blobs that it may be stored as a difference to, the nearest first.
        over: The name of the first of those.
        before: The name of the second, if an extrapolation may use it.
    """

    name: bytes
    raw: int
    patch: bool
    encode: Callable[[], tuple[str, str, tuple[bytes | memoryview, ...]]]
    behind: Chain = ()
    over: bytes = b""
    before: bytes = b""


@dataclass
class Draft:
    """A tensor on its way: its blocks and patches, some of them still to be written."""

    blocks: list[Chain | Wanted]
    patches: list[Place | Wanted] = field(default_factory=list)
    since: list[int] = field(default_factory=list)

    @property
    def wanted(self) -> list[Wanted]:
        """What is still to be written."""
        return [item for item in (*self.blocks, *self.patches) if isinstance(item, Wanted)]

    @property
    def places(self) -> set[Place]:
        """What is there already, and what of it a difference may be taken to."""
        behind = (b.behind if isinstance(b, Wanted) else b for b in self.blocks)
        chains = {place for chain in behind for place in chain}
        return chains | {p for p in self.patches if not isinstance(p, Wanted)}

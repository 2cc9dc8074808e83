"""Which blobs are stored already, as far as this process knows."""

from __future__ import annotations

import time

from recsearch.store.backend import Backend
from recsearch.store.layout import Layout
from recsearch.store.pack import BlobRef, parse_table, read_table

REFRESH_S = 60.0


class BlobIndex:
    """Blob name to place, read from the index files of all packs.

    It is a hint: a blob that it does not know is stored once more, and a pack that it names is
    looked up again before a checkpoint refers to it. So it is read once and then only extended,
    at most every ``REFRESH_S`` seconds. Belongs to one thread.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._blobs: dict[bytes, BlobRef] = {}
        self._packs: dict[str, list[bytes]] = {}
        self._read: float | None = None

    def find(self, name: bytes, length: int) -> BlobRef | None:
        """Where a blob of that name and raw length is."""
        ref = self._blobs.get(name)
        return ref if ref is not None and ref.raw == length else None

    def refresh(self) -> None:
        """Read the indexes of packs written since the last time, if that is a while ago."""
        now = time.monotonic()
        if self._read is not None and now - self._read < REFRESH_S:
            return
        self._read = now
        for entry in self._backend.list(Layout.INDEX):
            ulid = Layout.ulid_of(entry.name)
            if ulid is not None and ulid not in self._packs:
                self.add(ulid, _load(self._backend, ulid))

    def add(self, ulid: str, refs: list[BlobRef]) -> None:
        """Learn the blobs of one pack."""
        self._packs[ulid] = [ref.name for ref in refs]
        for ref in refs:
            self._blobs.setdefault(ref.name, ref)

    def forget(self, ulid: str) -> None:
        """Unlearn the blobs of a pack that is gone or about to go."""
        for name in self._packs.get(ulid, []):
            if name in self._blobs and self._blobs[name].pack == ulid:
                del self._blobs[name]
        self._packs[ulid] = []


def _load(backend: Backend, ulid: str) -> list[BlobRef]:
    try:
        return parse_table(ulid, backend.get(Layout.index(ulid)))
    except FileNotFoundError:
        return []
    except ValueError:
        pass
    try:
        return read_table(backend, ulid)
    except (FileNotFoundError, ValueError):
        return []  # its blobs are written again; verify reports the pack

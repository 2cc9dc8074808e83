"""Which blobs are stored already, as far as this process knows."""

from __future__ import annotations

import time
from contextlib import suppress

from recsearch.store.backend import Backend
from recsearch.store.bulk import in_parallel
from recsearch.store.layout import Layout
from recsearch.store.pack import Blob, Tables, are_linked
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.segment import SUFFIX, Segment, read_hint, table_of
from recsearch.store.series import MAX_CHAIN

REFRESH_S = 60.0


class BlobIndex:
    """Blob name to place, read from the index files of all packs.

    A hint: a blob that it does not know is stored once more, and a pack that it names is
    looked up again before a checkpoint refers to it. So it is read once and then only extended,
    at most every ``REFRESH_S`` seconds. Belongs to one thread.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._blobs: dict[bytes, Blob] = {}
        self._packs: dict[str, list[bytes]] = {}
        self._segments: dict[str, Segment] = {}
        self._tables = Tables(backend)
        self._gone: set[str] = set()
        self._read: float | None = None

    def find(self, name: bytes, raw: int, *, patch: bool) -> tuple[Blob, ...] | None:
        """A blob of that name and raw length, and behind it all that it is over."""
        chain: list[Blob] = []
        while name:
            blob = self._blobs.get(name) or self._look_up(name)
            if blob is None or blob.raw != raw or (blob.codec in PATCH_CODECS) != patch:
                return None
            chain.append(blob)
            # Of two copies of a block each may be known as a difference to the other.
            if len(chain) > MAX_CHAIN + 1:
                return None
            name = blob.over
        return tuple(chain) if are_linked(chain) else None

    def refresh(self) -> None:
        """Read the indexes of packs written since the last time, if that is a while ago."""
        now = time.monotonic()
        if self._read is not None and now - self._read < REFRESH_S:
            return
        self._read = now
        names = {entry.name for entry in self._backend.list(Layout.INDEX)}
        self._segments = {n: segment for n, segment in self._segments.items() if n in names}
        for name in (n for n in names - self._segments.keys() if n.endswith(SUFFIX)):
            with suppress(FileNotFoundError, ValueError):  # replaced since, or damaged
                self._segments[name] = read_hint(self._backend, name)
                for ulid in self._packs.keys() & self._segments[name].packs:
                    self._drop(ulid)
        ulids = {Layout.ulid_of(name) for name in names if name.endswith(".idx")}
        new = [ulid for ulid in ulids if ulid is not None and ulid not in self._packs]
        tables = in_parallel(lambda ulid: table_of(self._backend, ulid), new)
        for ulid, blobs in zip(new, tables, strict=True):
            self.add(ulid, blobs)

    def add(self, ulid: str, blobs: list[Blob]) -> None:
        """Learn the blobs of one pack."""
        self._packs[ulid] = [blob.name for blob in blobs]
        for blob in blobs:
            self._blobs[blob.name] = blob  # the newer: what is written again could not be used

    def forget(self, ulid: str) -> None:
        """Unlearn the blobs of a pack that is gone or about to go."""
        self._drop(ulid)
        self._packs[ulid] = []
        self._gone.add(ulid)

    def _drop(self, ulid: str) -> None:
        for name in self._packs.pop(ulid, []):
            if name in self._blobs and self._blobs[name].place.pack == ulid:
                del self._blobs[name]

    def _look_up(self, name: bytes) -> Blob | None:
        places = [place for segment in self._segments.values() for place in segment.find(name)]
        for place in sorted(places, reverse=True):
            if place.pack in self._gone:
                continue
            try:
                blob = self._tables.blob(place)
            except (FileNotFoundError, ValueError):
                self._gone.add(place.pack)
                continue
            if blob.name == name:
                return blob
        return None

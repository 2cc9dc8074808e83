"""Many blob tables in one file, sorted by name: what a collection makes of single index files.

A segment is a hint like the files that it replaces. It is read without a loop over its records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsearch.store.backend import Backend
from recsearch.store.bulk import Numbers, in_parallel, outgrown
from recsearch.store.codec import BLOCK_CODECS
from recsearch.store.layout import Layout, are_ulids, new_ulid
from recsearch.store.pack import Blob, Place, parse_table, read_table, rebuild_index
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.wire import frame, unframe

MAGIC = b"RSINDEX1"
SUFFIX = ".seg"
CODECS = (*BLOCK_CODECS, *PATCH_CODECS)
_SIZES = ("offset", "stored", "raw")
_ROW = np.dtype(
    [("name", "<u8"), ("pack", "<u4"), *((name, "<i8") for name in _SIZES), ("codec", "u1")]
)


@dataclass(frozen=True, eq=False)
class Segment:
    """The blobs of some packs.

    Attributes:
        packs: ULIDs of the packs, the oldest first.
        rows: Of each blob the first eight bytes of its name, in order; the number of its pack,
            offset, stored and raw bytes, and the number of its codec. Of equal names the one in
            the oldest pack comes first.
    """

    packs: tuple[str, ...]
    rows: np.ndarray

    @classmethod
    def of(cls, tables: Mapping[str, Iterable[Blob]]) -> Segment:
        """The blobs of packs that were read one by one."""
        packs = tuple(sorted(tables))
        rows = [
            (_number(b.name), pack, b.place.offset, b.stored, b.raw, CODECS.index(b.codec))
            for pack, ulid in enumerate(packs)
            for b in tables[ulid]
        ]
        return cls._sorted(packs, np.array(rows, _ROW))

    @classmethod
    def merge(cls, segments: Iterable[Segment], live: Iterable[str]) -> Segment:
        """All blobs of the packs that are ``live``, each pack from the first segment with it."""
        left, taken = set(live), []
        for segment in segments:
            mine = left.intersection(segment.packs)
            left -= mine
            taken.append((segment, mine))
        packs = sorted(ulid for _, mine in taken for ulid in mine)
        numbers = Numbers(zip(packs, range(len(packs)), strict=True))
        rows = [np.empty(0, _ROW)]
        for segment, mine in taken:
            kept = np.array([ulid in mine for ulid in segment.packs] or [False])
            rows.append(segment.rows[kept[segment.rows["pack"]]])
            rows[-1]["pack"] = numbers.translate(segment.packs, rows[-1]["pack"])
        return cls._sorted(tuple(packs), np.concatenate(rows))

    @classmethod
    def decode(cls, data: bytes) -> Segment:
        """The inverse of :meth:`encode`.

        Raises:
            ValueError: the bytes are not those of a segment.
        """
        content = unframe(MAGIC, data)
        try:
            packs, rows = tuple(content["packs"]), np.frombuffer(content["rows"], _ROW)
            known = content["codecs"] == list(CODECS)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a segment: {error}") from error
        limits = len(packs), len(CODECS)
        pairs = zip((rows["pack"], rows["codec"]), limits, strict=True)
        if not (known and are_ulids(packs) and all((n < end).all() for n, end in pairs)):
            raise ValueError("a segment that does not fit together")
        return cls(packs, rows)

    def encode(self) -> bytes:
        """The bytes of the file."""
        content = {"packs": list(self.packs), "codecs": list(CODECS), "rows": self.rows.tobytes()}
        return frame(MAGIC, {"v": 2, **content})

    def find(self, name: bytes) -> list[Place]:
        """Where blobs are whose names begin as this one does, the newest pack first."""
        key = np.uint64(_number(name))
        start, end = (int(np.searchsorted(self._names, key, side)) for side in ("left", "right"))
        rows = self.rows[start:end][::-1]
        return [Place(self.packs[row["pack"]], int(row["offset"])) for row in rows]

    @cached_property
    def _names(self) -> np.ndarray:
        return np.ascontiguousarray(self.rows["name"])

    @classmethod
    def _sorted(cls, packs: tuple[str, ...], rows: np.ndarray) -> Segment:
        return cls(packs, rows[np.lexsort((rows["offset"], rows["pack"], rows["name"]))])


def is_hint(name: str) -> bool:
    """Whether a file of the index is one of ours."""
    ulid = Layout.ulid_of(name)
    return ulid is not None and name in (Layout.index(ulid), Layout.segment(ulid))


def read_hint(backend: Backend, name: str) -> Segment:
    """What a file of the index says, be it of one pack or of many.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    data = backend.get(name)
    if name.endswith(SUFFIX):
        return Segment.decode(data)
    ulid = str(Layout.ulid_of(name))
    return Segment.of({ulid: parse_table(ulid, data)})


def table_of(backend: Backend, ulid: str) -> list[Blob]:
    """The table of a pack, from its file in the index or from itself; empty if both are damaged."""
    try:
        return parse_table(ulid, backend.get(Layout.index(ulid)))
    except (FileNotFoundError, ValueError):
        pass
    try:
        return read_table(backend, ulid)
    except (FileNotFoundError, ValueError):
        return []  # verify reports the pack


def _number(name: bytes) -> int:
    return int.from_bytes(name[:8], "little")


class IndexFiles:
    """All that the index says, kept up to date. Belongs to one thread."""

    def __init__(self, backend: Backend):
        self._backend = backend
        self._files: dict[str, Segment] = {}
        self._damaged: list[str] = []
        self._lacking: list[str] = []

    def refresh(self, packs: Iterable[str], tick: Callable[[], None] = lambda: None) -> Segment:
        """Read what is new in the index, and the tables of packs that it lacks.

        Args:
            packs: The packs to know.
            tick: Called every few seconds at least.

        Returns:
            What these packs hold. What is damaged is left out, for verify to report.
        """
        listed = {entry.name for entry in self._backend.list(Layout.INDEX) if is_hint(entry.name)}
        self._files = {name: it for name, it in self._files.items() if name in listed}
        new = sorted(listed - self._files.keys())
        self._files |= self._read(lambda name: read_hint(self._backend, name), new, tick)
        self._damaged = [name for name in new if name not in self._files]
        known = {ulid for segment in self._files.values() for ulid in segment.packs}
        lacking = sorted(set(packs) - known)
        found = self._read(lambda u: Segment.of({u: read_table(self._backend, u)}), lacking, tick)
        self._files |= {Layout.index(ulid): table for ulid, table in found.items()}
        self._lacking = list(found)
        return Segment.merge(self._files.values(), packs)

    def save(self, packs: Set[str], limit: int) -> int:
        """Write what the index lacked, and merge many files into one. For collectors only.

        Args:
            packs: All packs. What segments say of others is left out when they are merged.
            limit: More files of single packs than this are merged.

        Returns:
            How many packs it lacked.
        """
        for name in self._damaged:
            self._backend.delete(name)
        single = {name: it for name, it in self._files.items() if not name.endswith(SUFFIX)}
        if len(single) <= limit:
            for ulid in self._lacking:
                with suppress(ValueError, FileNotFoundError):  # damaged or dropped since
                    rebuild_index(self._backend, ulid)
            return len(self._lacking)
        # A pack that was written since they were listed has a file of its own.
        fresh = _all(single.values())
        others = {n: Segment.merge([it], packs) for n, it in self._files.items() if n not in single}
        merged = outgrown({name: len(it.rows) for name, it in others.items()}, len(fresh.rows))
        whole = _all([fresh, *(others[name] for name in merged)])
        name = Layout.segment(new_ulid())
        self._backend.put_create(name, [whole.encode()], durable=False)
        for old in (*single, *merged):
            self._backend.delete(old)
            del self._files[old]
        self._files[name] = whole
        return len(self._lacking)

    def _read(
        self, read: Callable[[str], Segment], items: Sequence[str], tick: Callable[[], None]
    ) -> dict[str, Segment]:
        def attempt(item: str) -> Segment | None:
            with suppress(FileNotFoundError, ValueError):
                return read(item)
            return None

        results = zip(items, in_parallel(attempt, items, tick), strict=True)
        return {item: found for item, found in results if found is not None}


def _all(segments: Iterable[Segment]) -> Segment:
    taken = list(segments)
    return Segment.merge(taken, {ulid for segment in taken for ulid in segment.packs})

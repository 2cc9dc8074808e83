"""Packs: the blobs of one checkpoint behind each other, and a table that describes them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recsearch.store.backend import Backend, Buffer
from recsearch.store.codec import (
    BLOCK_CODECS,
    DIFFERENCES,
    HASH_BYTES,
    RAW,
    hash_bytes,
    parse_dtype,
)
from recsearch.store.layout import Layout, is_ulid
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.wire import frame, unframe

TABLE_MAGIC = b"RSBLOBS1"
_OLD_MAGIC = b"RSPACK01"
"""Packs of format 1 begin with this word; those of format 2 with their first blob."""
_LENGTH_BYTES = 8
_TAIL_BYTES = 16 * 2**10
_CODECS = frozenset((*BLOCK_CODECS, *PATCH_CODECS))


class Place(NamedTuple):
    """Where a blob is: the ULID of its pack and its first byte there."""

    pack: str
    offset: int


@dataclass(frozen=True)
class Blob:
    """One stored block or patch and how to check it.

    Attributes:
        name: BLAKE3-256 of the raw bytes, whatever the codec; of a patch, of the stored ones.
        place: Where it is.
        stored: Stored bytes.
        raw: Raw bytes.
        codec: How the stored bytes were made, see :mod:`recsearch.store.codec`.
        dtype: What the codec took the elements for, such as ``<f4``.
        check: BLAKE3-256 of the stored bytes.
        over: Name of the blob that the stored bytes are a difference to; empty for none.
        before: Name of the blob that this one in turn must be over, for an extrapolation.
    """

    name: bytes
    place: Place
    stored: int
    raw: int
    codec: str
    dtype: str
    check: bytes
    over: bytes = b""
    before: bytes = b""

    def fields(self) -> list[Any]:
        """All but the place, as they are written."""
        check = b"" if self.check == self.name else self.check
        behind = self.over + self.before
        return [self.name, self.stored, self.raw, self.codec, self.dtype, check, behind]

    @classmethod
    def parse(cls, place: Place, fields: Any) -> Blob:
        """The inverse of :meth:`fields`.

        Raises:
            ValueError: a field is missing or cannot be right.
        """
        name, stored, raw, codec, dtype, check, behind = fields
        over, before = behind[:HASH_BYTES], behind[HASH_BYTES:]
        blob = cls(name, place, stored, raw, codec, dtype, check or name, over, before)
        valid = (
            is_ulid(place.pack)
            and all(isinstance(h, bytes) and len(h) == HASH_BYTES for h in (name, blob.check))
            and isinstance(behind, bytes)
            and len(behind) == HASH_BYTES * DIFFERENCES.get(codec, 0)
            and all(type(n) is int and n > 0 for n in (stored, raw))
            and codec in _CODECS
            and raw % parse_dtype(dtype).itemsize == 0
        )
        if not valid:
            raise ValueError(f"blob {fields!r} at {place}")
        return blob


@dataclass(frozen=True)
class Encoded:
    """A blob that is about to be written, its bytes in pieces."""

    name: bytes
    raw: int
    codec: str
    dtype: str
    data: tuple[bytes | memoryview, ...]
    over: bytes = b""
    before: bytes = b""


def write_pack(backend: Backend, ulid: str, blobs: Iterable[Encoded]) -> tuple[list[Blob], int]:
    """Write a pack, then a copy of its table for the index.

    Blobs are taken one at a time while the pack is written.

    Returns:
        Where each blob is, and the bytes written in all.
    """
    refs: list[Blob] = []
    size = backend.put_create(Layout.pack(ulid), _chunks(ulid, blobs, refs))
    # Only a hint: without it the table is read from the pack.
    size += backend.put_create(Layout.index(ulid), [encode_table(ulid, refs)], durable=False)
    return refs, size


def encode_table(ulid: str, refs: Iterable[Blob]) -> bytes:
    """The table of a pack: its footer, and its file in the index."""
    return frame(TABLE_MAGIC, {"v": 2, "pack": ulid, "blobs": [ref.fields() for ref in refs]})


def parse_table(ulid: str, data: bytes) -> list[Blob]:
    """The inverse of :func:`encode_table`; also reads tables of format 1.

    Raises:
        ValueError: it is damaged, of another pack, or leaves bytes of the pack undescribed.
    """
    content = unframe(TABLE_MAGIC, data)
    if content.get("pack") != ulid:
        raise ValueError(f"it describes pack {content.get('pack')!r}")
    offset = len(_OLD_MAGIC) if content["v"] == 1 else 0
    refs = []
    try:
        for row in content["blobs"]:
            fields = row
            if content["v"] == 1:
                name, start, stored, raw, codec, width, check = row
                if start != offset:
                    raise ValueError("its blobs do not follow each other")
                fields = [name, stored, raw, codec, np.dtype(f"u{width}").str, check, b""]
            refs.append(Blob.parse(Place(ulid, offset), fields))
            offset += refs[-1].stored
    except (TypeError, KeyError) as error:
        raise ValueError(f"its table cannot be read: {error}") from error
    if not refs:
        raise ValueError("it describes no blobs")
    return refs


def read_table(backend: Backend, ulid: str) -> list[Blob]:
    """The table at the end of a pack.

    Raises:
        FileNotFoundError: there is no such pack.
        ValueError: it is damaged.
    """
    return parse_table(ulid, read_footer(backend, ulid))


def read_footer(backend: Backend, ulid: str) -> bytes:
    """The bytes of the table at the end of a pack, in the format in which it was written.

    Raises:
        FileNotFoundError: there is no such pack.
        ValueError: it is damaged.
    """
    entry = backend.head(Layout.pack(ulid))
    if entry is None:
        raise FileNotFoundError(Layout.pack(ulid))
    tail = backend.get_range(entry.name, max(0, entry.size - _TAIL_BYTES), _TAIL_BYTES)
    length = int.from_bytes(tail[-_LENGTH_BYTES:], "little")
    start = entry.size - _LENGTH_BYTES - length
    if start <= 0:
        raise ValueError("its table is longer than the pack")
    if length + _LENGTH_BYTES > len(tail):
        tail = backend.get_range(entry.name, start, length + _LENGTH_BYTES)
    table = tail[-_LENGTH_BYTES - length : -_LENGTH_BYTES]
    refs = parse_table(ulid, table)
    first, last = refs[0].place.offset, refs[-1]
    if last.place.offset + last.stored != start:
        raise ValueError("its table does not begin where its blobs end")
    if first and backend.get_range(entry.name, 0, first) != _OLD_MAGIC:
        raise ValueError("it does not begin as a pack does")
    return table


def rebuild_index(backend: Backend, ulid: str) -> None:
    """Write the index of a pack anew from the pack's own table.

    Raises:
        ValueError: the pack is damaged.
    """
    table = read_footer(backend, ulid)
    backend.delete(Layout.index(ulid))
    backend.put_create(Layout.index(ulid), [table], durable=False)


def are_linked(chain: Sequence[Blob]) -> bool:
    """Whether each blob is a difference to the ones behind it, and the last one is whole."""
    names = [blob.name for blob in chain]
    behind = (names[at : at + DIFFERENCES.get(b.codec, 0)] for at, b in enumerate(chain, 1))
    found = (b.over + b.before == b"".join(names) for b, names in zip(chain, behind, strict=True))
    return all(found) and all(b.over for b in chain[:-1])


class Tables:
    """The tables of packs, each read once; safe to share between threads.

    Packs never change, so that what has been read stays true.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._known: dict[str, Mapping[int, Blob]] = {}
        self._lock = threading.Lock()

    def blob(self, place: Place) -> Blob:
        """What is at a place.

        Raises:
            FileNotFoundError: there is no such pack.
            ValueError: its table is damaged, or knows no such blob.
        """
        found = self.of(place.pack).get(place.offset)
        if found is None:
            raise ValueError(f"holds no blob at {place.offset}")
        return found

    def of(self, ulid: str) -> Mapping[int, Blob]:
        """The blobs of one pack by offset; errors as in :meth:`blob`."""
        known = self._known.get(ulid)
        if known is None:
            known = {blob.place.offset: blob for blob in read_table(self._backend, ulid)}
            with self._lock:
                self._known[ulid] = known
        return known

    def learn(self, blobs: Iterable[Blob]) -> None:
        """Take over the whole table of a pack that has just been written."""
        table = {blob.place.offset: blob for blob in blobs}
        with self._lock:
            for blob in table.values():
                self._known[blob.place.pack] = table

    def forget(self, packs: Iterable[str]) -> None:
        """Free the memory of tables that are not needed any more."""
        with self._lock:
            for ulid in packs:
                self._known.pop(ulid, None)


def _chunks(ulid: str, blobs: Iterable[Encoded], refs: list[Blob]) -> Iterator[Buffer]:
    offset = 0
    for blob in blobs:
        named = blob.codec == RAW or blob.codec in PATCH_CODECS
        check = blob.name if named else hash_bytes(*blob.data)
        size = sum(len(piece) for piece in blob.data)
        place = Place(ulid, offset)
        behind = (blob.over, blob.before)
        refs.append(Blob(blob.name, place, size, blob.raw, blob.codec, blob.dtype, check, *behind))
        offset += size
        yield from blob.data
    table = encode_table(ulid, refs)
    yield table
    yield len(table).to_bytes(_LENGTH_BYTES, "little")

"""Packs: the blobs of one checkpoint behind each other, and a table that describes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from recsearch.store.backend import Backend, Buffer
from recsearch.store.codec import CODECS, HASH_BYTES, encode, hash_bytes
from recsearch.store.layout import Layout, is_ulid
from recsearch.store.wire import frame, unframe

MAGIC = b"RSPACK01"
TABLE_MAGIC = b"RSBLOBS1"
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class BlobRef:
    """Where one block of a tensor is and how to check it.

    Attributes:
        name: BLAKE3-256 of the raw bytes.
        pack: ULID of the pack.
        offset: First stored byte in the pack.
        stored: Stored bytes.
        raw: Raw bytes.
        codec: How the stored bytes were made, see :mod:`recsearch.store.codec`.
        width: Bytes per element for the byte shuffle.
        check: BLAKE3-256 of the stored bytes.
    """

    name: bytes
    pack: str
    offset: int
    stored: int
    raw: int
    codec: str
    width: int
    check: bytes

    def fields(self) -> list[Any]:
        """All but the pack, as they are written."""
        return [self.name, self.offset, self.stored, self.raw, self.codec, self.width, self.check]

    @classmethod
    def parse(cls, pack: str, fields: Any) -> BlobRef:
        """The inverse of :meth:`fields`.

        Raises:
            ValueError: a field is missing or cannot be right.
        """
        name, offset, stored, raw, codec, width, check = fields
        hashes = (name, check)
        numbers = (offset, stored, raw, width)
        valid = (
            is_ulid(pack)
            and all(isinstance(h, bytes) and len(h) == HASH_BYTES for h in hashes)
            and all(type(n) is int and n > 0 for n in numbers)
            and codec in CODECS
            and raw % width == 0
        )
        if not valid:
            raise ValueError(f"blob {fields!r} of pack {pack!r}")
        return cls(name, pack, offset, stored, raw, codec, width, check)


@dataclass(frozen=True)
class NewBlob:
    """A block that is to be written."""

    name: bytes
    data: memoryview
    width: int


def write_pack(backend: Backend, ulid: str, blobs: Iterable[NewBlob]) -> tuple[list[BlobRef], int]:
    """Write a pack, then its index.

    Blobs are encoded one at a time while the pack is written.

    Returns:
        Where each blob is, and the bytes written in all.
    """
    refs: list[BlobRef] = []
    size = backend.put_create(Layout.pack(ulid), _chunks(ulid, blobs, refs))
    size += backend.put_create(Layout.index(ulid), [_table(ulid, refs)])
    return refs, size


def read_table(backend: Backend, ulid: str) -> list[BlobRef]:
    """The blob table at the end of a pack.

    Raises:
        FileNotFoundError: there is no such pack.
        ValueError: it is damaged.
    """
    entry = backend.head(Layout.pack(ulid))
    if entry is None:
        raise FileNotFoundError(Layout.pack(ulid))
    tail = backend.get_range(entry.name, max(0, entry.size - _LENGTH_BYTES), _LENGTH_BYTES)
    length = int.from_bytes(tail, "little")
    start = entry.size - _LENGTH_BYTES - length
    if start < len(MAGIC):
        raise ValueError("its table is longer than the pack")
    refs = parse_table(ulid, backend.get_range(entry.name, start, length))
    if backend.get_range(entry.name, 0, len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin as a pack does")
    if refs[-1].offset + refs[-1].stored != start:
        raise ValueError("its table does not begin where its blobs end")
    return refs


def parse_table(ulid: str, data: bytes) -> list[BlobRef]:
    """A blob table: the content of an index file and the footer of a pack.

    Raises:
        ValueError: it is damaged, of another pack, or leaves bytes of the pack undescribed.
    """
    content = unframe(TABLE_MAGIC, data)
    if content.get("pack") != ulid:
        raise ValueError(f"it describes pack {content.get('pack')!r}")
    refs = [BlobRef.parse(ulid, fields) for fields in content["blobs"]]
    end = len(MAGIC)
    for ref in refs:
        if ref.offset != end:
            raise ValueError("its blobs do not follow each other")
        end += ref.stored
    if not refs:
        raise ValueError("it describes no blobs")
    return refs


def rebuild_index(backend: Backend, ulid: str) -> None:
    """Write the index of a pack anew from the pack's own footer.

    Raises:
        ValueError: the pack is damaged.
    """
    table = _table(ulid, read_table(backend, ulid))
    backend.delete(Layout.index(ulid))
    backend.put_create(Layout.index(ulid), [table])


def _chunks(ulid: str, blobs: Iterable[NewBlob], refs: list[BlobRef]) -> Iterator[Buffer]:
    yield MAGIC
    offset = len(MAGIC)
    for blob in blobs:
        codec, stored = encode(blob.data, blob.width)
        check = blob.name if stored is blob.data else hash_bytes(stored)
        refs.append(
            BlobRef(blob.name, ulid, offset, len(stored), len(blob.data), codec, blob.width, check)
        )
        offset += len(stored)
        yield stored
    table = _table(ulid, refs)
    yield table
    yield len(table).to_bytes(_LENGTH_BYTES, "little")


def _table(ulid: str, refs: Iterable[BlobRef]) -> bytes:
    return frame(TABLE_MAGIC, {"v": 1, "pack": ulid, "blobs": [ref.fields() for ref in refs]})

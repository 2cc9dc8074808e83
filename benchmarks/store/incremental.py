"""Naive increments: the rows touched since the last version; to restore, replay all of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol

import msgpack
import numpy as np

from benchmarks.store.protocol import Strategy, raw, read_into, write_file
from benchmarks.store.trace import Tables, Touched

_COUNT = 8
_ALL = 2**64 - 1


class RowCodec(Protocol):
    """How some rows of one table become bytes."""

    def pack(self, ids: np.ndarray, rows: np.ndarray) -> list[bytes | memoryview]:
        """Row numbers and rows as bytes."""

    def scatter(self, data: bytes | memoryview, table: np.ndarray) -> None:
        """Put them into a table."""

    def split(self, data: bytes, ids: np.ndarray, gone: np.ndarray) -> tuple[bytes, bytes]:
        """Cut packed rows in those that stay and those that are ``gone``; both may be packed empty.

        Args:
            data: The rows.
            ids: Their numbers, in their order.
            gone: Whether each goes.
        """


class Binary:
    """A count, the numbers (int64), the rows as they are in memory."""

    def pack(self, ids: np.ndarray | None, rows: np.ndarray) -> list[bytes | memoryview]:
        """See :meth:`RowCodec.pack`; without numbers for all rows."""
        if ids is None:
            return [_ALL.to_bytes(_COUNT, "little"), _bytes(rows)]
        count = len(ids).to_bytes(_COUNT, "little")
        return [count, _bytes(ids.astype("<i8", copy=False)), _bytes(rows)]

    def scatter(self, data: bytes | memoryview, table: np.ndarray) -> None:
        """See :meth:`RowCodec.scatter`."""
        ids, rows = self.unpack(data, table)
        table[ids] = rows

    def split(self, data: bytes, ids: np.ndarray, gone: np.ndarray) -> tuple[bytes, bytes]:
        """See :meth:`RowCodec.split`."""
        rows = np.frombuffer(data, np.uint8, offset=_COUNT + ids.nbytes).reshape(len(ids), -1)
        kept, moved = (self.pack(ids[some], rows[some]) for some in (~gone, gone))
        return b"".join(kept), b"".join(moved)

    def unpack(
        self, data: bytes | memoryview, table: np.ndarray
    ) -> tuple[np.ndarray | slice, np.ndarray]:
        """Row numbers and rows, of the dtype and row shape of a table."""
        count = int.from_bytes(data[:_COUNT], "little")
        whole = count == _ALL
        ids = np.frombuffer(data, "<i8", 0 if whole else count, _COUNT)
        rows = np.frombuffer(data, table.dtype, offset=_COUNT + ids.nbytes)
        return (slice(None) if whole else ids), rows.reshape(-1, *table.shape[1:])


class Dicts:
    """A msgpack map of row number to list of floats: 9 bytes a number, as in IncrCP's code."""

    def pack(self, ids: np.ndarray, rows: np.ndarray) -> list[bytes | memoryview]:
        """See :meth:`RowCodec.pack`."""
        return [msgpack.packb(dict(zip(ids.tolist(), rows.tolist(), strict=True)))]

    def scatter(self, data: bytes | memoryview, table: np.ndarray) -> None:
        """See :meth:`RowCodec.scatter`."""
        rows = self._unpack(data)
        if rows:
            ids = np.fromiter(rows, np.int64, len(rows))
            table[ids] = np.array(list(rows.values()), table.dtype)

    def split(self, data: bytes, ids: np.ndarray, gone: np.ndarray) -> tuple[bytes, bytes]:
        """See :meth:`RowCodec.split`."""
        rows, lost = self._unpack(data), set(ids[gone].tolist())
        kept = {row: value for row, value in rows.items() if row not in lost}
        moved = {row: value for row, value in rows.items() if row in lost}
        return msgpack.packb(kept), msgpack.packb(moved)

    def _unpack(self, data: bytes | memoryview) -> dict[int, list[float]]:
        found: dict[int, list[float]] = msgpack.unpackb(data, strict_map_key=False)
        return found


class Naive(Strategy):
    """A base, then one file of rows per version."""

    codec: ClassVar[RowCodec] = Binary()

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`."""
        if version == 0:
            write_file(self._path(0), raw(tables), sync=self.synced)
            return
        packed = []
        for name in sorted(tables):
            ids = np.unique(touched.get(name, np.empty(0, np.int64)))
            packed.append(self.codec.pack(ids, tables[name][ids]))
        write_file(self._path(version), framed(packed), sync=self.synced)

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        read_into(self._path(0), into)
        for number in range(1, version + 1):
            pieces = unframed(self._path(number).read_bytes())
            for name, data in zip(sorted(into), pieces, strict=True):
                self.codec.scatter(data, into[name])

    def _path(self, version: int) -> Path:
        return self.folder / f"{version:06d}.rows"


class NaiveDicts(Naive):
    """The same as IncrCP's authors measure it: Python floats in msgpack, nothing synced."""

    codec = Dicts()
    synced = False
    rows_in_python = True
    bounded = True


def framed(pieces: list[list[bytes | memoryview]]) -> list[bytes | memoryview]:
    """Pieces behind each other, each after its length."""
    out: list[bytes | memoryview] = []
    for chunks in pieces:
        out += [sum(memoryview(c).nbytes for c in chunks).to_bytes(_COUNT, "little"), *chunks]
    return out


def unframed(data: bytes) -> list[memoryview]:
    """The inverse of :func:`framed`."""
    view, pieces = memoryview(data), []
    while view:
        size = int.from_bytes(view[:_COUNT], "little")
        pieces.append(view[_COUNT : _COUNT + size])
        view = view[_COUNT + size :]
    return pieces


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data

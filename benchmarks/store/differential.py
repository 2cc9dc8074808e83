"""Check-N-Run (Eisenman et al., NSDI 2022): the rows touched since a base, which moves on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.store.incremental import Binary, framed, unframed
from benchmarks.store.protocol import Strategy, raw, read_into, write_file
from benchmarks.store.trace import Tables, Touched

_LEVELS = 255
_HEAD = 8


class Quantised:
    """Every row as bytes between its least and its greatest number (both float32): lossy."""

    def pack(self, ids: np.ndarray | None, rows: np.ndarray) -> list[bytes | memoryview]:
        """Row numbers and rows as bytes; rows of anything but float32 as they are."""
        if rows.dtype != np.float32 or rows.ndim < 2 or not len(rows):
            return Binary().pack(ids, rows)
        low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
        step = np.where(high > low, (high - low) / _LEVELS, np.float32(1))
        codes = np.rint((rows - low) / step).astype(np.uint8)
        head = np.concatenate([low, step], axis=1).astype("<f4").view(np.uint8)
        return Binary().pack(ids, np.concatenate([head, codes], axis=1))

    def scatter(self, data: memoryview, table: np.ndarray) -> None:
        """Put them into a table."""
        if table.dtype != np.float32 or table.ndim < 2:
            Binary().scatter(data, table)
            return
        coded = np.empty((0, _HEAD + table.shape[1]), np.uint8)
        ids, rows = Binary().unpack(data, coded)
        head = np.ascontiguousarray(rows[:, :_HEAD]).view("<f4")
        table[ids] = rows[:, _HEAD:] * head[:, 1:] + head[:, :1]


class Differential(Strategy):
    """Row files since the base. One base for ever: the files grow until all rows are in them."""

    codec: ClassVar[Binary | Quantised] = Binary()
    rebases: ClassVar[bool] = False

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._changed: dict[str, np.ndarray] = {}
        self._sizes: list[float] = []

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`."""
        for name, ids in touched.items():
            self._changed[name][ids] = True
        changed = sum(int(c.sum()) * _row_bytes(tables[n]) for n, c in self._changed.items())
        size = changed / sum(table.nbytes for table in tables.values())
        if version == 0 or (self.rebases and self._pays(size)):
            self._changed = {n: np.zeros(len(table), bool) for n, table in tables.items()}
            self._sizes = [1.0]
            write_file(self._base(version), self._base_bytes(tables), sync=True)
            return
        self._sizes.append(size)
        rows = {name: np.flatnonzero(mask) for name, mask in self._changed.items()}
        packed = [self.codec.pack(rows[name], tables[name][rows[name]]) for name in sorted(rows)]
        write_file(self._difference(version), framed(packed), sync=True)

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        bases = (int(path.stem) for path in self.folder.glob("*.base"))
        base = max(number for number in bases if number <= version)
        self._read_base(base, into)
        if base != version:
            self._put(self._difference(version), into)

    def _base(self, version: int) -> Path:
        return self.folder / f"{version:06d}.base"

    def _difference(self, version: int) -> Path:
        return self.folder / f"{version:06d}.rows"

    def _base_bytes(self, tables: Tables) -> list[bytes | memoryview]:
        return [*raw(tables)]

    def _read_base(self, version: int, into: Tables) -> None:
        read_into(self._base(version), into)

    def _put(self, path: Path, into: Tables) -> None:
        for name, data in zip(sorted(into), unframed(path.read_bytes()), strict=True):
            self.codec.scatter(data, into[name])

    def _pays(self, size: float) -> bool:
        """Their predictor: a new base costs no more than going on with differences of this size.

        As much is expected to come before the next base as has been written since the last.
        """
        return sum(self._sizes) <= len(self._sizes) * size


class CheckNRun(Differential):
    """With its rule for a new base."""

    rebases = True


class CheckNRunQuantised(CheckNRun):
    """With its 8-bit quantisation of rows, too."""

    codec = Quantised()
    lossy = True

    def _base_bytes(self, tables: Tables) -> list[bytes | memoryview]:
        return framed([self.codec.pack(None, tables[name]) for name in sorted(tables)])

    def _read_base(self, version: int, into: Tables) -> None:
        self._put(self._base(version), into)


def _row_bytes(table: np.ndarray) -> int:
    return table.nbytes // max(1, len(table))

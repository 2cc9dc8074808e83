"""IncrCP (PVLDB 18(4), 2025), written from the description of its 2DChunk, and with faults mended.

Each table keeps a column per checkpoint, and each column a stack of chunks of rows. When a
checkpoint arrives, the rows of older columns that it supersedes are *extracted*: they move from
level 0 of their column to a new level 1. So the newest version is level 0 of all columns; an older
version, which has w levels by now, is the top w levels of the columns up to its own.

The published code is C++ and Python, and so slower or faster than this; its row format (msgpack of
Python floats), its files and its rules are the same, and so are bytes and wrong rows.
"""

from __future__ import annotations

import json
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.store.bloom import Bloom
from benchmarks.store.incremental import Binary, Dicts, RowCodec
from benchmarks.store.protocol import Strategy, raw, read_into, write_file
from benchmarks.store.trace import Tables, Touched, Trace

FEW = 100
"""Chunks of so many rows are left whole."""


@dataclass(frozen=True)
class Rules:
    """What the published code and its mended form differ in.

    Attributes:
        threshold: Share of the new checkpoint's rows that a chunk must hold to be split.
        concatenate: All that is retained in one checkpoint goes to one file, and all that is
            extracted to another; a file stays while one chunk in it is used.
        sort: Whether ids are sorted; else they come as they were looked up first.
        exact: Whether overlap is counted exactly; else the first and the last id are taken for the
            least and the greatest, and a Bloom filter counts.
        newest_wins: Whether chunks are applied in the order of their checkpoints; else in the
            order of a hash of their file names.
        sync: Whether files are synced, and the list of chunks is replaced as a whole.
        reset: A new base every so many checkpoints.
    """

    threshold: float
    concatenate: bool
    sort: bool
    exact: bool
    newest_wins: bool
    sync: bool
    reset: int = 100


PUBLISHED = Rules(0.02, concatenate=True, sort=False, exact=False, newest_wins=False, sync=False)
MENDED = Rules(0.0, concatenate=False, sort=True, exact=True, newest_wins=True, sync=True)


@dataclass
class Chunk:
    """Some rows of one column: a stretch of a file."""

    file: str
    start: int
    length: int


class Held:
    """The ids of a level-0 chunk in the order of its file, as the overlap test needs them."""

    def __init__(self, ids: np.ndarray, *, exact: bool):
        self.ids = ids
        self._bloom = None if exact else Bloom(ids)

    def shares(self, ids: np.ndarray) -> int:
        """How many of ``ids`` it holds, as far as the rules tell."""
        if self._bloom is None:
            return int(np.isin(ids, self.ids, assume_unique=True).sum())
        # As published: ids that came unsorted make this wrong.
        if ids[-1] < self.ids[0] or ids[0] > self.ids[-1]:
            return 0
        return self._bloom.count(ids)


class Grid:
    """The columns of one table and their files.

    Args:
        folder: Of the files.
        rules: Whose.
        codec: How rows are packed.
    """

    def __init__(self, folder: Path, rules: Rules, codec: RowCodec):
        self.columns: dict[int, list[Chunk | None]] = {}
        self._held: dict[int, Held] = {}
        self._folder = folder
        self._rules = rules
        self._codec = codec
        self._files = 0
        folder.mkdir()

    def append(self, version: int, ids: np.ndarray, rows: np.ndarray) -> None:
        """Write the rows of a checkpoint as a new column."""
        data = b"".join(self._codec.pack(ids, rows))
        self.columns[version] = [Chunk(self._write([data]), 0, len(data))]
        self._held[version] = Held(ids, exact=self._rules.exact)

    def extract(self, version: int) -> set[str]:
        """Move what ``version`` supersedes a level up; the files not needed any more."""
        new = self._held[version].ids
        before = self._files_used()
        retained, extracted = {}, {}
        for column in self.columns:
            if column < version and self._due(column, new):
                retained[column], extracted[column] = self._split(column, new)
        kept, moved = self._place(retained), self._place(extracted)
        for column, levels in self.columns.items():
            if column < version:
                levels.insert(1, moved.get(column))
            if column in retained:
                levels[0] = kept.get(column)
        return before - self._files_used()

    def _due(self, column: int, new: np.ndarray) -> bool:
        held = self._held[column]
        if min(len(held.ids), len(new)) <= FEW:
            return False
        return held.shares(new) > self._rules.threshold * len(new)

    def _split(self, column: int, new: np.ndarray) -> tuple[bytes, bytes]:
        """Rows of a level-0 chunk that stay and that are superseded; none are no bytes."""
        chunk, ids = self.columns[column][0], self._held[column].ids
        gone = np.isin(ids, new)
        kept, moved = self._codec.split(read_chunk(self._folder, chunk), ids, gone)
        self._held[column] = Held(ids[~gone], exact=self._rules.exact)
        return (b"" if gone.all() else kept), (moved if gone.any() else b"")

    def _place(self, pieces: dict[int, bytes]) -> dict[int, Chunk]:
        """Write what each column gets, in one file or in one each."""
        pieces = {column: data for column, data in pieces.items() if data}
        if not self._rules.concatenate:
            return {c: Chunk(self._write([data]), 0, len(data)) for c, data in pieces.items()}
        chunks: dict[int, Chunk] = {}
        if pieces:
            name, start = self._write([*pieces.values()]), 0
            for column, data in pieces.items():
                chunks[column] = Chunk(name, start, len(data))
                start += len(data)
        return chunks

    def _write(self, pieces: list[bytes | memoryview]) -> str:
        self._files += 1
        name = f"{self._files:06d}.tdc"
        write_file(self._folder / name, pieces, sync=self._rules.sync)
        return name

    def _files_used(self) -> set[str]:
        return {chunk.file for levels in self.columns.values() for chunk in levels if chunk}


def read_chunk(folder: Path, chunk: Chunk | None) -> bytes:
    """The packed rows of a chunk that is there."""
    if chunk is None:
        raise ValueError("an empty level has no rows")
    with (folder / chunk.file).open("rb") as file:
        file.seek(chunk.start)
        return file.read(chunk.length)


class IncrCP(Strategy):
    """The published rules over row dicts in msgpack."""

    synced = False
    rows_in_python = True
    bounded = True
    rules: ClassVar[Rules] = PUBLISHED
    codec: ClassVar[RowCodec] = Dicts()

    def __init__(self, folder: Path, trace: Trace):
        super().__init__(folder, trace)
        self._grids: dict[str, Grid] = {}
        self._base = 0
        self._thread = ThreadPoolExecutor(1)
        self._extraction: Future[None] | None = None

    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """See :meth:`Strategy.save`; as published, this waits for the extraction before."""
        self.wait(behind=True)
        if version % self.rules.reset == 0:
            self._base = version
            self._folder.mkdir()
            write_file(self._folder / "base", raw(tables), sync=self.rules.sync)
            self._grids = {n: Grid(self._of(n), self.rules, self.codec) for n in tables}
        for name, arrived in touched.items():
            ids = self._unique(arrived)
            self._grids[name].append(version, ids, tables[name][ids])
        self._write_manifest()
        if version != self._base:
            self._extraction = self._thread.submit(self._extract, version, tuple(touched))

    def wait(self, *, behind: bool = False) -> None:
        """See :meth:`Strategy.wait`."""
        if behind and self._extraction is not None:
            self._extraction.result()
            self._extraction = None

    def restore(self, version: int, into: Tables) -> None:
        """See :meth:`Strategy.restore`."""
        self._base = version - version % self.rules.reset
        read_into(self._folder / "base", into)
        listed = json.loads((self._folder / "MANIFEST").read_text())
        for name, columns in listed.items():
            levels = {int(c): [x and Chunk(*x) for x in chunks] for c, chunks in columns.items()}
            if version in levels:
                for chunk in self._needed(levels, version):
                    data = read_chunk(self._of(name), chunk)
                    self.codec.scatter(data, into[name])

    def close(self) -> None:
        """See :meth:`Strategy.close`."""
        self._thread.shutdown()

    @property
    def _folder(self) -> Path:
        return self.folder / f"base-{self._base:06d}"

    def _of(self, table: str) -> Path:
        return self._folder / table.replace("/", ".")

    def _needed(self, levels: dict[int, list[Chunk | None]], version: int) -> list[Chunk]:
        """The chunks of a version in the order in which they are applied."""
        deep = len(levels[version])
        chunks = [c for n in sorted(levels) if n <= version for c in levels[n][:deep] if c]
        if not self.rules.newest_wins:
            chunks.sort(key=lambda chunk: zlib.crc32(chunk.file.encode()))
        return chunks

    def _unique(self, ids: np.ndarray) -> np.ndarray:
        unique, first = np.unique(ids, return_index=True)
        return unique if self.rules.sort else unique[np.argsort(first)]

    def _extract(self, version: int, names: tuple[str, ...]) -> None:
        unused = {name: self._grids[name].extract(version) for name in names}
        self._write_manifest()
        for name, files in unused.items():
            for file in files:
                (self._of(name) / file).unlink()

    def _write_manifest(self) -> None:
        listed = {
            name: {
                column: [chunk and (chunk.file, chunk.start, chunk.length) for chunk in levels]
                for column, levels in grid.columns.items()
            }
            for name, grid in self._grids.items()
        }
        path = self._folder / "MANIFEST"
        aside = path.with_suffix(".new") if self.rules.sync else path
        write_file(aside, [json.dumps(listed).encode()], sync=self.rules.sync)
        aside.replace(path)


class IncrCPMended(IncrCP):
    """Sorted ids, exact overlaps, everything superseded extracted, the newest row wins, synced."""

    synced = True
    rules = MENDED


class IncrCPBinary(IncrCPMended):
    """The same with rows in binary: what the idea is worth without its row format."""

    rows_in_python = False
    codec = Binary()

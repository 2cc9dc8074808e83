"""What is checkpointed: the successive states of a training run, the same for every strategy."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

Tables: TypeAlias = dict[str, np.ndarray]
"""Name of a table to its rows."""
Touched: TypeAlias = Mapping[str, np.ndarray]
"""Name of a table to the numbers of the rows just trained, as they came, with duplicates. A table
that is not named has not changed. Empty for version 0."""

Order: TypeAlias = Literal["arrival", "sorted", "permuted"]

REPEATS = 3
"""How often at most one row comes again within one checkpoint, to bound the lists of ids."""
SPREAD = 0.1
"""Standard deviation of the initial weights."""
STEP = 0.001
"""That of one update: a hundredth of a weight, so differences have about 17 of 32 bits."""
CACHED_IDS = 2**28
"""Bytes of row numbers kept in memory; beyond that they are drawn anew in each replay."""
_COMPARED = 2**16


class Trace(ABC):
    """Versions 0, 1, … of some tables.

    Attributes:
        name: For tables of results.
        versions: How many there are.
        share: Part of the rows that changes from one version to the next.
        constant: Tables that never change.
        epoch_s: Seconds of training per version, where it is a real one.
        note: What to tell about it.
    """

    name: str
    versions: int
    share: float
    constant: frozenset[str] = frozenset()
    epoch_s: float | None = None
    note: str = ""

    @abstractmethod
    def empty(self) -> Tables:
        """Arrays of the shapes and dtypes of a state, contents undefined."""

    @abstractmethod
    def start(self, live: Tables) -> None:
        """Make ``live`` version 0."""

    @abstractmethod
    def step(self, version: int, live: Tables) -> Touched:
        """Train ``live`` in place from ``version - 1`` to ``version``; the touched rows."""

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return sum(table.nbytes for table in self.empty().values())

    def replay(self, live: Tables) -> Iterator[tuple[int, Touched]]:
        """Version and touched rows, one after the other, ``live`` being at that version."""
        self.start(live)
        yield 0, {}
        for version in range(1, self.versions):
            yield version, self.step(version, live)


@dataclass(frozen=True)
class Knobs:
    """Size and kind of a synthetic trace.

    Attributes:
        tables: How many.
        rows: Of each.
        dim: Float32 numbers of a row.
        share: Part of the rows changed per checkpoint, the same of every table.
        versions: How many, the first included.
        zipf: Exponent of the popularity of rows.
        order: ``arrival``: low numbers are popular, ids come as they were looked up. ``sorted``:
            ids come sorted and unique. ``permuted``: popular rows are anywhere, ids as looked up.
        seed: Decides everything.
    """

    tables: int
    rows: int
    dim: int
    share: float
    versions: int
    zipf: float = 1.05
    order: Order = "arrival"
    seed: int = 1


class SparseTrace(Trace):
    """Embedding tables under SGD: rows are looked up by a Zipf law, and updated where they were."""

    def __init__(self, knobs: Knobs):
        self.knobs = knobs
        self.name = f"p={100 * knobs.share:g}% d={knobs.dim}"
        self.versions, self.share = knobs.versions, knobs.share
        self._names = [f"table{n}" for n in range(knobs.tables)]
        self._ids: dict[int, Touched] = {}
        total = 8 * knobs.tables * knobs.rows * knobs.share * knobs.versions * (1 + REPEATS)
        self._keep = total <= CACHED_IDS

    def empty(self) -> Tables:
        """See :meth:`Trace.empty`."""
        shape = (self.knobs.rows, self.knobs.dim)
        return {name: np.empty(shape, np.float32) for name in self._names}

    def start(self, live: Tables) -> None:
        """See :meth:`Trace.start`."""
        for number, name in enumerate(self._names):
            self._rng(0, number).standard_normal(dtype=np.float32, out=live[name])
            live[name] *= np.float32(SPREAD)

    def step(self, version: int, live: Tables) -> Touched:
        """See :meth:`Trace.step`."""
        touched = self.touched(version)
        for number, name in enumerate(self._names):
            rng, table = self._rng(version, number, 1), live[name]
            counts = np.bincount(touched[name], minlength=len(table))
            ids = np.flatnonzero(counts)
            steps = rng.standard_normal((len(ids), table.shape[1]), dtype=np.float32)
            steps *= (STEP * np.sqrt(counts[ids])).astype(np.float32)[:, None]
            if len(ids) == len(table):
                table -= steps
            else:
                table[ids] -= steps
        return touched

    def touched(self, version: int) -> Touched:
        """The rows that lead to a version."""
        if version in self._ids:
            return self._ids[version]
        knobs = self.knobs
        count = max(1, round(knobs.share * knobs.rows))
        found = {}
        for number, name in enumerate(self._names):
            ids = arrivals(self._rng(version, number, 2), self._weights(number), count)
            found[name] = np.unique(ids) if knobs.order == "sorted" else ids
        if self._keep:
            self._ids[version] = found
        return found

    def _weights(self, number: int) -> np.ndarray:
        weights = np.arange(1, self.knobs.rows + 1, dtype=float) ** -self.knobs.zipf
        if self.knobs.order == "permuted":
            self._rng(0, number, 3).shuffle(weights)
        return weights

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64([self.knobs.seed, *purpose]))


def arrivals(rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Rows in the order of being looked up until ``count`` different ones have been.

    Each row comes at the times of a Poisson process of rate ``weights``; that is drawing with
    replacement by these weights. A row comes again ``REPEATS`` times at most.
    """
    first = rng.standard_exponential(len(weights)) / weights
    chosen = np.argpartition(first, count - 1)[:count]
    end = first[chosen].max()
    again = rng.poisson(np.minimum(weights[chosen] * (end - first[chosen]), 2.0 * REPEATS))
    more = np.repeat(chosen, np.minimum(again, REPEATS))
    times = np.concatenate([first[chosen], rng.uniform(first[more], end)])
    return np.concatenate([chosen, more])[np.argsort(times)]


class Truth:
    """The right answers: states of a trace as files, each computed once by replaying it.

    Args:
        trace: The trace.
        folder: Where the files go.
    """

    def __init__(self, trace: Trace, folder: Path):
        self._trace = trace
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def prepare(self, versions: set[int]) -> None:
        """Compute these now, in one replay."""
        missing = {version for version in versions if not self._path(version, "").exists()}
        if not missing:
            return
        live = self._trace.empty()
        for version, _ in self._trace.replay(live):
            if version in missing:
                self._keep(version, live)
            if version == max(missing):
                break

    def wrong_rows(self, version: int, found: Tables) -> int:
        """How many rows of ``found`` are not, bit for bit, those of a version."""
        self.prepare({version})
        expected = {n: np.load(self._path(version, n), mmap_mode="r") for n in found}
        return sum(differing_rows(expected[name], table) for name, table in found.items())

    def _keep(self, version: int, live: Tables) -> None:
        self._path(version, "").mkdir()
        for name, table in live.items():
            with self._path(version, name).open("wb") as file:
                np.save(file, table)
                file.flush()
                os.fsync(file.fileno())  # else it is written back while something is timed

    def _path(self, version: int, name: str) -> Path:
        folder = self._folder / f"{version:06d}"
        return folder / f"{name.replace('/', '.')}.npy" if name else folder


def differing_rows(one: np.ndarray, other: np.ndarray) -> int:
    """How many rows of two equally shaped arrays differ in any bit."""
    count = 0
    for begin in range(0, len(one), _COMPARED):
        a, b = (_words(side[begin : begin + _COMPARED]) for side in (one, other))
        count += int((a != b).any(axis=1).sum())
    return count


def _words(rows: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    return flat.view(np.uint64) if flat.shape[1] % 8 == 0 else flat

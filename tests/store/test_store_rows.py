"""Reading a share: the same rows as the whole, for no more than its blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_tools import DTYPES, KEY, any_bits, assert_equal, changed

from recsearch.errors import CheckpointNotFoundError, UsageError
from recsearch.state import Part
from recsearch.store import Store, manifest
from recsearch.store.memory import MemoryBackend

BLOCK = 4096


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(manifest, "MAX_BLOCKS", 1000)


class CountingBackend(MemoryBackend):
    """Counts the bytes that are read, and the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.calls = 0

    def get(self, name: str) -> bytes:
        data = super().get(name)
        self.read += len(data)
        self.calls += 1
        return data

    def get_range(self, name: str, start: int, length: int) -> bytes:
        data = MemoryBackend.get(self, name)[start : start + length]
        self.read += len(data)
        self.calls += 1
        return data

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        buffer[:] = self.get_range(name, start, len(buffer))
        return len(buffer)


def saved_table(codec: Any, dtype: str = "<f4", rows: int = 3000, width: int = 8, saves: int = 4):
    """A table of many blocks, some of them written in later epochs, and patched."""
    rng = np.random.default_rng(7)
    backend = CountingBackend()
    table = any_bits(rng, dtype, (rows, width))
    with Store.on(backend) as store, store.track(codec=codec) as track:
        for epoch in range(1, saves + 1):
            store.save(KEY, epoch, {"m": Part({"x": table, "y": table[:7]})}, {}, track=track)
            if epoch < saves:
                dense = np.arange(rows // 2, rows // 2 + rows // 8)
                ids = np.union1d(dense, rng.choice(rows, rows // 50, replace=False))
                table = changed(rng, table, ids)
    return backend, table


IDS = st.lists(st.integers(-3000, 2999), max_size=40)
SLICES = st.slices(3000)
_SAVED: dict[tuple[str, str], tuple[CountingBackend, np.ndarray]] = {}


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["fast", "small"]), st.sampled_from(DTYPES), IDS | SLICES)
def test_rows_are_those_of_the_whole(codec: str, dtype: str, rows: Any) -> None:
    if (codec, dtype) not in _SAVED:
        _SAVED[codec, dtype] = saved_table(codec, dtype)
    backend, table = _SAVED[codec, dtype]
    with Store.on(backend) as store:
        found = store.read_rows(KEY, 4, "m", "x", rows)
    expected = table[rows if isinstance(rows, slice) else np.array(rows, np.int64)]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def test_numbers_may_be_given_in_many_ways() -> None:
    backend, table = saved_table("fast")
    with Store.on(backend) as store:
        for rows in (
            np.array([5, 5, 2999, 0], np.uint16),
            np.array([[1, 2], [3, -1]]),
            [2**11, -3000],
            range(10, 20, 3),
            np.array([], float),
            17,
        ):
            found = store.read_rows(KEY, 4, "m", "x", rows)
            expected = table[np.asarray(rows, np.int64)]
            assert (found.shape, found.tobytes()) == (expected.shape, expected.tobytes())


def test_what_is_no_row_number_is_refused() -> None:
    """A mask is not taken for the rows 0 and 1."""
    backend, table = saved_table("fast")
    with Store.on(backend) as store:
        for rows, words in (
            ([3000], "not 3000"),
            ([0, -3001], "not -3001"),
            (np.array([2**64 - 1], np.uint64), "rows 0 ... 2999"),
            (table[:, 0] > 0, "by bool values"),
            ([1.5], "by float64 values"),
            (["a"], "values"),
        ):
            with pytest.raises(UsageError, match=words):
                store.read_rows(KEY, 4, "m", "x", rows)
        for part, name, epoch in (("n", "x", 4), ("m", "z", 4), ("m", "x", 9)):
            with pytest.raises(CheckpointNotFoundError):
                store.read_rows(KEY, epoch, part, name, [0])


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (1,), (5, 2, 3), ()])
def test_arrays_of_every_shape(shape: tuple[int, ...]) -> None:
    array = any_bits(np.random.default_rng(0), "<f8", shape)
    with Store.on(MemoryBackend()) as store:
        store.save(KEY, 1, {"m": Part({"x": array})}, {})
        expected = array if shape else array.reshape(1)
        for rows in (slice(None), slice(None, None, -2), np.arange(len(expected))):
            found = store.read_rows(KEY, 1, "m", "x", rows)
            assert (found.shape, found.tobytes()) == (
                expected[rows].shape,
                expected[rows].tobytes(),
            )


def fixed_costs(store: Store, backend: CountingBackend, epoch: int) -> int:
    """What any reading of this epoch reads: its manifest and the tables of its packs."""
    fresh = Store.on(backend)
    read = fresh.read(KEY, epoch)
    before = backend.read
    for pack in read.packs:
        fresh._source.tables.of(pack)
    return backend.read - before + read.size


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("first", [0.0, 0.37])
def test_a_share_of_the_rows_costs_its_share_of_the_bytes(share: float, first: float) -> None:
    """At most 1.2 times the share and a block (two where the rows begin within one)."""
    backend, table = saved_table("fast", rows=40_000, saves=1)
    count = math.ceil(share * len(table))
    start = min(int(first * len(table)), len(table) - count)
    with Store.on(backend) as store:
        fixed = fixed_costs(store, backend, 1)
        fresh = Store.on(backend)
        backend.read = 0
        found = fresh.read_rows(KEY, 1, "m", "x", slice(start, start + count))
        assert found.tobytes() == table[start : start + count].tobytes()
        within = 1 if first == 0 else 2
        assert backend.read - fixed <= 1.2 * found.nbytes + within * BLOCK
        blocks = np.unique(np.arange(start, start + count) // (BLOCK // 32))
        assert backend.read - fixed <= len(blocks) * BLOCK + 100


def test_scattered_rows_read_each_block_once() -> None:
    backend, table = saved_table("fast", rows=40_000, saves=1)
    rows = np.random.default_rng(1).permutation(np.repeat([1, 2, 20_000, 39_999], 5))
    with Store.on(backend) as store:
        fixed = fixed_costs(store, backend, 1)
        fresh = Store.on(backend)
        backend.read = 0
        assert fresh.read_rows(KEY, 1, "m", "x", rows).tobytes() == table[rows].tobytes()
        assert backend.read - fixed <= 3 * BLOCK


def test_rows_of_a_patched_table_read_their_blocks_and_the_patches() -> None:
    backend, table = saved_table("fast", rows=40_000, saves=6)
    with Store.on(backend) as store:
        entry = store.read(KEY, 6).parts["m"].tensors["x"]
        patches = sum(store._source.blob(place).stored for place in entry.patches)
        assert entry.patches
        fixed = fixed_costs(store, backend, 6)
        fresh = Store.on(backend)
        backend.read = 0
        found = fresh.read_rows(KEY, 6, "m", "x", slice(500, 900))
        assert found.tobytes() == table[500:900].tobytes()
        assert backend.read - fixed <= 400 * 32 + 2 * BLOCK + patches


def test_one_array_reads_nothing_of_the_others() -> None:
    backend, _ = saved_table("fast", rows=40_000, saves=3)
    with Store.on(backend) as store:
        fixed = fixed_costs(store, backend, 3)
        fresh = Store.on(backend)
        backend.read = 0
        fresh.read_rows(KEY, 3, "m", "y", slice(None))
        assert backend.read <= fixed + 7 * 32


@pytest.mark.parametrize("threads", [1, 4, None])
@pytest.mark.parametrize("codec", ["fast", "small"])
def test_restoring_into_the_arrays_of_the_caller(threads: int | None, codec: str) -> None:
    backend, table = saved_table(codec)
    with Store.on(backend) as store:
        mine = {"m": Part({"x": np.full_like(table, 1), "y": np.zeros((7, 8), "<f4")})}
        found = store.restore(KEY, 4, into=mine, threads=threads)
        assert np.shares_memory(found["m"].tensors["x"], mine["m"].tensors["x"])
        assert_equal(mine, {"m": Part({"x": table, "y": table[:7]})})
        before = backend.read
        store.restore(KEY, 4, ["m"], into=mine, threads=threads)
        assert backend.read - before < 2.2 * table.nbytes


def test_arrays_that_do_not_fit_are_refused() -> None:
    backend, table = saved_table("fast")
    locked = np.empty_like(table)
    locked.flags.writeable = False
    with Store.on(backend) as store:
        for arrays, words in (
            ({"x": table}, "no array m/y to restore into"),
            ({"x": table[:-1], "y": table[:7]}, "stored as <f4 of shape"),
            ({"x": np.zeros(table.shape), "y": table[:7]}, "is <f8 of shape"),
            ({"x": np.asfortranarray(table), "y": table[:7]}, "not C-contiguous"),
            ({"x": locked, "y": table[:7]}, "cannot be written"),
        ):
            with pytest.raises(UsageError, match=words):
                store.restore(KEY, 4, into={"m": Part(arrays)})

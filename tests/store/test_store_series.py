"""The law of rebasing: what a long run stores, and what any version of it must read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_tools import DTYPES, KEY, any_bits, assert_equal, changed

from recsearch.errors import StoreError
from recsearch.state import Part
from recsearch.store import Store, manifest, series
from recsearch.store.memory import MemoryBackend
from recsearch.store.pack import Place

ROWS, WIDTH = 2048, 32
TABLE = 4 * ROWS * WIDTH
BLOCK = 8192
BLOCKS = TABLE // BLOCK
KEY_BYTES = 8 / (4 * WIDTH)
"""Row numbers beside the rows that they belong to, uncompressed."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "BLOCK_BYTES", BLOCK)


def uniform(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.choice(ROWS, count, replace=False)


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    weights = 1 / (1 + np.arange(ROWS)) ** 0.8
    return rng.choice(ROWS, count, replace=False, p=weights / weights.sum())


def moving(rng: np.random.Generator, count: int) -> np.ndarray:
    """A few blocks only, others later."""
    first = int(rng.integers(0, 4)) * ROWS // 4
    return first + rng.choice(ROWS // 4, count, replace=False)


@dataclass
class Measured:
    """What each version of a run refers to and what was written for all of them."""

    read: list[int] = field(default_factory=list)
    patches: list[int] = field(default_factory=list)
    rewritten: list[int] = field(default_factory=list)
    written: dict[Place, int] = field(default_factory=dict)
    first: set[Place] = field(default_factory=set)

    def look(self, store: Store, epoch: int) -> None:
        entry = store.read(KEY, epoch).parts["m"].tensors["x"]
        blobs = {place: store._source.blob(place) for place in entry.places}
        self.read.append(sum(blobs[place].stored for place in entry.patches))
        self.patches.append(len(entry.patches))
        tops = {chain[0] for chain in entry.blocks}
        self.rewritten.append(len(tops - self.written.keys()))
        self.written |= {place: blob.stored for place, blob in blobs.items()}
        self.first = self.first or tops

    @property
    def stored(self) -> int:
        """Bytes of all but the first version."""
        return sum(size for place, size in self.written.items() if place not in self.first)


def run(
    saves: int,
    count: int,
    rows_of: Callable[[np.random.Generator, int], np.ndarray] = uniform,
    *,
    rho: float = 1.0,
    hinted: bool = True,
    resume: int = 10**9,
) -> Measured:
    """Save a table ``saves`` times, each time with ``count`` other rows."""
    rng = np.random.default_rng(0)
    table = any_bits(rng, "<f4", (ROWS, WIDTH))
    measured, ids = Measured(), np.empty(0, np.int64)
    with Store.on(MemoryBackend()) as store:
        track = store.track(rho=rho)
        for epoch in range(1, saves + 1):
            if epoch > 1 and epoch % resume == 0:
                track.close()
                track = store.track(rho=rho, after=store.read(KEY, epoch - 1))
            touched = {"x": ids} if hinted else {}
            store.save(KEY, epoch, {"m": Part({"x": table}, touched=touched)}, {}, track=track)
            measured.look(store, epoch)
            ids = rows_of(rng, count)
            table[ids] = any_bits(rng, "<f4", (count, WIDTH))
        track.close()
    return measured


@pytest.mark.parametrize("rows_of", [uniform, skewed, moving])
@pytest.mark.parametrize(
    ("saves", "count", "rho"), [(400, 20, 1.0), (150, 100, 1.0), (150, 100, 0.5), (250, 100, 2.0)]
)
def test_the_law_of_rebasing(saves: int, count: int, rho: float, rows_of) -> None:
    found = run(saves, count, rows_of, rho=rho)
    share = count / ROWS
    patch = share * TABLE * (1 + KEY_BYTES)
    assert max(found.read) <= (rho * (TABLE + BLOCK) + TABLE * share) * (1 + KEY_BYTES)
    assert max(found.patches) <= series.MAX_PATCHES
    law = saves * share * (1 + 1 / rho) * TABLE
    assert found.stored <= 1.05 * law
    assert found.stored >= saves * patch * 0.9, "the rows themselves are stored"
    usual = patch / rho / BLOCK
    dense = rows_of is skewed  # the hottest block is written whole each time
    assert max(found.rewritten[1:]) <= int(usual) + 1 + dense, "staggered"
    if rows_of is uniform:
        assert max(found.read) >= 0.7 * rho * TABLE, "the run is long enough to tell"
        assert found.stored >= 0.7 * law


def test_changes_that_are_found_by_comparing_cost_the_same() -> None:
    hinted, compared = (run(60, 100, hinted=hinted) for hinted in (True, False))
    assert (hinted.read, hinted.stored) == (compared.read, compared.stored)


@pytest.mark.parametrize("resume", [1, 3, 20])
def test_the_law_holds_for_a_trainer_that_resumes_again_and_again(resume: int) -> None:
    found = run(150, 100, resume=resume)
    share = 100 / ROWS
    assert max(found.read) <= (TABLE + 2 * BLOCK + 2 * TABLE * share) * (1 + KEY_BYTES)
    assert found.stored <= 1.1 * 150 * share * 2 * TABLE


def test_tiny_patches_are_bounded_in_number_and_rebased_one_block_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = 2 * BLOCKS
    monkeypatch.setattr(series, "MAX_PATCHES", limit)
    found = run(6 * limit, 2)
    assert max(found.patches) == limit
    assert max(found.rewritten[1:]) == 1
    hot = run(6 * limit, 2, lambda rng, count: rng.integers(0, 2, 1) * 1000 + np.arange(count))
    assert max(hot.patches) <= limit
    assert max(hot.rewritten[1:]) <= 2


def test_blocks_that_were_clean_for_long_do_not_fall_due_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten hot blocks near their limit when all the others begin to change, too."""
    limit = 2 * BLOCKS
    monkeypatch.setattr(series, "MAX_PATCHES", limit)
    calls = iter(range(10**6))

    def rows_of(rng: np.random.Generator, count: int) -> np.ndarray:
        hot = next(calls) < limit - 12
        return rng.choice(10 * ROWS // BLOCKS if hot else ROWS, count, replace=False)

    found = run(4 * limit, 4, rows_of)
    assert max(found.patches) <= limit
    assert max(found.rewritten[1:]) <= 2


def test_tables_of_one_size_are_not_rebased_in_the_same_checkpoints() -> None:
    rng = np.random.default_rng(0)
    tables = {f"t{n}": any_bits(rng, "<f4", (BLOCK // 128, WIDTH)) for n in range(8)}
    together = []
    with Store.on(MemoryBackend()) as store, store.track() as track:
        last: dict[str, object] = {}
        for epoch in range(1, 80):
            touched = {name: rng.integers(0, BLOCK // 128, 4) for name in tables}
            for name, ids in touched.items():
                tables[name][ids] = any_bits(rng, "<f4", (4, WIDTH))
            store.save(KEY, epoch, {"m": Part(tables, touched=touched)}, {}, track=track)
            now = {n: t.blocks for n, t in store.read(KEY, epoch).parts["m"].tensors.items()}
            together.append(sum(now[name] != last.get(name) for name in now))
            last = now
    assert sum(together[1:]) > 2 * len(tables)
    assert max(together[1:]) <= len(tables) // 2


@pytest.mark.parametrize(("few", "half"), [(60, 64), (1, 128), (31, 32 * 4)])
def test_a_block_is_written_anew_when_half_of_its_rows_change(few: int, half: int) -> None:
    """64 rows per block: a patch for fewer than 32 of a block, else the block, however told."""
    rng = np.random.default_rng(3)
    table = any_bits(rng, "<f4", (ROWS, WIDTH))
    for touched in (True, False):
        with Store.on(MemoryBackend()) as store, store.track() as track:
            store.save(KEY, 1, {"m": Part({"x": table})}, {}, track=track)
            sparse = 2 * np.arange(few) * 64 % ROWS + rng.integers(0, 64, few)
            after = changed(rng, table, np.arange(ROWS - half, ROWS))
            after = changed(rng, after, sparse)
            ids = np.concatenate([sparse, np.arange(ROWS - half, ROWS)])
            hint = {"x": rng.permutation(np.repeat(ids, 2))} if touched else {}
            store.save(KEY, 2, {"m": Part({"x": after}, touched=hint)}, {}, track=track)
            one, two = (store.read(KEY, e).parts["m"].tensors["x"] for e in (1, 2))
            anew = [
                n for n, (a, b) in enumerate(zip(one.blocks, two.blocks, strict=True)) if a != b
            ]
            assert anew == list(range(BLOCKS - half // 64, BLOCKS))
            assert len(two.patches) == 1
            assert {two.since[n] for n in anew} == {1}
            assert_equal(store.restore(KEY, 2), {"m": Part({"x": after})})


def test_what_did_not_change_is_not_written() -> None:
    rng = np.random.default_rng(3)
    table = any_bits(rng, "<f4", (ROWS, WIDTH))
    with Store.on(MemoryBackend()) as store, store.track() as track:
        store.save(KEY, 1, {"m": Part({"x": table})}, {}, track=track)
        for epoch, touched in enumerate(({}, {"x": []}, {"x": [5, 5, 7]}, {"x": range(ROWS)}), 2):
            saved = store.save(
                KEY, epoch, {"m": Part({"x": table}, touched=touched)}, {}, track=track
            )
            assert saved.stored_bytes == store.read(KEY, epoch).size
            assert store.read(KEY, epoch).parts == store.read(KEY, 1).parts


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(DTYPES), st.sampled_from(["fast", "small"]))
def test_hints_in_any_order_with_duplicates(seed: int, dtype: str, codec) -> None:
    """More hints than changes, of any integer type: every version is exact."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 300))
    shape = (rows, *rng.integers(1, 4, rng.integers(0, 3)).tolist())
    tables = [any_bits(rng, dtype, shape)]
    with Store.on(MemoryBackend()) as store, store.track(codec=codec) as track:
        store.save(KEY, 1, {"m": Part({"x": tables[0]})}, {}, track=track)
        for epoch in range(2, 7):
            ids = rng.integers(0, rows, rng.integers(0, rows + 1))
            tables.append(changed(rng, tables[-1], np.unique(ids)))
            more = rng.permutation(np.concatenate([ids, ids, rng.integers(0, rows, 3)]))
            hint = [more.astype("<u2"), more.tolist(), more.astype("<i8").reshape(1, -1)]
            array = np.asfortranarray(tables[-1]) if rng.random() < 0.5 else tables[-1]
            part = Part({"x": array}, touched={"x": hint[int(rng.integers(3))]})
            store.save(KEY, epoch, {"m": part}, {}, track=track)
        for epoch, table in enumerate(tables, 1):
            assert_equal(store.restore(KEY, epoch), {"m": Part({"x": table})})


@pytest.mark.parametrize(("rows", "touched"), [(64 * 64, 10), (30 * 64, 0), (5000, 2000), (40, 3)])
def test_a_change_that_was_not_handed_in_is_found(rows: int, touched: int) -> None:
    """Every save compares 64 other rows, or an eighth as many as are touched: all in turn."""
    turns = -(-rows // max(64, touched // 8))
    assert turns <= 64
    for liar in (0, rows // 2, rows - 1):
        rng = np.random.default_rng(liar)
        table = any_bits(rng, "<f4", (rows, 2))
        honest = np.delete(np.arange(rows), liar)
        with Store.on(MemoryBackend()) as store, store.track() as track:
            store.save(KEY, 1, {"m": Part({"x": table})}, {}, track=track)
            table[liar] += 1
            table[liar, 0] = liar + 0.5
            for epoch in range(2, turns + 2):
                ids = rng.choice(honest, touched, replace=False)
                part = Part({"x": table}, touched={"x": ids})
                try:
                    store.save(KEY, epoch, {"m": part}, {}, track=track)
                except StoreError as error:
                    assert f"rows {liar} of array 'x' have changed" in error.message
                    break
            else:
                raise AssertionError("not found")
            # What follows is whole, whatever it is told.
            store.save(KEY, 99, {"m": part}, {}, track=track)
            assert_equal(store.restore(KEY, 99), {"m": Part({"x": table})})


def test_row_numbers_out_of_range_are_refused() -> None:
    table = np.zeros((10, 2))
    wrong = ([-1], [10], [2**63], [0.5], np.array([True]), ["a"])
    with Store.on(MemoryBackend()) as store, store.track() as track:
        store.save(KEY, 1, {"m": Part({"x": table})}, {}, track=track)
        for ids in wrong:
            with pytest.raises(StoreError, match=r"'x' of part 'm' are not numbers from 0 to 9"):
                store.save(KEY, 2, {"m": Part({"x": table}, touched={"x": ids})}, {}, track=track)
        with pytest.raises(StoreError, match="name no array: 'y'"):
            store.save(KEY, 2, {"m": Part({"x": table}, touched={"y": [1]})}, {}, track=track)
        store.save(KEY, 2, {"m": Part({"x": table}, touched={"x": [1]})}, {}, track=track)
        assert store.epochs(KEY) == [1, 2]


def test_scalars_and_empty_arrays_may_be_hinted() -> None:
    def state(value: float, touched: bool) -> dict[str, Part]:
        arrays = {
            "s": np.array(value),
            "e": np.empty((0, 3)),
            "z": np.empty((4, 0)),
            "n": np.ones(1),
        }
        ids = {"s": [0], "e": [], "z": [1, 3], "n": np.int64(0)}
        return {"m": Part(arrays, touched=ids if touched else {})}

    with Store.on(MemoryBackend()) as store, store.track() as track:
        for epoch in (1, 2, 3):
            store.save(KEY, epoch, state(epoch, epoch > 1), {}, track=track)
        store.save(KEY, 4, {"m": Part({"s": np.array(3.0)}, touched={"s": []})}, {}, track=track)
        for epoch in (1, 2, 3):
            assert_equal(store.restore(KEY, epoch), state(epoch, False))

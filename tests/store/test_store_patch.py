"""Row patches: any rows of any dtype, in any order; other bytes are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_tools import DTYPES, KEY, any_bits, assert_equal, changed

from recsearch.state import Part
from recsearch.store import Store
from recsearch.store.codec import element_dtype, shuffle
from recsearch.store.memory import MemoryBackend
from recsearch.store.patch import (
    PATCH_CODECS,
    ROWS,
    ROWS_DELTA,
    encode_patch,
    gather,
    new_rows,
    parse_patch,
    scatter,
)
from recsearch.store.reader import as_rows

SEEDS = st.integers(0, 2**32 - 1)


def stored_bytes(pieces: tuple[bytes | memoryview, ...]) -> memoryview:
    return memoryview(b"".join(pieces))


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.sampled_from(DTYPES), st.integers(1, 200), st.integers(1, 5), st.booleans())
def test_a_patch_sets_exactly_its_rows(
    seed: int, dtype: str, rows: int, width: int, delta: bool
) -> None:
    rng = np.random.default_rng(seed)
    element = element_dtype(np.dtype(dtype))
    before, after = (any_bits(rng, dtype, (rows, width)) for _ in range(2))
    ids = np.flatnonzero(rng.random(rows) < rng.random())
    ids = ids if len(ids) else np.array([rows - 1])
    table, new = as_rows(before.copy()), as_rows(after)
    codec, pieces = encode_patch(ids, new[ids], element, table[ids] if delta else None)
    assert codec == (ROWS_DELTA if delta else ROWS)
    found, data = parse_patch(stored_bytes(pieces), codec, element, table.shape[1], rows)
    assert found.tolist() == ids.tolist()
    old = gather(table, found) if delta else None
    scatter(table, found, new_rows(old, data, element))
    expected = as_rows(before.copy())
    expected[ids] = new[ids]
    assert table.tobytes() == expected.tobytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_garbage_is_refused_or_stays_within_the_table(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(SEEDS))
    dtype = np.dtype(data.draw(st.sampled_from(["|u1", "<i4", "<f4", "<f8"])))
    table = as_rows(any_bits(rng, dtype.str, (30, 3)))
    ids = np.unique(rng.integers(0, 30, data.draw(st.integers(1, 20))))
    before = table[ids] if data.draw(st.booleans()) else None
    codec, pieces = encode_patch(ids, table[ids], dtype, before)
    stored = bytearray(b"".join(pieces))
    for _ in range(data.draw(st.integers(0, 3))):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    stored = stored[: data.draw(st.integers(0, len(stored)) | st.just(len(stored)))]
    stored += data.draw(st.binary(max_size=5))
    rows = data.draw(st.integers(1, 40))
    try:
        found, new = parse_patch(memoryview(bytes(stored)), codec, dtype, table.shape[1], rows)
    except ValueError:
        return
    assert new.shape == (len(found), table.shape[1])
    assert (np.diff(found) > 0).all()
    assert 0 <= found[0] <= found[-1] < rows


def forged(gaps: list[int], count: int | None = None) -> memoryview:
    packed = shuffle(np.array(gaps, "<i8").view(np.uint8), 8)
    count = len(gaps) if count is None else count
    head = np.array([count, len(packed), 0], "<i8").tobytes()
    return memoryview(head + packed + bytes(8 * len(gaps)))


@pytest.mark.parametrize(
    "gaps",
    [
        [-1],
        [10],
        [3, 0],
        [3, -1],
        [3, 7],
        [2**62, 2**62, 2**62, 2**62 + 3],
        [2**63 - 1, 2**63 - 1, 4],
    ],
    ids=str,
)
def test_row_numbers_out_of_order_or_range_are_refused(gaps: list[int]) -> None:
    with pytest.raises(ValueError, match="out of order or beyond"):
        parse_patch(forged(gaps), ROWS, np.dtype("<f8"), 8, 10)
    assert parse_patch(forged([3, 6]), ROWS, np.dtype("<f8"), 8, 10)[0].tolist() == [3, 9]


def test_counts_that_do_not_fit_are_refused() -> None:
    for count in (0, -1, 1, 3, 11, 2**62):
        with pytest.raises(ValueError, match=r"."):
            parse_patch(forged([3, 6], count), ROWS, np.dtype("<f8"), 8, 10)
    for codec in PATCH_CODECS:
        with pytest.raises(ValueError, match="not a patch"):
            parse_patch(memoryview(bytes(23)), codec, np.dtype("<f8"), 8, 10)
    with pytest.raises(ValueError, match="not a patch"):
        parse_patch(forged([3, 6]), "raw", np.dtype("<f8"), 8, 10)


def test_a_patch_means_the_same_wherever_it_is_found() -> None:
    """Two patches of equal bytes are one blob, so that the bytes must say all that matters."""
    ids, rows = np.array([1, 4]), np.arange(32, dtype=np.uint8).reshape(2, 16)
    kinds = [(codec, np.dtype(d)) for codec in PATCH_CODECS for d in ("<i4", "<f4", "<f8", "<u2")]
    stored = {
        (codec, dtype): stored_bytes(
            encode_patch(ids, rows, dtype, None if codec == ROWS else rows - 1)[1]
        )
        for codec, dtype in kinds
    }
    for (codec, dtype), data in stored.items():
        for other, other_dtype in kinds:
            if codec == other == ROWS or (codec, dtype) == (other, other_dtype):
                parse_patch(data, other, other_dtype, 16, 10)
            else:
                with pytest.raises(ValueError, match=r"."):
                    parse_patch(data, other, other_dtype, 16, 10)


def test_equal_differences_of_integers_and_floats_are_told_apart() -> None:
    """As integers five more, as negative floats five less: the same difference, as ordered."""
    floats = -np.random.default_rng(0).random((100, 4)).astype("<f4") - 1
    numbers = floats.view("<i4").copy()
    more, less = numbers.copy(), numbers.copy()
    more[3] += 5
    less[3] -= 5
    first = {"m": Part({"f": floats, "i": numbers})}
    second = {"m": Part({"f": less.view("<f4"), "i": more})}
    with Store.on(MemoryBackend()) as store, store.track(codec="small") as track:
        store.save(KEY, 1, first, {}, track=track)
        store.save(KEY, 2, second, {}, track=track)
        assert all(t.patches for _, t in store.read(KEY, 2).tensors)
        assert_equal(store.restore(KEY, 1), first)
        assert_equal(store.restore(KEY, 2), second)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from(["fast", "small"]), st.sampled_from(DTYPES))
def test_the_newest_of_many_overlapping_patches_wins(seed: int, codec, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    tables = [any_bits(rng, dtype, (40, 2))]
    with Store.on(MemoryBackend()) as store, store.track(codec=codec, rho=8.0) as track:
        for epoch in range(1, 8):
            store.save(KEY, epoch, {"m": Part({"x": tables[-1]})}, {}, track=track)
            rows = rng.choice(40, rng.integers(1, 15), replace=False)
            tables.append(changed(rng, tables[-1], rows))
        assert len(store.read(KEY, 7).parts["m"].tensors["x"].patches) > 2
        for epoch in range(1, 8):
            assert_equal(store.restore(KEY, epoch), {"m": Part({"x": tables[epoch - 1]})})

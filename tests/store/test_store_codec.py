"""Codecs: any bits come back, garbage is refused, and the smallest encoding is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from store_tools import DTYPES, any_bits

from recsearch.errors import StoreError
from recsearch.store.codec import (
    BLOCK_CODECS,
    DELTA,
    EXTRAPOLATED,
    RAW,
    SHUFFLED,
    Past,
    _encode,
    check_dtype,
    decode,
    element_dtype,
    encode_small,
    parse_dtype,
    unshuffle,
)

SEEDS = st.integers(0, 2**32 - 1)


def as_bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)


def history(seed: int, dtype: str, count: int) -> tuple[np.ndarray, Past]:
    """A block of any bits, and two earlier ones that it partly equals."""
    rng = np.random.default_rng(seed)
    blocks = [any_bits(rng, dtype, (count,)) for _ in range(3)]
    keep = rng.random(count) < rng.random()
    now = np.where(keep, blocks[1], blocks[0])
    return as_bytes(now), Past(as_bytes(blocks[1]), as_bytes(blocks[2]))


def pasts(past: Past) -> list[Past | None]:
    return [None, Past(past.last), past]


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.sampled_from(DTYPES), st.integers(1, 700))
def test_every_codec_is_lossless_for_any_bits(seed: int, dtype: str, count: int) -> None:
    raw, past = history(seed, dtype, count)
    element = element_dtype(np.dtype(dtype))
    for given_past in pasts(past):
        codec, stored = encode_small(raw, element, given_past)
        assert bytes(decode(bytes(stored), codec, element, len(raw), given_past)) == bytes(raw)
    wanted = [SHUFFLED, DELTA, *([EXTRAPOLATED] if element.kind == "f" else [])]
    for codec in wanted:
        stored = memoryview(_encode(codec, raw, element, past))
        assert bytes(decode(stored, codec, element, len(raw), past)) == bytes(raw)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_garbage_is_refused_or_has_the_right_length(data: st.DataObject) -> None:
    """Whatever the bytes: an array of ``length`` bytes, or ValueError."""
    dtype = np.dtype(data.draw(st.sampled_from(["|u1", "<i4", "<f2", "<f4", "<f8"])))
    codec = data.draw(st.sampled_from(BLOCK_CODECS))
    raw, past = history(data.draw(SEEDS), dtype.str, data.draw(st.integers(1, 50)))
    assume(codec != EXTRAPOLATED or dtype.kind == "f")
    stored = bytearray(raw if codec == RAW else _encode(codec, raw, dtype, past))
    for _ in range(data.draw(st.integers(0, 4))):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(stored)) | st.just(len(stored)))
    stored = stored[:cut] + data.draw(st.binary(max_size=9))
    length = data.draw(st.integers(1, 500) | st.just(len(raw)))
    for given_past in pasts(past):
        try:
            found = decode(bytes(stored), codec, dtype, length, given_past)
        except ValueError:
            continue
        assert len(found) == length


@pytest.mark.parametrize("codec", BLOCK_CODECS)
@pytest.mark.parametrize("stored", [b"", bytes(7), b"\xff" * 100], ids=["no", "few", "many"])
def test_no_codec_writes_such_bytes(codec: str, stored: bytes) -> None:
    past = Past(np.zeros(64, np.uint8), np.zeros(64, np.uint8))
    for dtype in ("<f4", "<i4"):
        with pytest.raises(ValueError, match=r"."):
            decode(stored, codec, np.dtype(dtype), 64, past)


def test_a_block_that_claims_another_size_is_refused_before_it_is_allocated() -> None:
    codec, stored = encode_small(np.zeros(2**20, np.uint8), np.dtype("u1"), None)
    assert codec == SHUFFLED
    with pytest.raises(ValueError, match="length"):
        decode(bytes(stored), codec, np.dtype("u1"), 64, None)
    with pytest.raises(ValueError, match=r"."):
        unshuffle(bytes(stored) + b"more", 1, 2**20)


def test_a_difference_needs_what_it_is_a_difference_to() -> None:
    raw, past = history(3, "<f4", 16)
    for codec, lacking in ((DELTA, None), (EXTRAPOLATED, None), (EXTRAPOLATED, Past(past.last))):
        stored = _encode(codec, raw, np.dtype("<f4"), past)
        with pytest.raises(ValueError, match=r"past|predecessors"):
            decode(stored, codec, np.dtype("<f4"), len(raw), lacking)
    short = Past(past.last[:-4], past.before)
    with pytest.raises(ValueError, match="length"):
        decode(_encode(DELTA, raw, np.dtype("<f4"), past), DELTA, np.dtype("<f4"), len(raw), short)


def straight_line(step: int, count: int = 40_000) -> np.ndarray:
    rng = np.random.default_rng(1)
    values = 1 + rng.random(count) / 2 + 0.1 * step * rng.random(count)
    return as_bytes(values.astype("<f4"))


def test_each_codec_is_chosen_where_it_is_the_smallest() -> None:
    rng = np.random.default_rng(0)
    f4 = np.dtype("<f4")
    noise = rng.integers(0, 256, 80_000, dtype=np.uint8)
    codec, stored = encode_small(noise, np.dtype("u1"), None)
    assert (codec, bytes(stored)) == (RAW, noise.tobytes())
    floats = as_bytes(rng.normal(size=20_000).astype("<f4"))
    codec, stored = encode_small(floats, f4, None)
    assert codec == SHUFFLED
    assert len(stored) <= 0.95 * len(floats)
    near = as_bytes(floats.view("<f4") * np.float32(1 + 1e-6))
    codec, stored = encode_small(near, f4, Past(floats))
    assert codec == DELTA
    assert len(stored) < 0.2 * len(near)
    lines = [straight_line(step) for step in range(3)]
    codec, stored = encode_small(lines[2], f4, Past(lines[1], lines[0]))
    assert codec == EXTRAPOLATED
    assert len(stored) < 0.2 * len(lines[2])


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_threads_that_flush_subnormals_and_those_that_do_not_agree(
    encoder: bool, dtype: str
) -> None:
    """``torch.set_flush_denormal`` holds for one thread and the threads that it starts."""
    rng = np.random.default_rng(2)
    tiny = float(np.finfo(dtype).tiny)
    base, step = 1 + rng.random(4000), rng.random(4000) / 10
    for part, size in enumerate((1.2, 3e3, 3e3 if dtype == "<f2" else 6e11)):
        base[part::4] *= size * tiny
        step[part::4] *= size * tiny
    x0, x1, x2 = (as_bytes((base + k * step).astype(dtype)) for k in range(3))
    past, element = Past(x1, x0), np.dtype(dtype)
    flushing = torch.set_flush_denormal(encoder)
    stored = _encode(EXTRAPOLATED, x2, element, past)
    assert torch.set_flush_denormal(not encoder) == flushing
    try:
        found = decode(stored, EXTRAPOLATED, element, len(x2), past)
    finally:
        torch.set_flush_denormal(False)
    assert found.tobytes() == x2.tobytes()
    if flushing and dtype == "<f4":
        torch.set_flush_denormal(True)
        flushed = float(np.array([1.2e-38], "<f4")[0] * np.float32(0.5))
        torch.set_flush_denormal(False)
        assert flushed == 0.0, "the test sees a thread that flushes"


def test_dtypes_are_stored_by_name() -> None:
    for name in DTYPES:
        assert parse_dtype(check_dtype(np.dtype(name), "x")) == np.dtype(name)
    for wrong in (">f4", "O", "<f16", "<c8", "<M8[s]", "<U", "<Ux", 4, None, "|V4", "f4"):
        with pytest.raises(ValueError, match="dtype"):
            parse_dtype(wrong)
    with pytest.raises(StoreError, match="the place has dtype"):
        check_dtype(np.dtype("O"), "the place")

"""How the bytes of a block are stored: as they are, shuffled, or as a difference to its past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import zstandard
from blake3 import blake3

from recsearch.errors import StoreError

RAW = "raw"
SHUFFLED = "shuffle+zstd1"
DELTA = "delta"
EXTRAPOLATED = "extrapolate"
DIFFERENCES = {DELTA: 1, EXTRAPOLATED: 2}
"""To how many earlier blobs the difference is taken."""
HASH_BYTES = 32
_MUST_SAVE = 0.05
_SAMPLE_BYTES = 128 * 2**10
_MAX_GAMMA = 4.0
_GAMMA_BYTES = 8
_DTYPES = frozenset(
    ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
)


def hash_bytes(*pieces: bytes | memoryview) -> bytes:
    """BLAKE3-256 of the pieces behind each other, 32 bytes."""
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    return bytes(hasher.digest())


def check_dtype(dtype: np.dtype, where: str) -> str:
    """The name under which a dtype is stored, such as ``<f4``.

    Raises:
        StoreError: the dtype is not boolean, integer, float (16 to 64 bits) or fixed-width text,
            or is big-endian. Objects, in particular, are never stored.
    """
    if dtype.str in _DTYPES or (dtype.kind == "U" and dtype.str.startswith("<")):
        return dtype.str
    raise StoreError(
        f"{where} has dtype {dtype.str!r}; a checkpoint holds booleans, integers, floats of 16 to "
        "64 bits and fixed-width text, all little-endian"
    )


def parse_dtype(text: object) -> np.dtype:
    """The dtype of a stored name.

    Raises:
        ValueError: it is not one that :func:`check_dtype` returns.
    """
    known = isinstance(text, str) and (
        text in _DTYPES or (text.startswith("<U") and text[2:].isdecimal())
    )
    if not known:
        raise ValueError(f"dtype {text!r}")
    return np.dtype(text)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Past:
    """What the same block held before: a difference is taken to these bytes.

    Attributes:
        last: Raw bytes of the blob that the difference is *over*.
        before: Raw bytes of what that blob itself is over, for extrapolation; None if nothing.
    """

    last: np.ndarray
    before: np.ndarray | None = None

    def cut(self, part: slice) -> Past:
        """The same for some of the bytes."""
        return Past(self.last[part], None if self.before is None else self.before[part])


def element_dtype(dtype: np.dtype) -> np.dtype:
    """What the codecs take the elements for: numbers as they are, others as unsigned ones."""
    if dtype.kind == "U":
        return np.dtype("<u4")  # one character
    return np.dtype("|u1") if dtype.kind == "b" else dtype


def encode_small(raw: np.ndarray, dtype: np.dtype, past: Past | None) -> tuple[str, memoryview]:
    """The smallest encoding of a block, as tried on a sample from its middle.

    Args:
        raw: Its bytes (uint8).
        dtype: Its :func:`element_dtype`.
        past: What the block held before, if a difference may be stored.

    Returns:
        The name of the codec and the bytes to store; raw where nothing saves 5 % or more.
    """
    codec = SHUFFLED if past is None else _smallest(raw, dtype, past)
    packed = _encode(codec, raw, dtype, past)
    if len(packed) <= len(raw) * (1 - _MUST_SAVE):
        return codec, memoryview(packed)
    return RAW, raw.data


def decode(
    stored: bytes | memoryview, codec: str, dtype: np.dtype, length: int, past: Past | None
) -> np.ndarray:
    """The inverse of :func:`encode_small`: ``length`` raw bytes (uint8).

    Raises:
        ValueError: the bytes are not what the codec writes for that length.
    """
    if codec == RAW:
        if len(stored) != length:
            raise ValueError("raw block of another length")
        return np.frombuffer(stored, np.uint8)
    if codec == SHUFFLED:
        return unshuffle(stored, dtype.itemsize, length)
    if past is None or codec not in DIFFERENCES or len(past.last) != length:
        raise ValueError(f"codec {codec!r} without a past of that length")
    base = past.last
    if codec == EXTRAPOLATED:
        if past.before is None or len(past.before) != length or dtype.kind != "f":
            raise ValueError("an extrapolated block needs two predecessors of floats")
        if len(stored) < _GAMMA_BYTES:
            raise ValueError("an extrapolated block without its factor")
        gamma = np.frombuffer(stored[:_GAMMA_BYTES], "<f8")[0]
        base = _extrapolate(past.last, past.before, dtype, gamma)
        stored = memoryview(stored)[_GAMMA_BYTES:]
    return undo_difference(unshuffle(stored, dtype.itemsize, length), base, dtype)


def shuffle(raw: np.ndarray, width: int) -> bytes:
    """Byte shuffle and zstandard level 1.

    Shuffling puts the first bytes of all elements together, then the second, and so on (as
    Blosc does): the exponents of floats compress, their low mantissa bits do not.
    """
    planes = np.ascontiguousarray(raw.reshape(-1, width).T)
    return zstandard.ZstdCompressor(level=1).compress(planes.data)


def unshuffle(stored: bytes | memoryview, width: int, length: int) -> np.ndarray:
    """The inverse of :func:`shuffle`.

    Raises:
        ValueError: the bytes are not those of ``length`` raw ones.
    """
    try:
        # Checked first: the length that a frame claims is allocated before it is decoded.
        if zstandard.frame_content_size(stored) != length:
            raise ValueError("compressed block of another length")
        data = zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    planes = np.frombuffer(data, np.uint8).reshape(width, -1).T
    return np.ascontiguousarray(planes).reshape(-1)


def difference(raw: np.ndarray, base: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Element by element, how many representable values lie between, zigzag-coded (uint8 view).

    Floats are ordered by their bits (as in the total order of IEEE 754), so that a small change
    is a small integer; zigzag puts the sign into the lowest bit.
    """
    unsigned, signed, bits = _words(dtype)
    step = _ordered(raw, dtype) - _ordered(base, dtype)
    sign = (step.view(signed) >> (bits - 1)).view(unsigned)
    return ((step << unsigned.type(1)) ^ sign).view(np.uint8)


def undo_difference(zigzag: np.ndarray, base: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The inverse of :func:`difference`."""
    unsigned, signed, bits = _words(dtype)
    z = zigzag.view(unsigned)
    one = unsigned.type(1)
    value = ((z >> one) ^ (~(z & one) + one)) + _ordered(base, dtype)
    if dtype.kind == "f":
        top = unsigned.type(1 << (bits - 1))
        value ^= ~(value.view(signed) >> (bits - 1)).view(unsigned) | top
    return value.view(np.uint8)


def _ordered(raw: np.ndarray, dtype: np.dtype) -> np.ndarray:
    unsigned, signed, bits = _words(dtype)
    words = raw.view(unsigned)
    if dtype.kind != "f":
        return words
    return words ^ ((raw.view(signed) >> (bits - 1)).view(unsigned) | unsigned.type(1 << bits - 1))


def _words(dtype: np.dtype) -> tuple[np.dtype, np.dtype, int]:
    width = dtype.itemsize
    return np.dtype(f"<u{width}"), np.dtype(f"<i{width}"), 8 * width


def _extrapolate(last: np.ndarray, before: np.ndarray, dtype: np.dtype, gamma: float) -> np.ndarray:
    x1, x0 = last.view(dtype), before.view(dtype)
    # Bits of a NaN differ between processors, and what is too small to be normal differs between
    # threads (some flush it to zero; halves are computed as singles). IEEE 754 fixes the rest.
    info = np.finfo(dtype)
    least = dtype.type(0.0 if dtype.itemsize == 2 else info.tiny * 2.0 ** (info.nmant + 16))
    with np.errstate(all="ignore"):
        guess = x1 + dtype.type(gamma) * (x1 - x0)
        sure = np.isfinite(guess) & (np.abs(x1) >= least) & (np.abs(x0) >= least)
    return np.where(sure, guess, x1).view(np.uint8)


def _learn_gamma(raw: np.ndarray, last: np.ndarray, before: np.ndarray, dtype: np.dtype) -> float:
    """Least squares over the block: x2 - x1 against x1 - x0."""
    with np.errstate(all="ignore"):
        x2, x1 = raw.view(dtype).astype("f8"), last.view(dtype).astype("f8")
        step = x1 - before.view(dtype)
        gamma = float(np.dot(step, x2 - x1) / np.dot(step, step))
    return round(gamma, 3) if abs(gamma) < _MAX_GAMMA else 0.0


def _smallest(raw: np.ndarray, dtype: np.dtype, past: Past) -> str:
    codecs = [SHUFFLED, DELTA]
    if past.before is not None and dtype.kind == "f":
        codecs.append(EXTRAPOLATED)
    cut = _sample(len(raw), dtype.itemsize)
    sizes = {codec: len(_encode(codec, raw[cut], dtype, past.cut(cut))) for codec in codecs}
    return min(codecs, key=sizes.__getitem__)


def _encode(codec: str, raw: np.ndarray, dtype: np.dtype, past: Past | None) -> bytes:
    if codec == SHUFFLED or past is None:
        return shuffle(raw, dtype.itemsize)
    if codec == DELTA or past.before is None:
        return shuffle(difference(raw, past.last, dtype), dtype.itemsize)
    gamma = _learn_gamma(raw, past.last, past.before, dtype)
    guess = _extrapolate(past.last, past.before, dtype, gamma)
    packed = shuffle(difference(raw, guess, dtype), dtype.itemsize)
    return np.array(gamma, "<f8").tobytes() + packed


BLOCK_CODECS = (RAW, SHUFFLED, DELTA, EXTRAPOLATED)


def _sample(length: int, itemsize: int) -> slice:
    size = min(length, _SAMPLE_BYTES) // itemsize * itemsize
    start = (length - size) // 2 // itemsize * itemsize
    return slice(start, start + size)

"""Arrays as blocks of canonical bytes, and the two ways in which a block is stored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import zstandard
from blake3 import blake3

from recsearch.errors import StoreError

BLOCK_BYTES = 4 * 2**20
"""Rows are gathered up to this many bytes; a smaller tensor is one block."""

RAW = "raw"
SHUFFLED = "shuffle+zstd1"
CODECS = (RAW, SHUFFLED)
HASH_BYTES = 32
_MUST_SAVE = 0.05
_DTYPES = frozenset(
    ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
)


def hash_bytes(data: bytes | memoryview) -> bytes:
    """BLAKE3-256, 32 bytes."""
    return bytes(blake3(data).digest())


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


def element_width(dtype: np.dtype) -> int:
    """Bytes per element for the byte shuffle; a character of text is one element."""
    return 4 if dtype.kind == "U" else dtype.itemsize


def blocks(array: np.ndarray, block_bytes: int = BLOCK_BYTES) -> Iterator[memoryview]:
    """The bytes of a C-contiguous array in blocks of whole rows; nothing for an empty array."""
    if array.nbytes == 0:
        return
    data = array.reshape(-1).view(np.uint8).data
    row = array.nbytes // array.shape[0] if array.ndim else array.nbytes
    step = max(1, block_bytes // row) * row
    for start in range(0, array.nbytes, step):
        yield data[start : start + step]


def encode(raw: memoryview, width: int) -> tuple[str, bytes | memoryview]:
    """Store a block as it is, or byte-shuffled and compressed where that saves 5 % or more.

    Shuffling puts the first bytes of all elements together, then the second, and so on (as
    Blosc does): the exponents of floats compress, their low mantissa bits do not.

    Returns:
        The name of the codec and the bytes to store.
    """
    planes = np.frombuffer(raw, np.uint8).reshape(-1, width).T
    packed = zstandard.ZstdCompressor(level=1).compress(np.ascontiguousarray(planes).data)
    if len(packed) <= len(raw) * (1 - _MUST_SAVE):
        return SHUFFLED, packed
    return RAW, raw


def decode(stored: bytes, codec: str, width: int, length: int) -> memoryview:
    """The inverse of :func:`encode`; ``length`` is the raw length in bytes.

    Raises:
        ValueError: the bytes are not what the codec writes for that length.
    """
    if codec == RAW:
        return memoryview(stored)
    try:
        # Checked first: the length that a frame claims is allocated before it is decoded.
        if zstandard.frame_content_size(stored) != length:
            raise ValueError("compressed block of another length")
        data = zstandard.ZstdDecompressor().decompress(stored)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    planes = np.frombuffer(data, np.uint8).reshape(width, -1).T
    return np.ascontiguousarray(planes).reshape(-1).data

"""Framed msgpack: a magic word, a payload, and the payload's own hash."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import numpy as np

from recsearch.errors import StoreError
from recsearch.state import Json
from recsearch.store.codec import HASH_BYTES, hash_bytes

MAGIC_BYTES = 8
VERSIONS = (1, 2)


def frame(magic: bytes, content: dict[str, Any]) -> bytes:
    """``magic``, the content as msgpack, and BLAKE3 over both."""
    body = magic + bytes(msgpack.packb(content, use_bin_type=True))
    return body + hash_bytes(body)


def unframe(magic: bytes, data: bytes) -> dict[str, Any]:
    """The inverse of :func:`frame`.

    Raises:
        ValueError: the bytes are not exactly what was framed.
    """
    if len(data) < MAGIC_BYTES + HASH_BYTES or data[:MAGIC_BYTES] != magic:
        raise ValueError("not a whole file of its kind")
    body = memoryview(data)[:-HASH_BYTES]
    if hash_bytes(body) != data[-HASH_BYTES:]:
        raise ValueError("its bytes do not match its hash")
    try:
        content = msgpack.unpackb(
            body[MAGIC_BYTES:], raw=False, strict_map_key=True, ext_hook=_refuse
        )
    except (msgpack.UnpackException, ValueError) as error:
        raise ValueError(f"not valid msgpack: {error}") from error
    if not isinstance(content, dict) or content.get("v") not in VERSIONS:
        raise ValueError("written in a newer format")
    return content


def to_json(value: Json, where: str) -> str:
    """JSON text that :func:`from_json` turns into an equal value; integers may be of any size.

    Raises:
        StoreError: a value has no JSON form, or would come back as another one.
    """
    try:
        return json.dumps(_plain(value, where), sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise StoreError(f"{where} is nested too deeply to be stored as JSON") from None


def from_json(text: str) -> Json:
    """The inverse of :func:`to_json`."""
    return json.loads(text)


def _plain(value: Json, where: str) -> Json:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, dict):
        raise StoreError(f"{where} is a {type(value).__name__}, which has no JSON form")
    for name in value:
        if not isinstance(name, str):
            raise StoreError(f"{where} has the key {name!r}; JSON keys are strings")
    return {name: _plain(item, f"{where}.{name}") for name, item in value.items()}


def _refuse(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code} of {len(data)} bytes")

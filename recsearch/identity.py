"""Canonical JSON, content digests and derived seeds."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np


def canonical_json(value: Any) -> str:
    """Serialise ``value`` so that equal content gives equal text.

    Keys are sorted, whitespace is absent, ``1.0`` is written as ``1`` and numpy scalars as
    Python ones.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value has no JSON form.
    """
    return json.dumps(_normalise(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, 64 hexadecimal characters."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derive_seed(root: int, *purpose: str) -> np.random.SeedSequence:
    """A seed of its own for each purpose, independent of the order in which purposes ask.

    The words of ``purpose`` are hashed, so adding a new use never shifts the seeds of others.
    """
    words = hashlib.sha256("\x1f".join(purpose).encode()).digest()[:16]
    key = [int.from_bytes(words[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.SeedSequence(root, spawn_key=key)


def short(full: str) -> str:
    """The 12 characters of a digest that screens show."""
    return full[:12]


def _normalise(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(k): _normalise(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_normalise(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"not a finite number: {value!r}")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"JSON keys are strings, not {type(key).__name__}: {key!r}")
    return key

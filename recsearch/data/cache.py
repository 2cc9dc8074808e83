"""Ratings that were read once, kept as arrays in the user's cache folder.

A file of the cache is never trusted: it holds the BLAKE3 hash of its own arrays, and one that does
not match is as good as absent. The cache may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import platformdirs
from blake3 import blake3

from recsearch.data.types import Ratings, Source

ARRAYS = ("user_ids", "item_ids", "titles", "users", "items", "values", "times")


def cache_root() -> Path:
    """The user's cache folder of recsearch."""
    return Path(platformdirs.user_cache_dir("recsearch"))


def recall(key: str, source: Source) -> Ratings | None:
    """The ratings stored under ``key``, or None when there are none or the file is damaged.

    Args:
        key: Digest of everything that the arrays depend on.
        source: What the caller knows about their origin; not part of the cache.
    """
    try:
        with _path(key).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        told = arrays.pop("hash").tobytes().decode()
        dataset_id = arrays.pop("dataset_id").tobytes().decode()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if told != _hash(dataset_id, arrays) or not set(arrays) <= set(ARRAYS):
        return None
    return Ratings(source, dataset_id, **{name: arrays.get(name) for name in ARRAYS})  # type: ignore[arg-type]


def remember(key: str, ratings: Ratings) -> None:
    """Store ``ratings`` under ``key``. A cache that cannot be written is no error."""
    arrays = {name: getattr(ratings, name) for name in ARRAYS}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    told = _hash(ratings.dataset_id, arrays)
    extra = {"dataset_id": _text(ratings.dataset_id), "hash": _text(told)}
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, arrays | extra)


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Readers see the old file or the whole new one, never a part of it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".npz", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _path(key: str) -> Path:
    return cache_root() / "parsed" / f"{key}.npz"


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _hash(dataset_id: str, arrays: dict[str, np.ndarray]) -> str:
    hasher = blake3(dataset_id.encode())
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        hasher.update(np.ascontiguousarray(array).view(np.uint8).data)
    return str(hasher.hexdigest())

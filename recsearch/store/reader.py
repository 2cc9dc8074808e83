"""Restoring checkpoints: every byte is checked against its hash before anyone sees it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from recsearch.errors import (
    CheckpointNotFoundError,
    StoreDamagedError,
)
from recsearch.store.backend import Backend
from recsearch.store.codec import RAW, Past, decode, hash_bytes, parse_dtype
from recsearch.store.layout import Layout, ManifestName
from recsearch.store.manifest import Chain, Manifest, TensorEntry, read_manifest
from recsearch.store.pack import Blob, Place, Tables, are_linked
from recsearch.store.patch import ROWS_DELTA, gather, new_rows, parse_patch, scatter

Remake: TypeAlias = Callable[[str, str, np.ndarray], np.ndarray]
"""Computes an array (named by part and name) from the one that it is made from."""


class BlobDamagedError(Exception):
    """A blob that is missing or not what its name says.

    Attributes:
        place: Where it should be.
    """

    def __init__(self, place: Place, cause: str, name: bytes | None = None):
        what = f"blob {name.hex()[:12]}" if name else f"the blob at byte {place.offset}"
        super().__init__(f"{what} in pack {place.pack} {cause}")
        self.place = place


class Source:
    """Reads verified blobs, blocks and tensors from a backend; shared between threads."""

    def __init__(self, backend: Backend, tables: Tables | None = None):
        self.backend = backend
        self.tables = tables or Tables(backend)

    def blob(self, place: Place) -> Blob:
        """What is known of the blob at a place.

        Raises:
            BlobDamagedError: the pack is missing, or its table is damaged or has no such blob.
        """
        try:
            return self.tables.blob(place)
        except FileNotFoundError:
            raise BlobDamagedError(place, "is missing: there is no such pack") from None
        except ValueError as error:
            raise BlobDamagedError(place, f"cannot be found: {error}") from error

    def stored(self, blob: Blob, into: memoryview | None = None) -> memoryview:
        """The stored bytes of a blob, verified; read straight into a buffer if one is given.

        Raises:
            BlobDamagedError: the pack is missing or the bytes do not match their hash.
        """
        name = Layout.pack(blob.place.pack)
        try:
            if into is None:
                data = memoryview(self.backend.get_range(name, blob.place.offset, blob.stored))
                size = len(data)
            else:
                data = into
                size = self.backend.read_into(name, blob.place.offset, into)
        except FileNotFoundError:
            raise BlobDamagedError(
                blob.place, "is missing: there is no such pack", blob.name
            ) from None
        if size != blob.stored or hash_bytes(data) != blob.check:
            raise BlobDamagedError(
                blob.place, "is damaged: its stored bytes do not match their hash", blob.name
            )
        return data

    def block(self, chain: Chain, out: np.ndarray) -> None:
        """Decode a block into ``out`` (uint8, contiguous), verified against its name.

        Raises:
            BlobDamagedError: a blob of the chain is missing or damaged, or the chain is none.
        """
        blobs = [self.blob(place) for place in chain]
        top = blobs[0]
        if not are_linked(blobs) or top.raw != len(out):
            raise BlobDamagedError(top.place, "does not fit the blobs that it is over", top.name)
        if top.codec == RAW:
            self.stored(top, out.data)
            return
        past: Past | None = None
        for blob in reversed(blobs):
            raw = self._decode(blob, past)
            past = Past(raw, past.last if past else None)
        if hash_bytes(raw.data) != top.name:
            raise BlobDamagedError(
                top.place, "is damaged: its raw bytes do not match its name", top.name
            )
        out[:] = raw

    def patches(
        self, entry: TensorEntry, table: np.ndarray, wanted: np.ndarray | None = None
    ) -> None:
        """Apply all patches of a tensor, the oldest first.

        Args:
            entry: The tensor.
            table: Bytes of its rows, shape (rows, row_bytes); changed in place.
            wanted: Sorted numbers of the rows that ``table`` holds, if it does not hold all.

        Raises:
            BlobDamagedError: a patch is missing or damaged.
        """
        since = np.array(entry.since, np.int64)
        for number, place in enumerate(entry.patches):
            blob = self.blob(place)
            dtype = parse_dtype(blob.dtype)
            try:
                ids, rows = parse_patch(
                    self.stored(blob), blob.codec, dtype, table.shape[1], entry.rows
                )
            except ValueError as error:
                raise BlobDamagedError(place, f"is damaged: {error}", blob.name) from error
            if since.max() > number:  # some blocks were written anew after this patch
                keep = since[ids // entry.block_rows] <= number
                ids, rows = ids[keep], rows[keep]
            if wanted is not None:
                at = np.searchsorted(wanted, ids).clip(max=len(wanted) - 1)
                keep = wanted[at] == ids
                ids, rows = at[keep], rows[keep]
            if len(ids) == 0:
                continue
            before = gather(table, ids) if blob.codec == ROWS_DELTA else None
            scatter(table, ids, new_rows(before, rows, dtype))

    def _decode(self, blob: Blob, past: Past | None) -> np.ndarray:
        try:
            dtype = parse_dtype(blob.dtype)
            return decode(self.stored(blob), blob.codec, dtype, blob.raw, past)
        except ValueError as error:
            raise BlobDamagedError(blob.place, f"is damaged: {error}", blob.name) from error


def read_tensor(source: Source, entry: TensorEntry) -> np.ndarray:
    """One array, new and writable, verified.

    Raises:
        BlobDamagedError: a blob is missing or damaged, or they do not make up the array.
    """
    if entry.made_from is not None:
        raise ValueError(f"array {entry.name!r} is not stored")
    array = np.empty(entry.shape, parse_dtype(entry.dtype))
    read_tensors(source, [(entry, array)], threads=1)
    return array


def read_tensors(
    source: Source, wanted: Sequence[tuple[TensorEntry, np.ndarray]], threads: int | None = None
) -> None:
    """Fill arrays with stored tensors, blocks in parallel.

    Args:
        source: Where to read.
        wanted: Each tensor with the C-contiguous array of its dtype and shape to fill.
        threads: How many threads; as many as there are processors by default.

    Raises:
        BlobDamagedError: a blob is missing or damaged.
    """
    blocks = []
    for entry, array in wanted:
        table = as_rows(array)
        for number, chain in enumerate(entry.blocks):
            start = number * entry.block_rows
            blocks.append((chain, table[start : start + entry.block_rows].reshape(-1)))
    patched = [(entry, as_rows(array)) for entry, array in wanted if entry.patches]
    threads = min(threads or os.cpu_count() or 1, max(len(blocks), 1))
    if threads == 1:
        for chain, out in blocks:
            source.block(chain, out)
        for entry, table in patched:
            source.patches(entry, table)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="restore") as pool:
        _finish(pool.submit(source.block, chain, out) for chain, out in blocks)
        _finish(pool.submit(source.patches, entry, table) for entry, table in patched)


def as_rows(array: np.ndarray) -> np.ndarray:
    """The bytes of a C-contiguous array, shape (rows, bytes per row); a view."""
    rows = array.shape[0] if array.ndim else 1
    if not array.nbytes:
        return np.empty((rows, 0), np.uint8)
    return array.reshape(-1).view(np.uint8).reshape(rows, -1)


def _finish(futures: Iterable) -> None:  # type: ignore[type-arg]
    for future in list(futures):
        future.result()


def manifest_names(backend: Backend, key: str) -> list[ManifestName]:
    """The committed manifests of one trial, by epoch; the first of an epoch counts."""
    names = (Layout.parse_manifest(e.name) for e in backend.list(Layout.checkpoints(key)))
    return sorted((n for n in names if n is not None), key=lambda n: (n.epoch, n.ulid))


def first_of_each_epoch(names: Sequence[ManifestName]) -> dict[int, ManifestName]:
    """The manifest that is read for each epoch."""
    return {name.epoch: name for name in reversed(names)}


def nearest_intact(backend: Backend, key: str, epoch: int) -> int | None:
    """The epoch closest to ``epoch`` whose every byte verifies; of two, the earlier."""
    names = first_of_each_epoch(manifest_names(backend, key))
    source = Source(backend)
    for other in sorted(names, key=lambda e: (abs(e - epoch), e)):
        if other != epoch and is_intact(source, names[other]):
            return other
    return None


def is_intact(source: Source, name: ManifestName) -> bool:
    """Whether the checkpoint restores."""
    try:
        for _, tensor in read_manifest(source.backend, name).tensors:
            read_tensor(source, tensor.made_from or tensor)
    except (FileNotFoundError, StoreDamagedError, BlobDamagedError):
        return False
    return True


def advise(nearest: int | None) -> str:
    """The sentence that tells where to go on after damage."""
    if nearest is None:
        return "No other epoch of this trial is intact."
    return f"The nearest intact epoch is {nearest}."


def explain(source: Source, manifest: Manifest, what: str) -> Exception:
    """The error to raise for a checkpoint with a damaged blob."""
    backend = source.backend
    if backend.head(manifest.ref) is None:
        return CheckpointNotFoundError(f"checkpoint {manifest.where} was dropped while it was read")
    nearest = nearest_intact(backend, manifest.key, manifest.epoch)
    return StoreDamagedError(
        f"checkpoint {manifest.where} cannot be restored from {backend.url}: {what}. "
        f"{advise(nearest)}",
        hint="recsearch store verify",
    )

"""Restoring checkpoints: every byte is checked against its hash before anyone sees it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from blake3 import blake3

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError
from recsearch.state import Part
from recsearch.store.backend import Backend
from recsearch.store.codec import RAW, decode, hash_bytes, parse_dtype
from recsearch.store.layout import Layout, ManifestName
from recsearch.store.manifest import Manifest, TensorEntry, read_manifest
from recsearch.store.pack import BlobRef


class BlobDamagedError(Exception):
    """A blob that is missing or not what its name says; names the blob and its pack."""

    def __init__(self, ref: BlobRef, cause: str):
        super().__init__(f"blob {ref.name.hex()[:12]} in pack {ref.pack} {cause}")


def read_blob(backend: Backend, ref: BlobRef) -> memoryview:
    """The raw bytes of one blob, verified.

    Raises:
        BlobDamagedError: the pack is missing, or the bytes do not match their hashes.
    """
    try:
        stored = backend.get_range(Layout.pack(ref.pack), ref.offset, ref.stored)
    except FileNotFoundError:
        raise BlobDamagedError(ref, "is missing: there is no such pack") from None
    if len(stored) != ref.stored or hash_bytes(stored) != ref.check:
        raise BlobDamagedError(ref, "is damaged: its stored bytes do not match their hash")
    try:
        raw = decode(stored, ref.codec, ref.width, ref.raw)
    except ValueError as error:
        raise BlobDamagedError(ref, f"is damaged: {error}") from error
    digest = ref.check if ref.codec == RAW else hash_bytes(raw)
    if len(raw) != ref.raw or digest != ref.name:
        raise BlobDamagedError(ref, "is damaged: its raw bytes do not match its name")
    return raw


def read_tensor(backend: Backend, entry: TensorEntry) -> np.ndarray:
    """One array, new and writable, verified block by block and as a whole.

    Raises:
        BlobDamagedError: a block is missing or damaged, or they do not make up the array.
    """
    array = np.empty(entry.shape, parse_dtype(entry.dtype))
    flat = array.reshape(-1).view(np.uint8) if array.nbytes else np.empty(0, np.uint8)
    hasher = blake3()
    start = 0
    for ref in entry.blobs:
        raw = read_blob(backend, ref)
        if len(entry.blobs) > 1:
            hasher.update(raw)
        flat[start : start + ref.raw] = raw
        start += ref.raw
    digest = entry.blobs[0].name if len(entry.blobs) == 1 else bytes(hasher.digest())
    if digest != entry.hash and entry.blobs:
        raise BlobDamagedError(entry.blobs[0], f"and others do not make up array {entry.name!r}")
    return array


def restore_state(
    backend: Backend, manifest: Manifest, parts: Sequence[str] | None = None
) -> dict[str, Part]:
    """The named parts of a checkpoint, or all of them.

    Raises:
        CheckpointNotFoundError: it has no such part, or was dropped while it was read.
        StoreDamagedError: naming blob, pack, checkpoint and the nearest intact epoch.
    """
    where = f"{manifest.key[:12]}:{manifest.epoch}"
    state = {}
    for name in manifest.parts if parts is None else parts:
        part = manifest.parts.get(name)
        if part is None:
            there = ", ".join(manifest.parts) or "none"
            raise CheckpointNotFoundError(
                f"checkpoint {where} has no part {name!r}; its parts are: {there}"
            )
        try:
            arrays = {t.name: read_tensor(backend, t) for t in part.tensors.values()}
        except BlobDamagedError as error:
            raise _explain(backend, manifest, f"part {name!r}: {error}") from error
        state[name] = Part(arrays, part.values)
    return state


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
    for other in sorted(names, key=lambda e: (abs(e - epoch), e)):
        if other != epoch and is_intact(backend, names[other]):
            return other
    return None


def is_intact(backend: Backend, name: ManifestName) -> bool:
    """Whether the checkpoint restores."""
    try:
        for _, tensor in read_manifest(backend, name).tensors:
            read_tensor(backend, tensor)
    except (FileNotFoundError, StoreDamagedError, BlobDamagedError):
        return False
    return True


def advise(nearest: int | None) -> str:
    """The sentence that tells where to go on after damage."""
    if nearest is None:
        return "No other epoch of this trial is intact."
    return f"The nearest intact epoch is {nearest}."


def _explain(backend: Backend, manifest: Manifest, what: str) -> Exception:
    where = f"{manifest.key[:12]}:{manifest.epoch}"
    if backend.head(manifest.ref) is None:
        return CheckpointNotFoundError(f"checkpoint {where} was dropped while it was read")
    nearest = nearest_intact(backend, manifest.key, manifest.epoch)
    return StoreDamagedError(
        f"checkpoint {where} cannot be restored from {backend.url}: {what}. {advise(nearest)}",
        hint="recsearch store verify",
    )

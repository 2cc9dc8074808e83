"""Saving off the training thread: copy at once; hash, encode and write on one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from blake3 import blake3

from recsearch.errors import StoreError
from recsearch.state import State
from recsearch.store.backend import Backend
from recsearch.store.codec import blocks, check_dtype, element_width, hash_bytes
from recsearch.store.index import BlobIndex
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.lease import Lease, pin
from recsearch.store.manifest import PartEntry, TensorEntry
from recsearch.store.pack import BlobRef, NewBlob, write_pack
from recsearch.store.wire import from_json, to_json

MAX_BYTES_IN_FLIGHT = 512 * 2**20


@dataclass(frozen=True)
class Written:
    """A state whose blobs are all durable.

    Attributes:
        parts: What a manifest says about it.
        lease: Protects its packs until the manifest has appeared.
        stored_bytes: Bytes written for it.
    """

    parts: Mapping[str, PartEntry]
    lease: Lease
    stored_bytes: int


@dataclass(frozen=True)
class _Draft:
    """One array whose blocks have been named."""

    part: str
    constant: bool
    entry: TensorEntry
    blobs: list[NewBlob]


class Saver:
    """Writes states in the order in which they come.

    At most ``max_bytes`` of copied arrays wait to be written; beyond that :meth:`submit` blocks.
    A single larger state is accepted when nothing else waits.
    """

    def __init__(self, backend: Backend, max_bytes: int = MAX_BYTES_IN_FLIGHT):
        self._backend = backend
        self._index = BlobIndex(backend)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-saver")
        self._budget = _Budget(max_bytes)

    def submit(self, state: State) -> tuple[Future[Written], int]:
        """Copy ``state`` and queue it.

        Returns:
            What becomes of it, and the raw bytes of its arrays.

        Raises:
            StoreError: an array or value cannot be stored.
        """
        check_state(state)
        size = sum(a.nbytes for part in state.values() for a in part.tensors.values())
        self._budget.acquire(size)
        try:
            arrays = {
                (name, tensor): np.array(array, order="C", subok=False)
                for name, part in state.items()
                for tensor, array in part.tensors.items()
            }
            values = {
                name: to_json(dict(part.values), f"values of part {name!r}")
                for name, part in state.items()
            }
            constant = frozenset(name for name, part in state.items() if part.constant)
            future = self._executor.submit(self._save, arrays, values, constant)
        except BaseException:
            self._budget.release(size)
            raise
        future.add_done_callback(lambda _: self._budget.release(size))
        return future, size

    def close(self) -> None:
        """Wait for what is queued and end the thread."""
        self._executor.shutdown(wait=True)

    def _save(
        self,
        arrays: dict[tuple[str, str], np.ndarray],
        values: dict[str, str],
        constant: frozenset[str],
    ) -> Written:
        drafts = [
            _draft(part, name, array, constant=part in constant)
            for (part, name), array in arrays.items()
        ]
        self._index.refresh()
        packs = {True: new_ulid(), False: new_ulid()}
        lease, known = self._pin(drafts, set(packs.values()))
        try:
            refs, size = self._write_new(drafts, known, packs)
        except Exception:
            with suppress(StoreError):  # the first failure is the one to report
                self._backend.delete(lease.name)
            raise
        return Written(_entries(drafts, known | refs, values), lease, size)

    def _pin(self, drafts: list[_Draft], new_packs: set[str]) -> tuple[Lease, dict[bytes, BlobRef]]:
        known = {}
        for blob in _all_blobs(drafts):
            ref = self._index.find(blob.name, len(blob.data))
            if ref is not None:
                known[blob.name] = ref
        lease = pin(self._backend, {ref.pack for ref in known.values()} | new_packs)
        gone = {p for p in lease.packs - new_packs if not is_safe(self._backend, p)}
        for ulid in gone:
            self._index.forget(ulid)
        return lease, {n: ref for n, ref in known.items() if ref.pack not in gone}

    def _write_new(
        self, drafts: list[_Draft], known: dict[bytes, BlobRef], packs: Mapping[bool, str]
    ) -> tuple[dict[bytes, BlobRef], int]:
        """Write what is not known yet: constant parts and changing ones into a pack each."""
        written: dict[bytes, BlobRef] = {}
        total = 0
        for constant, pack in packs.items():
            new = {
                blob.name: blob
                for draft in drafts
                if draft.constant is constant
                for blob in draft.blobs
                if blob.name not in known and blob.name not in written
            }
            if new:
                refs, size = write_pack(self._backend, pack, new.values())
                self._index.add(pack, refs)
                written |= {ref.name: ref for ref in refs}
                total += size
        return written, total


def is_safe(backend: Backend, pack: str) -> bool:
    """Whether a pack that a live pin names can be relied upon.

    The order matters: a pack that was swept between the two looks is absent in the second.
    """
    return backend.head(Layout.tomb(pack)) is None and backend.head(Layout.pack(pack)) is not None


def check_state(state: State) -> None:
    """Check that a state can be stored and restored exactly.

    Raises:
        StoreError: naming the part and array that cannot.
    """
    for part_name, part in state.items():
        for name, array in part.tensors.items():
            where = f"array {name!r} of part {part_name!r}"
            if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
                raise StoreError(f"{where} is a {type(array).__name__}, not a plain numpy array")
            check_dtype(array.dtype, where)


class _Budget:
    def __init__(self, limit: int):
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def acquire(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._limit)
            self._used += size

    def release(self, size: int) -> None:
        with self._changed:
            self._used -= size
            self._changed.notify_all()


def _draft(part: str, name: str, array: np.ndarray, *, constant: bool) -> _Draft:
    width = element_width(array.dtype)
    pieces = list(blocks(array))
    blobs = [NewBlob(hash_bytes(piece), piece, width) for piece in pieces]
    digest = blobs[0].name if len(blobs) == 1 else _hash_all(pieces)
    entry = TensorEntry(name, array.dtype.str, array.shape, array.nbytes, digest, ())
    return _Draft(part, constant, entry, blobs)


def _hash_all(pieces: list[memoryview]) -> bytes:
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    return bytes(hasher.digest())


def _all_blobs(drafts: list[_Draft]) -> Iterator[NewBlob]:
    return (blob for draft in drafts for blob in draft.blobs)


def _entries(
    drafts: list[_Draft], refs: dict[bytes, BlobRef], values: dict[str, str]
) -> dict[str, PartEntry]:
    tensors: dict[str, dict[str, TensorEntry]] = {name: {} for name in values}
    for draft in drafts:
        blobs = tuple(refs[blob.name] for blob in draft.blobs)
        tensors[draft.part][draft.entry.name] = replace(draft.entry, blobs=blobs)
    return {name: PartEntry(tensors[name], from_json(text)) for name, text in values.items()}

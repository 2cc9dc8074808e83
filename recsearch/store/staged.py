"""Between stage and commit: a state on its way, and the moment it becomes a checkpoint."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from recsearch.errors import StoreError
from recsearch.state import Json
from recsearch.store.backend import Backend
from recsearch.store.layout import Layout, ManifestName, new_ulid
from recsearch.store.lease import Lease, pin
from recsearch.store.manifest import Manifest, encode_manifest, read_manifest
from recsearch.store.reader import manifest_names
from recsearch.store.saver import Written, is_safe
from recsearch.store.wire import from_json, to_json


@dataclass(frozen=True)
class Saved:
    """A committed checkpoint.

    Attributes:
        ref: Name of its manifest in the store.
        stored_bytes: Bytes written for it, manifest included; 0 if it was there already.
        logical_bytes: Raw bytes of its arrays.
        seconds: How long the commit blocked.
    """

    ref: str
    stored_bytes: int
    logical_bytes: int
    seconds: float


class Staged:
    """A state that is being written in the background. End it with commit or abandon."""

    def __init__(self, backend: Backend, future: Future[Written], logical_bytes: int):
        self._backend = backend
        self._future = future
        self._logical_bytes = logical_bytes
        self._done = False

    def commit(self, key: str, epoch: int, info: dict[str, Json]) -> Saved:
        """Wait until all bytes are durable, then make them a checkpoint.

        Committing an equal state of the same owner (``info["owner"]``) to the same key and epoch
        again changes nothing. After a
        failure to write the manifest the commit may be tried again.

        Args:
            key: Trial key, 64 hexadecimal characters.
            epoch: 1-based.
            info: JSON that is kept beside the arrays and never interpreted, except that
                ``info["retention"] == "all"`` protects the checkpoint from narrower policies.

        Raises:
            StoreError: the state could not be written, or another state is stored there.
        """
        began = time.perf_counter()
        if self._done:
            raise StoreError("this staged state has already been committed or abandoned")
        name = Layout.manifest(key, epoch, new_ulid())
        kept_info = from_json(to_json(dict(info), "info"))
        written = self._future.result()
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        manifest = Manifest(key, epoch, name.ref, created, kept_info, written.parts)
        lease = self._renew(written.lease, manifest)
        try:
            ref, size = self._appear(name, manifest)
        except ConflictError:
            self._end(lease)
            raise
        self._end(lease)
        stored = written.stored_bytes + size if size else 0
        return Saved(ref, stored, self._logical_bytes, time.perf_counter() - began)

    def abandon(self) -> None:
        """Drop the state; what was written for it is garbage for the next collection."""
        if self._done:
            return
        self._done = True
        if not self._future.cancel():
            self._future.add_done_callback(self._unpin)

    def _end(self, lease: Lease) -> None:
        self._done = True
        self._backend.delete(lease.name)

    def _unpin(self, future: Future[Written]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._backend.delete(future.result().lease.name)

    def _renew(self, lease: Lease, manifest: Manifest) -> Lease:
        if lease.fresh:
            return lease
        renewed = pin(self._backend, manifest.packs)
        if all(is_safe(self._backend, pack) for pack in manifest.packs):
            self._backend.delete(lease.name)
            return renewed
        self._end(renewed)
        raise StoreError(
            "the state was staged so long ago that it has been collected as abandoned; "
            "stage it again"
        )

    def _appear(self, name: ManifestName, manifest: Manifest) -> tuple[str, int]:
        earlier = duplicate_of(self._backend, name, manifest)
        if earlier is not None:
            return earlier, 0
        size = self._backend.put_create(name.ref, [encode_manifest(manifest)])
        # Of two writers that commit the same epoch at the same time at least one gets here
        # after both manifests have appeared. Equal ones may both stay: the first is read.
        for other in _others(self._backend, name):
            try:
                _check_equal(self._backend, other, manifest)
            except ConflictError:
                self._backend.delete(name.ref)
                raise
        return name.ref, size


class ConflictError(StoreError):
    """Another state is stored for the same key and epoch."""


def duplicate_of(backend: Backend, name: ManifestName, manifest: Manifest) -> str | None:
    """The manifest that already says the same for the same owner, if there is one.

    Equal content under another owner is no duplicate: each owner drops its own manifest.

    Raises:
        ConflictError: another content is stored for the same key and epoch.
    """
    for other in _others(backend, name):
        stored = _check_equal(backend, other, manifest)
        if stored is not None and stored.info.get("owner") == manifest.info.get("owner"):
            return other.ref
    return None


def _others(backend: Backend, name: ManifestName) -> list[ManifestName]:
    names = manifest_names(backend, name.key)
    return [other for other in names if other.epoch == name.epoch and other.ref != name.ref]


def _check_equal(backend: Backend, other: ManifestName, manifest: Manifest) -> Manifest | None:
    try:
        stored = read_manifest(backend, other)
    except FileNotFoundError:
        return None  # dropped since it was listed
    if stored.content != manifest.content:
        raise ConflictError(
            f"checkpoint {manifest.key[:12]}:{manifest.epoch} in {backend.url} is already stored "
            f"with another content (written {stored.created}); it was left as it is",
            hint=f"recsearch store show {manifest.key[:12]}:{manifest.epoch}",
        )
    return stored

"""Between stage and commit: a state on its way, and the moment it becomes a checkpoint."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from recsearch.errors import StoreError
from recsearch.state import Json
from recsearch.store.content import same_content
from recsearch.store.layout import Layout, ManifestName, new_ulid
from recsearch.store.lease import Hold, pin
from recsearch.store.manifest import Manifest, encode_manifest, read_manifest
from recsearch.store.reader import BlobDamagedError, Source, explain, manifest_names
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

    def __init__(self, source: Source, future: Future[Written], logical_bytes: int):
        self._source = source
        self._backend = source.backend
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
        hold = self._renew(written.hold, manifest)
        try:
            ref, size = appear(self._source, name, manifest)
        except ConflictError:
            self._end(hold)
            raise
        self._end(hold)
        stored = written.stored_bytes + size if size else 0
        return Saved(ref, stored, self._logical_bytes, time.perf_counter() - began)

    def abandon(self) -> None:
        """Drop the state; what was written for it is garbage for the next collection."""
        if self._done:
            return
        self._done = True
        # Never cancelled: the next state of its track may be told as a change of this one.
        self._future.add_done_callback(_release)

    def _end(self, hold: Hold) -> None:
        self._done = True
        hold.release()

    def _renew(self, hold: Hold, manifest: Manifest) -> Hold:
        if hold.lease.fresh:
            return hold
        renewed = Hold(self._backend, pin(self._backend, manifest.packs))
        if all(is_safe(self._backend, pack) for pack in manifest.packs):
            hold.release()
            return renewed
        self._end(renewed)
        raise StoreError(
            "the state was staged so long ago that it has been collected as abandoned; "
            "stage it again"
        )


class ConflictError(StoreError):
    """Another state is stored for the same key and epoch."""


def appear(source: Source, name: ManifestName, manifest: Manifest) -> tuple[str, int]:
    """Write a manifest whose blobs are durable and pinned, unless there is an equal one already.

    Returns:
        The name of the manifest that is there now, and the bytes written; 0 for an earlier one.

    Raises:
        ConflictError: another content is stored for the same key and epoch.
    """
    earlier = duplicate_of(source, name, manifest)
    if earlier is not None:
        return earlier, 0
    size = source.backend.put_create(name.ref, [encode_manifest(manifest)])
    # Of two writers that commit the same epoch at the same time at least one gets here
    # after both manifests have appeared. Equal ones may both stay: the first is read.
    for other in _others(source, name):
        try:
            _check_equal(source, other, manifest)
        except ConflictError:
            source.backend.delete(name.ref)
            raise
    return name.ref, size


def duplicate_of(source: Source, name: ManifestName, manifest: Manifest) -> str | None:
    """The manifest that already says the same for the same owner, if there is one.

    Equal content under another owner is no duplicate: each owner drops its own manifest.

    Raises:
        ConflictError: another content is stored for the same key and epoch.
    """
    for other in _others(source, name):
        stored = _check_equal(source, other, manifest)
        if stored is not None and stored.info.get("owner") == manifest.info.get("owner"):
            return other.ref
    return None


def _others(source: Source, name: ManifestName) -> list[ManifestName]:
    names = manifest_names(source.backend, name.key)
    return [other for other in names if other.epoch == name.epoch and other.ref != name.ref]


def _check_equal(source: Source, other: ManifestName, manifest: Manifest) -> Manifest | None:
    try:
        stored = read_manifest(source.backend, other)
    except FileNotFoundError:
        return None  # dropped since it was listed
    try:
        equal = same_content(source, stored, manifest)
    except BlobDamagedError as error:
        if source.backend.head(other.ref) is None:
            return None  # dropped and collected while it was compared
        raise explain(source, stored, str(error)) from error
    if not equal:
        raise ConflictError(
            f"checkpoint {manifest.where} in {source.backend.url} is already stored "
            f"with another content (written {stored.created}); it was left as it is",
            hint=f"recsearch store show {manifest.where}",
        )
    return stored


def _release(future: Future[Written]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().hold.release()

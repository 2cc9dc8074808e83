"""One more manifest for a checkpoint: another owner keeps it, and no array is copied."""

from __future__ import annotations

from datetime import UTC, datetime

from recsearch.errors import CheckpointNotFoundError
from recsearch.state import Json
from recsearch.store.backend import Backend
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.lease import pin
from recsearch.store.manifest import Manifest, encode_manifest
from recsearch.store.saver import is_safe
from recsearch.store.staged import duplicate_of
from recsearch.store.wire import from_json, to_json


def adopt(backend: Backend, source: Manifest, info: dict[str, Json]) -> str:
    """Commit ``source`` once more with an ``info`` of its own.

    The new manifest keeps the packs alive whatever happens to the old one.

    Returns:
        The manifest's name; that of an earlier one of the same ``info["owner"]`` if there is.

    Raises:
        CheckpointNotFoundError: the checkpoint is being collected.
    """
    name = Layout.manifest(source.key, source.epoch, new_ulid())
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    kept_info = from_json(to_json(dict(info), "info"))
    manifest = Manifest(source.key, source.epoch, name.ref, created, kept_info, source.parts)
    earlier = duplicate_of(backend, name, manifest)
    if earlier is not None:
        return earlier
    lease = pin(backend, manifest.packs)
    try:
        if not all(is_safe(backend, pack) for pack in manifest.packs):
            raise CheckpointNotFoundError(
                f"checkpoint {source.key[:12]}:{source.epoch} in {backend.url} has been dropped "
                "and is being collected",
                hint="recsearch store ls",
            )
        backend.put_create(name.ref, [encode_manifest(manifest)])
    finally:
        backend.delete(lease.name)
    return name.ref

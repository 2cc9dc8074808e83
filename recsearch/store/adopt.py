"""One more manifest for a checkpoint: another owner keeps it, and no array is copied."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from recsearch.errors import CheckpointNotFoundError
from recsearch.state import Json
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.lease import is_kept, pin
from recsearch.store.manifest import Manifest, encode_manifest
from recsearch.store.reader import Source
from recsearch.store.staged import duplicate_of
from recsearch.store.wire import from_json, to_json


def adopt(source: Source, given: Manifest, info: dict[str, Json]) -> str:
    """Commit ``given`` once more with an ``info`` of its own.

    The new manifest keeps the packs alive whatever happens to the old one.

    Returns:
        The manifest's name; that of an earlier one of the same ``info["owner"]`` if there is.

    Raises:
        CheckpointNotFoundError: the checkpoint is being collected.
    """
    backend = source.backend
    name = Layout.manifest(given.key, given.epoch, new_ulid())
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    kept_info = from_json(to_json(dict(info), "info"))
    manifest = replace(given, ref=name.ref, created=created, info=kept_info)
    earlier = duplicate_of(source, name, manifest)
    if earlier is not None:
        return earlier
    lease = pin(backend, manifest.packs)
    try:
        if not is_kept(backend, given.ref, manifest.packs):
            raise CheckpointNotFoundError(
                f"checkpoint {manifest.where} in {backend.url} has been dropped "
                "and is being collected",
                hint="recsearch store ls",
            )
        backend.put_create(name.ref, [encode_manifest(manifest)])
    finally:
        backend.delete(lease.name)
    return name.ref

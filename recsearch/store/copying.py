"""Copies of checkpoints in another store: the stored bytes as they are, then the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.store.index import BlobIndex
from recsearch.store.layout import Layout, ManifestName, new_pack, new_ulid
from recsearch.store.lease import is_kept, pin
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.pack import Blob, Encoded, Place, write_pack
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.reader import BlobDamagedError, Source, explain, manifest_names
from recsearch.store.rewrite import moved
from recsearch.store.saver import is_safe
from recsearch.store.staged import ConflictError, appear
from recsearch.store.wire import to_json


@dataclass(frozen=True)
class Copied:
    """What copying did.

    Attributes:
        copied: Manifests that are new in the other store.
        present: Manifests that it had already.
        stored_bytes: Bytes written.
    """

    copied: int = 0
    present: int = 0
    stored_bytes: int = 0

    def __add__(self, other: Copied) -> Copied:
        return Copied(
            self.copied + other.copied,
            self.present + other.present,
            self.stored_bytes + other.stored_bytes,
        )


def copy(
    source: Source,
    target: Source,
    names: Iterable[ManifestName],
    progress: Callable[[Manifest], None] = lambda _: None,
) -> Copied:
    """Copy manifests, with all that is recorded in them, and the blobs that they need.

    Blobs are verified when they are read, and read back before the manifest appears. What the
    target has is not copied again, so that a copy that was stopped goes on where it was. Every
    owner has a manifest of its own there, too; a pin is one.

    Args:
        source: Where to copy from.
        target: Where to copy to.
        names: The manifests.
        progress: Called before each one.

    Raises:
        ConflictError: the target has another state for the same key and epoch.
        StoreDamagedError: a blob or manifest of the source is damaged.
    """
    index = BlobIndex(target.backend)
    done = Copied()
    for name in names:
        try:
            manifest = read_manifest(source.backend, name)
        except FileNotFoundError:
            continue  # dropped since it was listed
        progress(manifest)
        if _is_there(target, manifest):
            done += Copied(present=1)
        else:
            index.refresh()
            done += _copy_held(source, target, index, manifest)
    return done


def _copy_held(source: Source, target: Source, index: BlobIndex, manifest: Manifest) -> Copied:
    lease = None
    with suppress(StoreError):  # a store that cannot be written cannot be collected from here
        lease = pin(source.backend, manifest.packs)
    try:
        if lease and not is_kept(source.backend, manifest.ref, manifest.packs):
            return Copied()  # dropped since it was read
        return _copy(source, target, index, manifest)
    except BlobDamagedError as error:
        raise explain(source, manifest, str(error)) from error
    finally:
        if lease is not None:
            source.backend.delete(lease.name)


def _copy(source: Source, target: Source, index: BlobIndex, manifest: Manifest) -> Copied:
    backend, pack = target.backend, new_pack()
    blobs = [source.blob(place) for place in sorted(manifest.places)]
    places = {b.place: there for b in blobs if (there := _find(index, b)) is not None}
    lease = pin(backend, {place.pack for place in places.values()} | {pack})
    try:
        for gone in {p.pack for p in places.values() if not is_safe(backend, p.pack)}:
            index.forget(gone)
            places = {old: new for old, new in places.items() if new.pack != gone}
        new = [blob for blob in blobs if blob.place not in places]
        size = 0
        if new:
            written, size = write_pack(backend, pack, _encoded(source, new))
            _read_back(target, written)
            index.add(pack, written)
            places |= {b.place: w.place for b, w in zip(new, written, strict=True)}
        name = Layout.manifest(manifest.key, manifest.epoch, new_ulid())
        copied = replace(manifest, ref=name.ref, parts=moved(manifest.parts, places))
        _, own = appear(target, name, copied)
        return Copied(1 if own else 0, 0 if own else 1, size + own)
    finally:
        backend.delete(lease.name)


def _encoded(source: Source, blobs: Iterable[Blob]) -> Iterator[Encoded]:
    for b in blobs:
        yield Encoded(b.name, b.raw, b.codec, b.dtype, (source.stored(b),), b.over, b.before)


def _find(index: BlobIndex, blob: Blob) -> Place | None:
    """Where the target has the very same blob: same content, stored in the same way."""
    found = index.find(blob.name, blob.raw, patch=blob.codec in PATCH_CODECS)
    return found[0].place if found and found[0].fields() == blob.fields() else None


def _read_back(target: Source, blobs: Iterable[Blob]) -> None:
    target.tables.learn(blobs)
    try:
        for blob in blobs:
            target.stored(blob)
    except BlobDamagedError as error:
        raise StoreDamagedError(
            f"what was copied to {target.backend.url} does not read back as it was written: "
            f"{error}",
            hint="Copy again; what is whole is not copied twice.",
        ) from error


def _is_there(target: Source, manifest: Manifest) -> bool:
    """Whether the target has this epoch of the same owner, going by what needs no reading.

    Raises:
        ConflictError: it has another content.
    """
    owners = set()
    for name in manifest_names(target.backend, manifest.key):
        if name.epoch != manifest.epoch:
            continue
        try:
            stored = read_manifest(target.backend, name)
        except FileNotFoundError:
            continue
        if _facts(stored) != _facts(manifest) or _hashes_differ(stored, manifest):
            raise ConflictError(
                f"checkpoint {manifest.where} in {target.backend.url} has another content; it "
                "was left as it is",
                hint="recsearch store diff compares the two.",
            )
        owners.add(stored.info.get("owner"))
    return manifest.info.get("owner") in owners


def _facts(manifest: Manifest) -> tuple[object, ...]:
    values = {name: dict(part.values) for name, part in manifest.parts.items()}
    return to_json(values, "values"), {(p, t.name, t.dtype, t.shape) for p, t in manifest.tensors}


def _hashes_differ(one: Manifest, other: Manifest) -> bool:
    """Arrays without a hash (with patches), or with other blocks, are taken for equal."""
    for part, tensor in one.tensors:
        twin = other.parts[part].tensors[tensor.name]
        known = None not in (tensor.hash, twin.hash) and tensor.block_rows == twin.block_rows
        if known and tensor.hash != twin.hash:
            return True
    return False

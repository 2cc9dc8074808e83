"""The same checkpoint from other blobs: a new manifest appears, then the old one goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from recsearch.store.layout import Layout, new_ulid
from recsearch.store.lease import is_kept, pin
from recsearch.store.manifest import Manifest, PartEntry, TensorEntry, encode_manifest
from recsearch.store.pack import Place
from recsearch.store.reader import Source
from recsearch.store.saver import is_safe


def moved(parts: Mapping[str, PartEntry], places: Mapping[Place, Place]) -> dict[str, PartEntry]:
    """The parts of a checkpoint with some of their blobs in other places."""

    def move(tensor: TensorEntry) -> TensorEntry:
        blocks = tuple(tuple(places.get(p, p) for p in chain) for chain in tensor.blocks)
        patches = tuple(places.get(p, p) for p in tensor.patches)
        made_from = move(tensor.made_from) if tensor.made_from else None
        return replace(tensor, blocks=blocks, patches=patches, made_from=made_from)

    return {
        name: PartEntry({n: move(t) for n, t in part.tensors.items()}, part.values)
        for name, part in parts.items()
    }


def without(
    manifest: Manifest, part: str, tensor: str, source: TensorEntry
) -> dict[str, PartEntry]:
    """The parts of a checkpoint of which one array is no more stored but computed from another.

    Raises:
        KeyError: there is no such array.
        ValueError: nobody has hashed the array, so that computing it could not be verified.
    """
    entry = manifest.parts[part].tensors[tensor]
    if entry.hash is None:
        raise ValueError(f"array {part}/{tensor} has no hash")
    made = replace(entry, blocks=(), since=(), patches=(), made_from=source)
    tensors = {**manifest.parts[part].tensors, tensor: made}
    return {**manifest.parts, part: replace(manifest.parts[part], tensors=tensors)}


def rewrite(source: Source, old: Manifest, parts: Mapping[str, PartEntry]) -> Manifest:
    """Commit ``parts``, which restore to the same state, in place of ``old``.

    Between the two both are visible, and it does not matter which is read. What only the old one
    needed is garbage afterwards.

    Raises:
        FileNotFoundError: ``old`` has been dropped or is being collected; nothing was changed.
    """
    name = Layout.manifest(old.key, old.epoch, new_ulid())
    new = replace(old, ref=name.ref, parts=parts)
    lease = pin(source.backend, new.packs | old.packs)
    try:
        others = new.packs - old.packs
        safe = all(is_safe(source.backend, pack) for pack in others)
        if not safe or not is_kept(source.backend, old.ref, old.packs):
            raise FileNotFoundError(old.ref)
        source.backend.put_create(name.ref, [encode_manifest(new)])
        # Dropped since: its successor must not bring it back.
        if source.backend.head(old.ref) is None:
            source.backend.delete(name.ref)
            raise FileNotFoundError(old.ref)
        source.backend.delete(old.ref)
    finally:
        source.backend.delete(lease.name)
    return new

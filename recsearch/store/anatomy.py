"""How a checkpoint is stored: which of its bytes are its own, and what it takes to read them."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np

from recsearch.store.catalog import Catalog, packed, unpacked
from recsearch.store.inventory import take_inventory
from recsearch.store.manifest import Manifest
from recsearch.store.pack import Place
from recsearch.store.reader import BlobDamagedError, Source, explain


@dataclass(frozen=True)
class TensorAnatomy:
    """How one array is stored.

    Attributes:
        part: Its part.
        tensor: Its name.
        stored_bytes: Stored bytes of all blobs that it takes to read it.
        own_bytes: Those of them that no other checkpoint needs.
        codecs: How its blobs are encoded.
        depth: Differences to decode one after the other, at most, on top of a whole block.
        patches: Row patches to apply.
    """

    part: str
    tensor: str
    stored_bytes: int
    own_bytes: int
    codecs: tuple[str, ...]
    depth: int
    patches: int


@dataclass(frozen=True)
class Anatomy:
    """How a checkpoint is stored; blobs that several arrays share count once in the sums.

    Attributes:
        stored_bytes: Stored bytes of all its blobs.
        own_bytes: Those of them that no other checkpoint needs.
        tensors: Its arrays.
    """

    stored_bytes: int
    own_bytes: int
    tensors: tuple[TensorAnatomy, ...]


def dissect(source: Source, catalog: Catalog, manifest: Manifest) -> Anatomy:
    """Look at how a checkpoint is stored; no array is read.

    Args:
        source: Where it is.
        catalog: Of the same store.
        manifest: The checkpoint; the manifests of its other owners count as the same one.

    Raises:
        StoreDamagedError: the table of a pack is missing or damaged.
    """
    names = catalog.refresh().values()
    same = {n.ref for n in names if (n.key, n.epoch) == (manifest.key, manifest.epoch)}
    own = {Place(catalog.packs[n], at) for n, at in unpacked(_own_blobs(catalog, same)).tolist()}
    try:
        blobs = {place: source.blob(place) for place in manifest.places}
    except BlobDamagedError as error:
        raise explain(source, manifest, str(error)) from error

    def stored(places: Iterable[Place]) -> int:
        return sum(blobs[place].stored for place in places)

    tensors = []
    for part, entry in manifest.tensors:
        places = set(entry.places)
        codecs = tuple(sorted({blobs[place].codec for place in places}))
        depth = max((len(chain) - 1 for chain in entry.blocks), default=0)
        sizes = stored(places), stored(places & own)
        tensors.append(TensorAnatomy(part, entry.name, *sizes, codecs, depth, len(entry.patches)))
    return Anatomy(stored(blobs), stored(own & blobs.keys()), tuple(tensors))


def freed_by(catalog: Catalog, manifests: Iterable[Manifest]) -> int:
    """Stored bytes that some manifests need and no other one does."""
    catalog.refresh()
    own = _own_blobs(catalog, {manifest.ref for manifest in manifests})
    packs = {catalog.packs[number] for number, _ in unpacked(own).tolist()}
    return int(take_inventory(catalog, packs).sizes(own).sum())


def _own_blobs(catalog: Catalog, chosen: Set[str]) -> np.ndarray:
    """The blobs (see :func:`packed`) that some manifests need and no other one does."""
    mine, others = (
        [_NONE, *(row.places for ref, row in catalog.rows.items() if (ref in chosen) is wanted)]
        for wanted in (True, False)
    )
    return np.setdiff1d(packed(np.concatenate(mine)), packed(np.concatenate(others)))


_NONE = np.empty((0, 2), np.int64)

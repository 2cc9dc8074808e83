"""How many bytes a store holds, for whom, and how many nobody needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from recsearch.store.backend import Backend
from recsearch.store.layout import Layout
from recsearch.store.manifest import read_manifest


@dataclass(frozen=True)
class KeyUsage:
    """One trial's share.

    Attributes:
        checkpoints: Committed checkpoints.
        logical_bytes: Raw bytes of the arrays of all of them.
        stored_bytes: Bytes of the blobs that they refer to, each counted once, and of their
            manifests. A blob shared between trials counts for each of them.
    """

    checkpoints: int
    logical_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class Usage:
    """A whole store.

    Attributes:
        logical_bytes: Raw bytes of the arrays of all checkpoints: what plain files would take.
        stored_bytes: Bytes of packs, indexes and manifests.
        packs: Number of packs.
        checkpoints: Number of committed checkpoints.
        unreferenced_bytes: Bytes of blobs that no checkpoint refers to. A collection frees those
            in packs that nothing refers to.
        keys: Each trial's share.
    """

    logical_bytes: int
    stored_bytes: int
    packs: int
    checkpoints: int
    unreferenced_bytes: int
    keys: Mapping[str, KeyUsage]


@dataclass
class _Share:
    checkpoints: int = 0
    logical: int = 0
    manifests: int = 0
    blobs: dict[tuple[str, int], int] = field(default_factory=dict)


def measure(backend: Backend) -> Usage:
    """Measure a store; reads every manifest and no pack."""
    packs = {e.name: e.size for e in backend.list(Layout.PACKS)}
    indexes = {Layout.ulid_of(e.name): e.size for e in backend.list(Layout.INDEX)}
    shares: defaultdict[str, _Share] = defaultdict(_Share)
    for entry in backend.list(Layout.CHECKPOINTS):
        _count(backend, entry.name, shares)
    referenced = {place: size for share in shares.values() for place, size in share.blobs.items()}
    used: defaultdict[str, int] = defaultdict(int)
    for (pack, _), size in referenced.items():
        used[Layout.pack(pack)] += size
    unreferenced = 0
    for name, size in packs.items():
        # A pack is its blobs and a table; its index is that table.
        table = indexes.get(Layout.ulid_of(name), 0) if name in used else 0
        unreferenced += max(0, size - table - _PACK_FRAME - used[name]) if table else 0
        unreferenced += 0 if name in used else size
    return Usage(
        logical_bytes=sum(share.logical for share in shares.values()),
        stored_bytes=sum(packs.values())
        + sum(indexes.values())
        + sum(share.manifests for share in shares.values()),
        packs=len(packs),
        checkpoints=sum(share.checkpoints for share in shares.values()),
        unreferenced_bytes=unreferenced,
        keys={
            key: KeyUsage(s.checkpoints, s.logical, s.manifests + sum(s.blobs.values()))
            for key, s in sorted(shares.items())
        },
    )


_PACK_FRAME = 16
"""Bytes of a pack's first word and of the length at its end."""


def _count(backend: Backend, ref: str, shares: defaultdict[str, _Share]) -> None:
    name = Layout.parse_manifest(ref)
    if name is None:
        return
    try:
        manifest = read_manifest(backend, name)
    except FileNotFoundError:
        return
    share = shares[name.key]
    share.checkpoints += 1
    share.logical += manifest.logical_bytes
    share.manifests += manifest.size
    share.blobs.update({(ref.pack, ref.offset): ref.stored for ref in manifest.blobs})

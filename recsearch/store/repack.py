"""Packs that are mostly garbage: what lives of them is copied, and the packs may go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from recsearch.errors import StoreDamagedError
from recsearch.store.bulk import Numbers, in_parallel
from recsearch.store.catalog import Catalog, unpacked
from recsearch.store.inventory import Inventory, take_inventory
from recsearch.store.layout import Layout, new_pack
from recsearch.store.lease import pin
from recsearch.store.manifest import read_manifest
from recsearch.store.pack import Blob, Encoded, Place, write_pack
from recsearch.store.reader import BlobDamagedError, Source
from recsearch.store.rewrite import moved, rewrite

PACK_BYTES = 64 * 2**20
"""What is copied is gathered up to this many bytes per pack."""
ROUND = 16
"""After so many packs the manifests are rewritten: no more is lost in a crash or on a full disk."""


@dataclass(frozen=True, eq=False)
class Waste:
    """What is not needed in packs that are.

    Attributes:
        inventory: The blobs of these packs.
        alive: Which of them manifests need.
        live: Stored bytes of those.
        dead: Stored bytes of the others.
    """

    inventory: Inventory
    alive: np.ndarray
    live: int
    dead: int


@dataclass(frozen=True)
class Plan:
    """What to rewrite.

    Attributes:
        batches: The blobs for each new pack.
        packs: ULIDs of the packs that they are in.
        bytes: Stored bytes of the blobs.
        manifests: Names of the manifests that need them.
    """

    batches: tuple[tuple[Place, ...], ...] = ()
    packs: tuple[str, ...] = ()
    bytes: int = 0
    manifests: tuple[str, ...] = ()


def measure_waste(
    catalog: Catalog, packs: Set[str], tick: Callable[[], None] = lambda: None
) -> Waste:
    """Look into those of ``packs`` that manifests need."""
    inventory = take_inventory(catalog, catalog.needed() & packs, tick)
    alive = np.isin(inventory.blobs, catalog.live(), assume_unique=True)
    live = int(inventory.stored[alive].sum())
    return Waste(inventory, alive, live, int(inventory.stored.sum()) - live)


def choose(catalog: Catalog, waste: Waste, max_waste: float, size: int, busy: Set[str]) -> Plan:
    """Plan to rewrite the packs of which the least is alive, until the waste is little.

    Args:
        catalog: What the manifests need.
        waste: What they do not need.
        max_waste: Bytes that are not needed, relative to those that are, to be let be.
        size: Bytes of all packs that are needed.
        busy: Packs that somebody relies upon just now: to copy from them would not free them.
    """
    excess = size - (1 + max_waste) * waste.live
    if excess <= 0 or not waste.dead:
        return Plan()
    inventory, count = waste.inventory, len(catalog.packs)
    numbers = unpacked(inventory.blobs)[:, 0]
    live = np.bincount(numbers, inventory.stored * waste.alive, count)
    dead = np.bincount(numbers, inventory.stored * ~waste.alive, count)
    idle = np.array([ulid not in busy for ulid in catalog.packs], bool)
    worst = np.flatnonzero(idle & (dead > 0))
    worst = worst[np.argsort(live[worst] / dead[worst], kind="stable")]
    worst = worst[: 1 + int(np.searchsorted(np.cumsum(dead[worst]), excess))]
    chosen = np.flatnonzero(waste.alive & np.isin(numbers, worst))
    fates, manifests = _fates(catalog, inventory.blobs[chosen])
    order = np.argsort(fates, kind="stable")
    moves = inventory.rows["stored"][chosen[order]], inventory.blobs[chosen[order]], fates[order]
    return Plan(
        batches=tuple(_batches(catalog.packs, *moves)),
        packs=tuple(sorted(catalog.packs[n] for n in worst.tolist())),
        bytes=int(moves[0].sum()),
        manifests=tuple(manifests),
    )


def repack(source: Source, plan: Plan, check: Callable[[], None]) -> tuple[int, dict[str, str]]:
    """Copy blobs as they are stored, verified, and let the manifests refer to the copies.

    What they were copied from is garbage then, for the collection to find.

    Args:
        source: Where to read.
        plan: What to copy. What is damaged, or gone by now, is left out.
        check: Assures that this process may still collect.

    Returns:
        The bytes written, and the names of manifests with those of their successors.
    """
    written, names = 0, {ref: ref for ref in plan.manifests}
    for start in range(0, len(plan.batches), ROUND):
        places: dict[Place, Place] = {}
        batches = {new_pack(): batch for batch in plan.batches[start : start + ROUND]}
        lease = pin(source.backend, batches)
        try:
            for ulid, batch in batches.items():
                size, copies = _copy(source, ulid, batch, check)
                written += size
                places |= copies
            refs = list(names)
            done = in_parallel(lambda ref: _rewrite(source, names[ref], places), refs, check)  # noqa: B023
            names |= {ref: new for ref, new in zip(refs, done, strict=True) if new is not None}
        finally:
            source.backend.delete(lease.name)
    return written, {old: new for old, new in names.items() if old != new}


def _fates(catalog: Catalog, blobs: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """What becomes garbage together: what one trial needs, or (number 0) what several need.

    Returns:
        A number for each of the ``blobs``, which are in order, and the manifests that need them.
    """
    needed, row = catalog.places()
    refs, keys = list(catalog.rows), Numbers()
    key = np.array([keys.of(ref.split("/")[2]) for ref in refs])
    mine = np.isin(needed, blobs)
    pairs = np.unique(np.searchsorted(blobs, needed[mine]) * len(keys) + key[row[mine]])
    _, first, trials = np.unique(pairs // len(keys), return_index=True, return_counts=True)
    fates = np.where(trials > 1, 0, 1 + pairs[first] % len(keys))
    return fates, sorted(refs[n] for n in np.unique(row[mine]).tolist())


def _batches(
    packs: Sequence[str], stored: np.ndarray, blobs: np.ndarray, fates: np.ndarray
) -> Iterator[tuple[Place, ...]]:
    batch: list[Place] = []
    size, shared = 0, True
    rows = zip(unpacked(blobs).tolist(), stored.tolist(), (fates == 0).tolist(), strict=True)
    for (number, offset), length, several in rows:
        if batch and (size + length > PACK_BYTES or several != shared):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(Place(packs[number], offset))
        size, shared = size + length, several
    if batch:
        yield tuple(batch)


def _copy(
    source: Source, ulid: str, batch: Sequence[Place], check: Callable[[], None]
) -> tuple[int, dict[Place, Place]]:
    """Write a pack of what is intact of a batch; copies of one blob become one."""
    left = list(batch)
    while left:
        try:
            blobs = {place: source.blob(place) for place in left}
            found = {tuple(blob.fields()): blob for blob in blobs.values()}
            copies, size = write_pack(
                source.backend, ulid, _encoded(source, [*found.values()], check)
            )
        except BlobDamagedError as error:
            left.remove(error.place)
            continue
        new = dict(zip(found, (copy.place for copy in copies), strict=True))
        return size, {place: new[tuple(blob.fields())] for place, blob in blobs.items()}
    return 0, {}


def _encoded(source: Source, blobs: Sequence[Blob], check: Callable[[], None]) -> Iterator[Encoded]:
    # All of a pack may be read ahead: it is not large.
    for b, data in zip(blobs, in_parallel(source.stored, blobs, check), strict=True):
        yield Encoded(b.name, b.raw, b.codec, b.dtype, (data,), b.over, b.before)


def _rewrite(source: Source, ref: str, places: Mapping[Place, Place]) -> str | None:
    """The name of the manifest that has taken the place of ``ref``, if one has."""
    name = Layout.parse_manifest(ref)
    try:
        manifest = read_manifest(source.backend, name) if name else None
        if manifest is None or manifest.places.isdisjoint(places):
            return None
        return rewrite(source, manifest, moved(manifest.parts, places)).ref
    except (FileNotFoundError, StoreDamagedError):
        return None  # dropped since, or for verify to report

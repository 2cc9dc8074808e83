"""Collection: delete the packs that no checkpoint needs, and never one that any does.

The order carries the proof (docs/store-format.md). A pack is marked with a tombstone, and only
then are pins read, and only then manifests. A writer pins a pack before it looks for tombstones and
unpins it after its manifest has appeared. So either the writer sees the tombstone and does not use
the pack, or the collector sees the pin or the manifest and does not delete it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from recsearch.errors import StoreDamagedError
from recsearch.store.bulk import in_parallel
from recsearch.store.catalog import Catalog, epoch_of, labels_of
from recsearch.store.content import same_content
from recsearch.store.layout import Layout
from recsearch.store.lease import Ownership, pinned_packs
from recsearch.store.manifest import read_manifest
from recsearch.store.reader import BlobDamagedError, Source
from recsearch.store.repack import Plan, Waste, choose, measure_waste, repack

MAX_INDEX_FILES = 64
"""More files of single packs in the index than this are merged into one."""
PARTIAL_S = 60.0
"""A file in ``tmp/`` is not touched before this age, whatever the grace: it may be in use."""


@dataclass(frozen=True)
class Collected:
    """What a collection did, or with ``dry_run`` would have done.

    Attributes:
        dry_run: Whether nothing was changed.
        packs: All packs at the beginning.
        unreferenced_packs: Packs that no checkpoint and no writer needs, if need be after
            rewriting.
        unreferenced_bytes: Their size.
        garbage: Their ULIDs.
        tombstoned: Packs newly marked for deletion.
        swept_packs: Packs deleted, having been marked for at least the grace period.
        swept_bytes: Their size.
        swept: Their ULIDs.
        waiting_packs: Packs that stay marked until the grace period is over.
        pinned_packs: Unreferenced packs that an unfinished checkpoint may still use.
        partial_files: Abandoned unfinished files removed.
        indexes_rebuilt: Packs whose index was missing and has been written anew.
        twins: Manifests removed of which there was an equal one: moving blobs had been cut off.
        repacked: ULIDs of packs of which the live blobs were copied to others.
        repacked_bytes: Bytes copied.
        rewritten: The checkpoints that refer to the copies now, as key (12 characters) and epoch.
        live_bytes: Stored bytes of all blobs that checkpoints need.
        dead_bytes: Stored bytes of other blobs in packs that checkpoints need, before.
    """

    dry_run: bool
    packs: int
    unreferenced_packs: int
    unreferenced_bytes: int
    garbage: tuple[str, ...]
    tombstoned: int
    swept_packs: int
    swept_bytes: int
    swept: tuple[str, ...]
    waiting_packs: int
    pinned_packs: int
    partial_files: int
    indexes_rebuilt: int
    twins: int
    repacked: tuple[str, ...]
    repacked_bytes: int
    rewritten: tuple[str, ...]
    live_bytes: int
    dead_bytes: int


@dataclass(frozen=True)
class _Needed:
    """The packs that live pins name, and those that manifests do."""

    pinned: set[str]
    referenced: set[str]

    def __contains__(self, ulid: str) -> bool:
        return ulid in self.pinned or ulid in self.referenced


class Collector:
    """One collection.

    Args:
        source: The store.
        catalog: What is known of its manifests.
        grace_s: Seconds for which a marked pack is left for readers that began before.
        dry_run: Look, but change nothing.
        max_waste: Bytes of packs that are not needed, relative to those that are, to be let be.
    """

    def __init__(
        self, source: Source, catalog: Catalog, grace_s: float, *, dry_run: bool, max_waste: float
    ):
        self._source = source
        self._backend = source.backend
        self._catalog = catalog
        self._grace_s = grace_s
        self._dry_run = dry_run
        self._max_waste = max_waste
        self._check: Callable[[], None] = lambda: None
        self._garbage: dict[str, int] = {}
        self._new: set[str] = set()
        self._swept: set[str] = set()
        self._twins = 0

    def run(self) -> Collected:
        """Mark, tombstone, sweep; then repack, and once more the same.

        What is garbage goes first: a full disk has no room for copies.

        Raises:
            StoreError: another process is collecting.
            StoreDamagedError: a manifest or lease is unreadable, so that what it needs is
                unknown. Nothing is deleted then.
        """
        if self._dry_run:
            return self._foresee()
        owner = Ownership(self._backend)
        self._check = owner.check
        try:
            packs = self._packs()
            needed = self._free(packs)
            left = {ulid: size for ulid, size in packs.items() if ulid not in self._swept}
            waste, plan = self._plan(left, needed)
            rebuilt = self._catalog.index.save(left.keys(), MAX_INDEX_FILES)
            self._catalog.save()
            partial = self._remove_partial()
            written, moved = repack(self._source, plan, owner.check)
            if moved:
                self._free(self._packs())
        finally:
            owner.release()
        self._source.tables.forget(self._swept)
        counts = {"partial_files": partial, "indexes_rebuilt": rebuilt, "twins": self._twins}
        return self._report(packs, needed, waste, plan.packs, written, moved, counts)

    def _foresee(self) -> Collected:
        packs, needed = self._packs(), self._look()
        waste, plan = self._plan(packs, needed)
        made, now = self._tombs(), time.time()
        idle = {ulid for ulid in packs if ulid not in needed}.union(plan.packs)
        self._garbage = {ulid: packs[ulid] for ulid in idle}
        self._new = idle - made.keys()
        self._swept = {ulid for ulid in idle if made.get(ulid, now) <= now - self._grace_s}
        counts = {"partial_files": 0, "indexes_rebuilt": 0, "twins": 0}
        return self._report(packs, needed, waste, plan.packs, plan.bytes, plan.manifests, counts)

    def _free(self, packs: dict[str, int]) -> _Needed:
        """Mark what is garbage, and delete what has been marked for long enough."""
        needed = self._look()
        twins = self._find_twins()
        if twins:
            self._each(self._backend.delete, twins)
            self._twins += len(twins)
            needed = self._look()
        made = self._tombs()
        new = {ulid for ulid in packs if ulid not in needed} - made.keys()
        self._each(self._mark, new)
        self._new |= new
        limit = time.time() - self._grace_s
        if new:
            made = self._tombs()
        if made:
            # Looked at again: a writer may have pinned or committed a pack after the first look
            # and before its tombstone.
            needed = self._look()
            self._each(self._unmark, (ulid for ulid in made if ulid in needed))
            due = sorted(u for u in made if u not in needed and made[u] <= limit)
            swept = in_parallel(lambda ulid: self._sweep(ulid, limit), due, self._check)
            self._swept |= {ulid for ulid, gone in zip(due, swept, strict=True) if gone}
        self._garbage |= {ulid: size for ulid, size in packs.items() if ulid not in needed}
        return needed

    def _look(self) -> _Needed:
        pinned = pinned_packs(self._backend)
        self._catalog.refresh(self._check)
        for error in self._catalog.damaged.values():
            raise error
        return _Needed(pinned, self._catalog.needed())

    def _packs(self) -> dict[str, int]:
        found = ((Layout.parse_pack(e.name), e.size) for e in self._backend.list(Layout.PACKS))
        return {ulid: size for ulid, size in found if ulid is not None}

    def _tombs(self) -> dict[str, float]:
        entries = self._backend.list(Layout.TOMBS)
        tombs = {Layout.ulid_of(e.name): e.modified for e in entries}
        return {ulid: made for ulid, made in tombs.items() if ulid is not None}

    def _each(self, action: Callable[[str], None], items: Iterable[str]) -> None:
        for _ in in_parallel(action, sorted(items), self._check):
            pass

    def _mark(self, ulid: str) -> None:
        # Not synced: whoever collects after a crash marks it again.
        with suppress(FileExistsError):  # a listing that lags behind does not show it
            self._backend.put_create(Layout.tomb(ulid), [], durable=False)

    def _unmark(self, ulid: str) -> None:
        self._backend.delete(Layout.tomb(ulid))

    def _sweep(self, ulid: str, limit: float) -> bool:
        # A listing that lags behind shows tombstones that have been made anew since.
        tomb = self._backend.head(Layout.tomb(ulid))
        if tomb is None or tomb.modified > limit:
            return False
        for name in (Layout.index(ulid), Layout.pack(ulid), Layout.tomb(ulid)):
            self._backend.delete(name)
        return True

    def _find_twins(self) -> list[str]:
        """Manifests of which the same owner has an equal one: moving blobs was cut off."""
        labels = labels_of(self._catalog.rows.values())
        first: dict[tuple[str, str], str] = {}
        pairs = []
        for ref in sorted(self._catalog.rows):
            owner = labels[self._catalog.rows[ref].label].get("owner", "")
            one = first.setdefault((epoch_of(ref), owner), ref)
            if one != ref:
                pairs.append((one, ref))
        # Whoever is moving blobs pins them until only one is left: read after both were listed,
        # and before it is seen that both are still there.
        pinned = pinned_packs(self._backend) if pairs else set()
        return [two for one, two in pairs if self._are_equal(one, two, pinned)]

    def _are_equal(self, one: str, two: str, pinned: set[str]) -> bool:
        names = [name for ref in (one, two) if (name := Layout.parse_manifest(ref)) is not None]
        try:
            first, second = (read_manifest(self._backend, name) for name in names)
            busy = (first.packs | second.packs) & pinned
            return not busy and same_content(self._source, first, second)
        except (FileNotFoundError, StoreDamagedError, BlobDamagedError):
            return False

    def _plan(self, packs: dict[str, int], needed: _Needed) -> tuple[Waste, Plan]:
        waste = measure_waste(self._catalog, packs.keys(), self._check)
        size = sum(packs.get(ulid, 0) for ulid in needed.referenced)
        return waste, choose(self._catalog, waste, self._max_waste, size, needed.pinned)

    def _remove_partial(self) -> int:
        limit = time.time() - max(self._grace_s, PARTIAL_S)
        old = [e.name for e in self._backend.list(Layout.PARTIAL) if e.modified < limit]
        self._each(self._backend.delete, old)
        return len(old)

    def _report(
        self,
        packs: dict[str, int],
        needed: _Needed,
        waste: Waste,
        repacked: tuple[str, ...],
        copied: int,
        rewritten: Iterable[str],
        counts: dict[str, int],
    ) -> Collected:
        swept = self._swept & self._garbage.keys()
        names = (Layout.parse_manifest(ref) for ref in rewritten)
        return Collected(
            dry_run=self._dry_run,
            packs=len(packs),
            unreferenced_packs=len(self._garbage),
            unreferenced_bytes=sum(self._garbage.values()),
            garbage=tuple(sorted(self._garbage)),
            tombstoned=len(self._new),
            swept_packs=len(swept),
            swept_bytes=sum(self._garbage[ulid] for ulid in swept),
            swept=tuple(sorted(swept)),
            waiting_packs=len(self._garbage) - len(swept),
            pinned_packs=len((needed.pinned - needed.referenced) & packs.keys()),
            repacked=repacked,
            repacked_bytes=copied,
            rewritten=tuple(sorted({f"{n.key[:12]}:{n.epoch}" for n in names if n is not None})),
            live_bytes=waste.live,
            dead_bytes=waste.dead,
            **counts,
        )

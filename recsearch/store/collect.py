"""Collection: delete the packs that no checkpoint needs, and never one that any does.

The order carries the proof (docs/store-format.md). A pack is marked with a tombstone, and only
then are pins read, and only then manifests. A writer pins a pack before it looks for tombstones and
unpins it after its manifest has appeared. So either the writer sees the tombstone and does not use
the pack, or the collector sees the pin or the manifest and does not delete it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from recsearch.store.backend import Backend, Entry
from recsearch.store.layout import Layout
from recsearch.store.lease import Ownership, pinned_packs
from recsearch.store.manifest import read_manifest
from recsearch.store.pack import rebuild_index

PARTIAL_S = 60.0
"""A file in ``tmp/`` is not touched before this age, whatever the grace: it may be in use."""


@dataclass(frozen=True)
class Collected:
    """What a collection did, or with ``dry_run`` would have done.

    Attributes:
        dry_run: Whether nothing was changed.
        packs: All packs at the beginning.
        unreferenced_packs: Packs that no checkpoint and no writer needs.
        unreferenced_bytes: Their size.
        tombstoned: Packs newly marked for deletion.
        swept_packs: Packs deleted, having been marked for at least the grace period.
        swept_bytes: Their size.
        waiting_packs: Packs that stay marked until the grace period is over.
        pinned_packs: Unreferenced packs that an unfinished checkpoint may still use.
        partial_files: Abandoned unfinished files removed.
        indexes_rebuilt: Packs whose index was missing and has been written anew.
    """

    dry_run: bool
    packs: int
    unreferenced_packs: int
    unreferenced_bytes: int
    tombstoned: int
    swept_packs: int
    swept_bytes: int
    waiting_packs: int
    pinned_packs: int
    partial_files: int
    indexes_rebuilt: int


@dataclass
class _Marks:
    """The packs and what needs them."""

    packs: dict[str, Entry] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    referenced: set[str] = field(default_factory=set)

    @property
    def garbage(self) -> set[str]:
        return self.packs.keys() - self.pinned - self.referenced


class Collector:
    """One collection.

    Args:
        backend: Where the store is.
        grace_s: Seconds for which a marked pack is left for readers that began before.
        dry_run: Look, but change nothing.
    """

    def __init__(self, backend: Backend, grace_s: float, *, dry_run: bool):
        self._backend = backend
        self._grace_s = grace_s
        self._dry_run = dry_run
        self._known: dict[str, set[str]] = {}

    def run(self) -> Collected:
        """Mark, tombstone, sweep.

        Raises:
            StoreError: another process is collecting.
            StoreDamagedError: a manifest or lease is unreadable, so that what it needs is
                unknown. Nothing is deleted then.
        """
        if self._dry_run:
            marks = self._mark(None)
            due = [u for u in self._due() if u in marks.garbage]
            return self._report(marks, set(marks.garbage), due, 0, 0)
        owner = Ownership(self._backend)
        try:
            marks = self._mark(owner)
            new = self._tombstone(marks, owner)
            rebuilt = self._rebuild_indexes(marks)
            swept = self._sweep(owner)
            partial = self._remove_partial(owner)
        finally:
            owner.release()
        return self._report(marks, new, swept, partial, rebuilt)

    def _mark(self, owner: Ownership | None) -> _Marks:
        marks = _Marks()
        for entry in self._backend.list(Layout.PACKS):
            ulid = Layout.ulid_of(entry.name)
            if ulid is not None and entry.name == Layout.pack(ulid):
                marks.packs[ulid] = entry
        marks.pinned = pinned_packs(self._backend)
        for entry in self._backend.list(Layout.CHECKPOINTS):
            marks.referenced |= self._packs_of(entry.name)
            if owner is not None:
                owner.check()
        return marks

    def _packs_of(self, ref: str) -> set[str]:
        name = Layout.parse_manifest(ref)
        if name is None:
            return set()
        if ref not in self._known:
            try:
                self._known[ref] = read_manifest(self._backend, name).packs
            except FileNotFoundError:
                return set()
        return self._known[ref]

    def _tombs(self) -> dict[str, float]:
        entries = self._backend.list(Layout.TOMBS)
        tombs = {Layout.ulid_of(e.name): e.modified for e in entries}
        return {ulid: made for ulid, made in tombs.items() if ulid is not None}

    def _due(self) -> list[str]:
        limit = time.time() - self._grace_s
        return sorted(u for u, made in self._tombs().items() if made <= limit)

    def _tombstone(self, marks: _Marks, owner: Ownership) -> set[str]:
        tombs = self._tombs()
        new = set(marks.garbage) - tombs.keys()
        for ulid in sorted(new):
            owner.check()
            self._backend.put_create(Layout.tomb(ulid), [])
        for ulid in sorted(tombs.keys() & (marks.pinned | marks.referenced)):
            owner.check()
            self._backend.delete(Layout.tomb(ulid))
        return new

    def _sweep(self, owner: Ownership) -> list[Entry]:
        due = self._due()
        if not due:
            return []
        # Looked at again although marked before: a writer may have pinned or committed a pack
        # after the first look and before its tombstone.
        marks = self._mark(owner)
        swept = []
        for ulid in due:
            if ulid in marks.pinned or ulid in marks.referenced:
                continue
            owner.check()
            self._backend.delete(Layout.index(ulid))
            self._backend.delete(Layout.pack(ulid))
            self._backend.delete(Layout.tomb(ulid))
            if ulid in marks.packs:
                swept.append(marks.packs[ulid])
        return swept

    def _rebuild_indexes(self, marks: _Marks) -> int:
        indexed = {Layout.ulid_of(e.name) for e in self._backend.list(Layout.INDEX) if e.size}
        rebuilt = 0
        for ulid in sorted((marks.referenced & marks.packs.keys()) - indexed):
            try:
                rebuild_index(self._backend, ulid)
            except (ValueError, FileNotFoundError):
                continue  # a damaged pack is for verify to report
            rebuilt += 1
        return rebuilt

    def _remove_partial(self, owner: Ownership) -> int:
        limit = time.time() - max(self._grace_s, PARTIAL_S)
        old = [e.name for e in self._backend.list(Layout.PARTIAL) if e.modified < limit]
        for name in old:
            owner.check()
            self._backend.delete(name)
        return len(old)

    def _report(
        self,
        marks: _Marks,
        new: set[str],
        swept: list[Entry] | list[str],
        partial: int,
        rebuilt: int,
    ) -> Collected:
        gone = [e if isinstance(e, Entry) else marks.packs[e] for e in swept]
        garbage = marks.garbage
        return Collected(
            dry_run=self._dry_run,
            packs=len(marks.packs),
            unreferenced_packs=len(garbage),
            unreferenced_bytes=sum(marks.packs[u].size for u in garbage),
            tombstoned=len(new),
            swept_packs=len(gone),
            swept_bytes=sum(e.size for e in gone),
            waiting_packs=max(0, len(garbage) - len(gone)),
            pinned_packs=len((marks.pinned - marks.referenced) & marks.packs.keys()),
            partial_files=partial,
            indexes_rebuilt=rebuilt,
        )

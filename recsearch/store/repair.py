"""Repair: intact copies take the place of what is damaged, and the rest is set aside.

Nothing that restores is ever at risk. Blobs are copied into new packs, then manifests that refer
to these appear and the old ones go, and only packs that no manifest and no pin names any more
move to ``lost/``: found out as a collection does, by a tombstone first, then pins, then manifests.
After a crash anywhere the next repair does what is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.store.backend import Backend
from recsearch.store.catalog import Catalog
from recsearch.store.hints import unreadable_leases
from recsearch.store.layout import Layout, ManifestName, new_pack
from recsearch.store.lease import Ownership, pin, pinned_packs
from recsearch.store.manifest import Chain, Manifest, PartEntry, TensorEntry, read_manifest
from recsearch.store.pack import Encoded, Place, rebuild_index, write_pack
from recsearch.store.quarantine import set_aside
from recsearch.store.reader import BlobDamagedError
from recsearch.store.rewrite import rewrite
from recsearch.store.salvage import BeyondRepairError, Make, Salvage
from recsearch.store.survey import Survey
from recsearch.store.verify import Hit, Neighbours


@dataclass(frozen=True)
class RepairReport:
    """What a repair did, or with ``dry_run`` would have done.

    Attributes:
        dry_run: Whether nothing was changed.
        hints: Damaged or lost files of index and catalog, deleted and written anew.
        blobs: Blobs copied, or made anew from intact ones.
        bytes_written: Bytes written for them; 0 with ``dry_run``.
        moved: Manifests that refer to those blobs now.
        repaired: Key and epoch of each checkpoint that did not restore and now does.
        lost: The checkpoints that do not restore and cannot be repaired.
        quarantined: Names of what was set aside under ``lost/``.
        waiting: Damaged packs that stay because a checkpoint or an unfinished one has come to
            need them; the next repair looks again.
        leases: Leases that cannot be read and were left; nothing can be collected until they go.
    """

    dry_run: bool
    hints: tuple[str, ...]
    blobs: int
    bytes_written: int
    moved: int
    repaired: tuple[tuple[str, int], ...]
    lost: tuple[Hit, ...]
    quarantined: tuple[str, ...]
    waiting: tuple[str, ...]
    leases: tuple[str, ...]


class Repair:
    """One repair.

    Args:
        backend: Where the store is.
        dry_run: Look, but change nothing.
        leases: Set aside leases that cannot be read, although live processes may hold them.
    """

    def __init__(self, backend: Backend, *, dry_run: bool, leases: bool):
        self._backend = backend
        self._dry_run = dry_run
        self._leases = leases
        self._makes: defaultdict[str, dict[Chain, Make]] = defaultdict(dict)
        self._fixes: list[Manifest] = []
        self._lost: list[ManifestName] = []
        self._aside: list[str] = []
        self._seen: set[str] = set()

    def run(self) -> RepairReport:
        """Look at everything, and mend what can be mended.

        Raises:
            StoreError: a collection or another repair is at work, or something cannot be read for
                another reason than damage. Nothing was changed then.
        """
        leases = list(unreadable_leases(self._backend))
        if self._leases:
            for name in leases:
                self._set_aside(name, None)
            leases.clear()
        owner = None if self._dry_run else Ownership(self._backend)
        try:
            return replace(self._repair(owner), leases=tuple(leases))
        except (BlobDamagedError, BeyondRepairError) as error:
            raise StoreDamagedError(
                f"more of {self._backend.url} was damaged while it was being repaired: {error}",
                hint="recsearch store repair",
            ) from error
        finally:
            if owner is not None:
                owner.release()

    def _repair(self, owner: Ownership | None) -> RepairReport:
        survey = Survey(self._backend, "restore", tick=owner.check if owner else lambda: None)
        survey.run()
        for kind, what in survey.problems:
            if kind == "unreadable":
                raise StoreError(f"{self._backend.url} cannot be repaired while {what}")
        sick = survey.broken.keys() | {place.pack for place in survey.bad}
        self._plan(survey, sick)
        unindexed = (survey.used & survey.tables.keys()) - sick - survey.hints.indexed
        hints = sorted({Layout.index(ulid) for ulid in unindexed} | survey.hints.stale.keys())
        size, waiting = 0, set[str]()
        if owner is not None:
            self._rebuild(survey, hints, owner)
            size = self._write(survey, owner)
        for name in self._lost:
            self._set_aside(name.ref, owner)
        if owner is None:
            self._move_packs(sorted(sick), None)
        else:
            waiting = self._retire(sick, owner)
        fixed = {manifest.ref for manifest in self._fixes}
        mended = {(n.key, n.epoch) for n in survey.damaged if n.ref in fixed}
        return RepairReport(
            dry_run=self._dry_run,
            hints=tuple(hints),
            blobs=sum(map(len, self._makes.values())),
            bytes_written=size,
            moved=len(fixed),
            repaired=tuple(sorted(mended)),
            lost=Neighbours(survey.names, set(self._lost)).hits(self._lost),
            quarantined=tuple(self._aside),
            waiting=tuple(sorted(waiting)),
            leases=(),
        )

    def _plan(self, survey: Survey, sick: Set[str]) -> None:
        salvage, damaged = Salvage(survey, sick), survey.damaged
        for name in survey.names if sick else damaged:
            makes: dict[Chain, Make] = {}
            try:
                manifest = read_manifest(self._backend, name)
                if name not in damaged and not manifest.packs & sick:
                    self._seen.add(name.ref)
                    continue
                makes = salvage.needs(manifest)
            except FileNotFoundError:
                continue  # dropped since
            except (StoreDamagedError, BeyondRepairError):
                pass
            if not makes:
                self._lost.append(name)
                continue
            self._fixes.append(manifest)
            for chain, make in makes.items():
                self._makes[chain[0].pack].setdefault(chain, make)

    def _write(self, survey: Survey, owner: Ownership) -> int:
        """Write a pack for each whose blobs are needed, then manifests that refer to these."""
        ulids = {pack: new_pack() for pack in self._makes}
        places: dict[Chain, Place] = {}
        written = 0
        lease = pin(self._backend, ulids.values())
        try:
            for pack, makes in self._makes.items():
                blobs, size = write_pack(self._backend, ulids[pack], _made(makes, owner))
                places |= zip(makes, (blob.place for blob in blobs), strict=True)
                written += size
            self._unmark({pack for manifest in self._fixes for pack in manifest.packs}, owner)
            for manifest in self._fixes:
                owner.check()
                with suppress(FileNotFoundError):  # dropped or being collected
                    rewrite(survey.source, manifest, _replaced(manifest.parts, places))
        finally:
            self._backend.delete(lease.name)
        return written

    def _unmark(self, packs: Set[str], owner: Ownership) -> None:
        # Left by a repair that did not end: nobody may rely on a marked pack, not even to move.
        for entry in list(self._backend.list(Layout.TOMBS)):
            if Layout.ulid_of(entry.name) in packs:
                owner.check()
                self._backend.delete(entry.name)

    def _retire(self, sick: Set[str], owner: Ownership) -> set[str]:
        """Set aside the packs that nothing needs; returns those that something does."""
        idle = sorted(sick - self._needed(sick))
        for ulid in idle:
            owner.check()
            with suppress(FileExistsError):
                self._backend.put_create(Layout.tomb(ulid), [])
        # Once more: from now on nobody comes to rely on them who does not by now.
        needed = self._needed(sick)
        self._move_packs([ulid for ulid in idle if ulid not in needed], owner)
        self._unmark(sick, owner)
        return needed

    def _move_packs(self, ulids: Iterable[str], owner: Ownership | None) -> None:
        for ulid in ulids:
            self._set_aside(Layout.index(ulid), owner)
            self._set_aside(Layout.pack(ulid), owner)

    def _needed(self, sick: Set[str]) -> set[str]:
        if not sick:
            return set()
        # As in a collection: a pin that has gone when they are read left a manifest.
        try:
            needed = pinned_packs(self._backend)
            for entry in self._backend.list(Layout.CHECKPOINTS):
                name = Layout.parse_manifest(entry.name)
                if name is not None and name.ref not in self._seen:
                    with suppress(FileNotFoundError):
                        needed |= read_manifest(self._backend, name).packs
        except StoreDamagedError:
            return set(sick)
        return needed & sick

    def _rebuild(self, survey: Survey, hints: Iterable[str], owner: Ownership) -> None:
        for name in hints:
            owner.check()
            self._backend.delete(name)
            ulid = str(Layout.ulid_of(name))
            if name == Layout.index(ulid) and ulid in survey.tables:
                with suppress(FileNotFoundError, FileExistsError, ValueError):  # swept since
                    rebuild_index(self._backend, ulid)
        if any(name.startswith(Layout.CATALOG) for name in hints):
            catalog = Catalog(self._backend)
            catalog.refresh()
            catalog.save()

    def _set_aside(self, name: str, owner: Ownership | None) -> None:
        if owner is not None:
            owner.check()
        self._aside += set_aside(self._backend, name, dry_run=self._dry_run)


def _made(makes: Mapping[Chain, Make], owner: Ownership) -> Iterator[Encoded]:
    for make in makes.values():
        owner.check()
        yield make()


def _replaced(
    parts: Mapping[str, PartEntry], places: Mapping[Chain, Place]
) -> dict[str, PartEntry]:
    def of(chain: Chain) -> Chain:
        if chain in places:
            return (places[chain],)
        return tuple(places.get((place,), place) for place in chain)

    def move(tensor: TensorEntry) -> TensorEntry:
        blocks = tuple(of(chain) for chain in tensor.blocks)
        patches = tuple(of((place,))[0] for place in tensor.patches)
        made_from = move(tensor.made_from) if tensor.made_from else None
        return replace(tensor, blocks=blocks, patches=patches, made_from=made_from)

    return {
        name: PartEntry({n: move(t) for n, t in part.tensors.items()}, part.values)
        for name, part in parts.items()
    }

"""One look at everything that a store holds: what is there, and what of it is damaged."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal, TypeAlias

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.store.backend import Backend
from recsearch.store.codec import hash_bytes
from recsearch.store.hints import Hints, unreadable_leases
from recsearch.store.layout import Layout, ManifestName
from recsearch.store.manifest import Manifest, TensorEntry, read_manifest, root_hash
from recsearch.store.pack import Blob, Place, are_linked, read_table
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.reader import BlobDamagedError, Source, read_tensor

Level: TypeAlias = Literal["structure", "data", "restore"]
Kind: TypeAlias = Literal["manifest", "pack", "blob", "index", "lease", "unreadable"]
Fault: TypeAlias = tuple[Kind, str]
"""What is damaged, and how."""

RUN_BYTES = 4 * 2**20
"""Neighbouring blobs are read together up to this size."""
_BATCH = 256


class Survey:
    """One look at everything that a store holds.

    Args:
        backend: Where the store is.
        level: How thorough to be.
        sample: Share of the blobs to read at level ``data``.
        seed: Which ones.
        tick: Called every few seconds at least.

    Attributes:
        tables: The blobs of each pack by offset. Where the pack is missing or its own table
            damaged they come from its copy in the index, if that is intact.
        broken: Such packs, and what is wrong with them.
        bad: Blobs that are damaged or missing, and how.
        hints: What is wrong with index and catalog.
        names: The manifests that were there.
        used: Packs that they refer to.
        problems: What is damaged, with the manifests that it hits.
        bytes_read: Stored bytes compared with their hashes.
    """

    def __init__(
        self,
        backend: Backend,
        level: Level,
        sample: float = 1.0,
        seed: int = 0,
        tick: Callable[[], None] = lambda: None,
    ):
        self.source = Source(backend)
        self.tables: dict[str, Mapping[int, Blob]] = {}
        self.broken: dict[str, Fault] = {}
        self.bad: dict[Place, Fault] = {}
        self.hints = Hints(backend, tick)
        self.names: list[ManifestName] = []
        self.used: set[str] = set()
        self.problems: defaultdict[Fault, set[ManifestName]] = defaultdict(set)
        self.bytes_read = 0
        self._backend = backend
        self._level = level
        self._sample = sample
        self._seed = seed
        self._tick = tick
        self._decoded: set[bytes] = set()
        self._buffers = threading.local()

    @property
    def damaged(self) -> set[ManifestName]:
        """The manifests that do not restore."""
        return {name for names in self.problems.values() for name in names}

    def run(self) -> None:
        """Look at packs, then at manifests: what these refer to was there before them."""
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1), "verify") as pool:
            self._read_packs(pool)
            self.hints.read_index(pool, self.tables)
            self._take_copies()
            self.hints.read_catalogs()
            self._tick()
            if self._level != "structure":
                self._read_blobs(pool)
            names = (Layout.parse_manifest(e.name) for e in self._backend.list(Layout.CHECKPOINTS))
            found = iter([name for name in names if name is not None])
            while batch := list(islice(found, _BATCH)):
                self._check_manifests(pool, batch)
                self._tick()
        for name, cause in self.hints.stale.items():
            self.problems["index", f"{name} is damaged: {cause}"] |= set()
        for name, cause in unreadable_leases(self._backend).items():
            self.problems["lease", f"{name} cannot be read: {cause}"] |= set()

    def intact(self, place: Place) -> Blob | None:
        """The blob at a place, if its stored bytes are what they were."""
        return None if place in self.bad else self.tables.get(place.pack, {}).get(place.offset)

    def name_of(self, place: Place) -> bytes | None:
        """What was at a place, intact or not."""
        blob = self.tables.get(place.pack, {}).get(place.offset)
        return blob.name if blob is not None else None

    def faults(self, entry: TensorEntry) -> set[Fault]:
        """What keeps a tensor from being restored, as far as is known."""
        found = {fault for place in entry.places if (fault := self._fault(place)) is not None}
        if not found and not self._fits(entry.made_from or entry):
            found.add(("manifest", f"array {entry.name!r} does not fit its blobs"))
        return found

    def _fault(self, place: Place) -> Fault | None:
        if place.pack not in self.tables and place.pack not in self.broken:
            self._learn(place.pack, self._read_table(place.pack))  # written since the look at packs
        if place.pack in self.broken:
            return self.broken[place.pack]
        if place.pack not in self.tables:
            return _missing(place.pack)
        if place.offset not in self.tables[place.pack]:
            return "blob", f"pack {place.pack} holds no blob at {place.offset}"
        return self.bad.get(place)

    def _fits(self, entry: TensorEntry) -> bool:
        row = entry.nbytes // max(1, entry.rows)
        blobs = []
        for number, chain in enumerate(entry.blocks):
            rows = min(entry.block_rows, entry.rows - number * entry.block_rows)
            behind = [self.tables[place.pack][place.offset] for place in chain]
            blobs.append(behind[0])
            if {blob.raw for blob in behind} != {rows * row} or not are_linked(behind):
                return False
        patches = (self.tables[place.pack][place.offset] for place in entry.patches)
        return all(patch.codec in PATCH_CODECS for patch in patches) and (
            entry.hash is None or entry.hash == root_hash([blob.name for blob in blobs])
        )

    def _read_packs(self, pool: ThreadPoolExecutor) -> None:
        names = [(Layout.ulid_of(e.name), e.name) for e in self._backend.list(Layout.PACKS)]
        ulids = [ulid for ulid, name in names if ulid is not None and name == Layout.pack(ulid)]
        for ulid, found in zip(ulids, pool.map(self._read_table, ulids), strict=True):
            self._learn(ulid, found)
            self._tick()

    def _read_table(self, ulid: str) -> list[Blob] | Fault | None:
        try:
            return read_table(self._backend, ulid)
        except FileNotFoundError:
            return None
        except (ValueError, StoreError) as error:
            return kind_of(error, "pack"), f"the table of pack {ulid} is damaged: {error}"

    def _learn(self, ulid: str, found: list[Blob] | Fault | None) -> None:
        if isinstance(found, list):
            self.tables[ulid] = {blob.place.offset: blob for blob in found}
            self.source.tables.learn(found)
        elif found is not None:
            self.broken[ulid] = found
            self.problems[found] |= set()

    def _take_copies(self) -> None:
        """Where a pack's own table is not to be had, that from the index tells what was there."""
        for ulid, table in self.hints.copies.items():
            if ulid not in self.broken:
                if self._backend.head(Layout.pack(ulid)) is not None:
                    continue  # written since the look at packs
                self._learn(ulid, _missing(ulid))
                self.bad |= {blob.place: _missing(ulid) for blob in table.values()}
            self.tables[ulid] = table

    def _read_blobs(self, pool: ThreadPoolExecutor) -> None:
        runs = [run for table in self.tables.values() for run in self._runs(table)]
        for run, found in zip(runs, pool.map(self._read_run, runs), strict=True):
            self._tick()
            pack = run[0].place.pack
            if found is None:
                if pack not in self.broken:
                    self.tables.pop(pack, None)  # swept since the look at packs
                continue
            self.bytes_read += sum(blob.stored for blob in run)
            for place, fault in found.items():
                self.bad[place] = fault
                self.problems[fault] |= set()

    def _runs(self, table: Mapping[int, Blob]) -> Iterator[list[Blob]]:
        run: list[Blob] = []
        size = 0
        for offset in sorted(table):
            blob = table[offset]
            if not self._chosen(blob.name):
                continue
            adjacent = bool(run) and run[0].place.offset + size == offset
            if run and (not adjacent or size + blob.stored > RUN_BYTES):
                yield run
                run, size = [], 0
            run.append(blob)
            size += blob.stored
        if run:
            yield run

    def _chosen(self, name: bytes) -> bool:
        if self._sample == 1:
            return True
        drawn = hash_bytes(b"%d " % self._seed, name)
        return int.from_bytes(drawn[:8], "little") < self._sample * 2**64

    def _read_run(self, run: list[Blob]) -> dict[Place, Fault] | None:
        first, last = run[0].place, run[-1]
        name, size = Layout.pack(first.pack), last.place.offset + last.stored - first.offset
        data = self._buffer(size)
        try:
            read = self._backend.read_into(name, first.offset, data)
        except FileNotFoundError:
            return None
        except StoreError as error:
            return {blob.place: ("unreadable", error.message) for blob in run}
        found: dict[Place, Fault] = {}
        for blob in run:
            start = blob.place.offset - first.offset
            if hash_bytes(data[start : min(read, start + blob.stored)]) != blob.check:
                what = f"blob {blob.name.hex()[:12]} at byte {blob.place.offset} of {name}"
                found[blob.place] = "blob", f"{what} is damaged: its bytes do not match their hash"
        return found

    def _buffer(self, size: int) -> memoryview:
        # One per thread: fresh memory for every run costs as much as the hash.
        buffer: bytearray | None = getattr(self._buffers, "bytes", None)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers.bytes = bytearray(max(size, RUN_BYTES))
        return memoryview(buffer)[:size]

    def _check_manifests(self, pool: ThreadPoolExecutor, batch: list[ManifestName]) -> None:
        found = dict(zip(batch, pool.map(self._read_manifest, batch), strict=True))
        manifests = {name: it for name, it in found.items() if isinstance(it, Manifest)}
        if self._level == "restore":
            self._decode(pool, [entry for m in manifests.values() for _, entry in m.tensors])
        self.hints.compare(manifests.values())
        for name, it in found.items():
            faults = {it} if isinstance(it, tuple) else set()
            if name in manifests:
                faults = {f for _, e in manifests[name].tensors for f in self.faults(e)}
            if it is None or (faults and self._backend.head(name.ref) is None):
                continue  # dropped since
            self.names.append(name)
            for fault in faults:
                self.problems[fault].add(name)
        self.used |= {pack for manifest in manifests.values() for pack in manifest.packs}

    def _read_manifest(self, name: ManifestName) -> Manifest | Fault | None:
        try:
            return read_manifest(self._backend, name)
        except FileNotFoundError:
            return None
        except StoreError as error:
            return kind_of(error, "manifest"), error.message

    def _decode(self, pool: ThreadPoolExecutor, entries: Iterable[TensorEntry]) -> None:
        """Read each tensor that no manifest before has had."""
        whole = (entry.made_from or entry for entry in entries if not self.faults(entry))
        found = {hash_bytes(repr(entry).encode()): entry for entry in whole}
        new = {key: entry for key, entry in found.items() if key not in self._decoded}
        for error in pool.map(self._try, new.values()):
            self._tick()
            if error is not None:
                self.bad[error.place] = "blob", str(error)
        self._decoded |= new.keys()

    def _try(self, entry: TensorEntry) -> BlobDamagedError | None:
        try:
            read_tensor(self.source, entry)
        except BlobDamagedError as error:
            return error
        return None


def _missing(pack: str) -> Fault:
    return "pack", f"pack {pack} is missing"


def kind_of(error: Exception, damaged: Kind) -> Kind:
    """What a failure to read something means for it."""
    failed = isinstance(error, StoreError) and not isinstance(error, StoreDamagedError)
    # Bytes that match their hash but are not understood are as they were written.
    return "unreadable" if failed or "newer format" in str(error) else damaged

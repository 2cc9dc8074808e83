"""Writing states off the training thread: name, look up, pin, encode and write on one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from recsearch.errors import StoreError
from recsearch.state import Json
from recsearch.store.backend import Backend
from recsearch.store.codec import DIFFERENCES, hash_bytes
from recsearch.store.draft import Draft, Rows, Wanted, Whole
from recsearch.store.index import BlobIndex
from recsearch.store.layout import Layout, new_pack
from recsearch.store.lease import Hold, Lease, pin
from recsearch.store.manifest import PartEntry, TensorEntry
from recsearch.store.pack import Blob, Encoded, Place, write_pack
from recsearch.store.reader import BlobDamagedError, Source
from recsearch.store.series import Series

MAX_BYTES_IN_FLIGHT = 512 * 2**20
_HASHERS = 2

Tensor = tuple[str, str]
"""Names of a part and of an array in it."""


@dataclass(frozen=True)
class Copied:
    """A state as it was handed over: arrays or changed rows, values, and what stays the same."""

    given: Mapping[Tensor, tuple[TensorEntry, np.dtype, Whole | Rows]]
    values: Mapping[str, Json]
    constant: frozenset[str]


@dataclass(frozen=True)
class Written:
    """A state whose blobs are all durable.

    Attributes:
        parts: What a manifest says about it.
        hold: Protects its packs until the manifest has appeared.
        stored_bytes: Bytes written for it.
    """

    parts: Mapping[str, PartEntry]
    hold: Hold
    stored_bytes: int


@dataclass
class Memory:
    """What one trainer's checkpoints have in common; only the saver thread touches it.

    Attributes:
        small: Whether to look for the smallest encoding of what changes.
        whole: Parts of which no array is stored as a difference; None for all.
        rho: See :class:`~recsearch.store.series.Series`.
        recycle: Takes the bytes of states that are not needed any more.
        series: The tensors.
        hold: Protects the packs of the last checkpoint, so that the next may refer to them.
        lost: A state could not be written: what later ones are changes of is unknown.
        behind: Bytes written since the last checkpoint, to be told with the next.
    """

    small: bool
    whole: frozenset[str] | None
    rho: float
    recycle: Callable[[np.ndarray], None]
    series: dict[Tensor, Series]
    hold: Hold | None = None
    lost: bool = False
    behind: int = 0

    def may_differ(self, part: str) -> bool:
        """Whether arrays of a part may be stored as differences."""
        return self.whole is not None and part not in self.whole

    def release(self) -> None:
        """Give up the last checkpoint."""
        if self.hold is not None:
            self.hold.release()
            self.hold = None

    def forget(self) -> None:
        """Give up the last state, too."""
        self.series.clear()
        self.release()

    def reset(self) -> None:
        """Store everything anew next time."""
        for series in self.series.values():
            series.reset()


class Saver:
    """Writes states in the order in which they come.

    At most ``max_bytes`` of copied arrays wait to be written; beyond that :meth:`reserve` blocks.
    A single larger state is accepted when nothing else waits.
    """

    def __init__(self, source: Source, max_bytes: int = MAX_BYTES_IN_FLIGHT):
        self._source = source
        self._backend = source.backend
        self._index = BlobIndex(self._backend)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-saver")
        self._hashers = ThreadPoolExecutor(_HASHERS, thread_name_prefix="checkpoint-hasher")
        self._budget = _Budget(max_bytes)
        self._trusted: set[Place] = set()

    def submit(
        self, memory: Memory, copy: Callable[[], Copied], size: int, *, last: bool
    ) -> Future[Written]:
        """Copy a state of ``size`` bytes when there is room for it, and queue it.

        Args:
            memory: The trainer's.
            copy: Makes the copy.
            size: Bytes that it takes.
            last: Whether ``memory`` ends with it.
        """
        self._budget.acquire(size)
        try:
            future = self._thread.submit(self._save, memory, copy(), last)
        except BaseException:
            self._budget.release(size)
            raise
        future.add_done_callback(lambda _: self._budget.release(size))
        return future

    def run(self, task: Callable[[], None]) -> Future[None]:
        """Queue another task that concerns a :class:`Memory`."""
        return self._thread.submit(task)

    def distrust(self) -> None:
        """Read all blobs once more before a checkpoint is built on them: some are damaged."""
        self._thread.submit(self._distrust).result()

    def close(self) -> None:
        """Wait for what is queued and end the threads."""
        self._thread.shutdown(wait=True)
        self._hashers.shutdown(wait=True)

    def _distrust(self) -> None:
        self._source.tables.forget({place.pack for place in self._trusted})
        self._trusted.clear()

    def _save(self, memory: Memory, copied: Copied, last: bool) -> Written:
        # While it is fresh no collection ignores it before the next pin is there.
        if memory.hold is not None and not memory.hold.lease.fresh:
            memory.reset()
        try:
            written = self._write(memory, copied, holders=1 if last else 2)
        except BaseException:
            memory.series.clear()
            memory.lost = True
            raise
        memory.release()
        if not last:
            memory.hold = written.hold
            with suppress(RuntimeError):  # closing: nothing comes after this checkpoint
                self._thread.submit(self.rebase, memory)
        return written

    def _write(self, memory: Memory, copied: Copied, holders: int) -> Written:
        for name in memory.series.keys() - copied.given.keys():
            del memory.series[name]  # nothing protects what is not in the last checkpoint
        drafts = {name: self._advance(memory, copied, name) for name in copied.given}
        wanted = {(w.name, w.patch): w for draft in drafts.values() for w in draft.wanted}
        self._index.refresh()
        packs = {True: new_pack(), False: new_pack()}
        stays = {place.pack for draft in drafts.values() for place in draft.places}
        lease, found = self._pin(wanted, stays, set(packs.values()))
        try:
            size = 0
            for constant, pack in packs.items():
                new = {
                    key: wanted[key]
                    for name, draft in drafts.items()
                    if (name[0] in copied.constant) is constant
                    for key in ((w.name, w.patch) for w in draft.wanted)
                    if key not in found
                }
                more, written = self._write_pack(pack, new)
                found |= more
                size += written
        except BaseException:
            with suppress(StoreError):  # the first failure is the one to report
                self._backend.delete(lease.name)
            raise
        parts = _entries(memory, drafts, found, copied.values)
        size, memory.behind = size + memory.behind, 0
        return Written(parts, Hold(self._backend, lease, holders), size)

    def rebase(self, memory: Memory) -> None:
        """Write blocks anew behind a checkpoint, for the next one to refer to."""
        if memory.hold is None:
            return  # closed, or failed since
        drafts = {name: series.rebase() for name, series in memory.series.items()}
        due = {name: draft for name, draft in drafts.items() if draft is not None}
        if not due:
            return
        pack = new_pack()
        wanted = {(w.name, w.patch): w for draft in due.values() for w in draft.wanted}
        hold = Hold(self._backend, pin(self._backend, memory.hold.lease.packs | {pack}))
        try:
            found, size = self._write_pack(pack, wanted)
        except BaseException:
            hold.release()
            raise  # nobody waits for this: the blocks stay as they are
        for name, draft in due.items():
            memory.series[name].settle(draft, found)
        memory.release()
        memory.hold = hold
        memory.behind += size

    def _advance(self, memory: Memory, copied: Copied, name: Tensor) -> Draft:
        entry, dtype, given = copied.given[name]
        series = memory.series.get(name)
        if isinstance(given, Rows):
            if series is None:
                raise StoreError("the state before this one could not be written; stage it again")
        elif series is None or not series.fits(entry):
            series = memory.series[name] = Series(
                entry,
                dtype,
                small=memory.small or name[0] in copied.constant,
                differences=memory.may_differ(name[0]),
                rho=memory.rho,
                hasher=self.hash,
                recycle=memory.recycle,
            )
        return series.advance(given)

    def hash(self, blocks: Sequence[np.ndarray]) -> list[bytes]:
        """BLAKE3-256 of each block."""
        if len(blocks) < _HASHERS:
            return [hash_bytes(block.data) for block in blocks]
        return list(self._hashers.map(lambda block: hash_bytes(block.data), blocks))

    def _pin(
        self, wanted: Mapping[tuple[bytes, bool], Wanted], stays: set[str], new: set[str]
    ) -> tuple[Lease, dict[tuple[bytes, bool], tuple[Blob, ...]]]:
        """Protect all packs that the checkpoint will refer to, and see which may be relied upon."""
        found = {}
        for key, item in wanted.items():
            chain = self._index.find(item.name, item.raw, patch=item.patch)
            if chain is not None:
                found[key] = chain
        packs = {blob.place.pack for chain in found.values() for blob in chain}
        lease = pin(self._backend, packs | stays | new)
        # Those that stay are protected without a gap by the hold of the checkpoint before.
        gone = {pack for pack in packs - stays if not is_safe(self._backend, pack)}
        for ulid in gone:
            self._index.forget(ulid)
        safe = {k: c for k, c in found.items() if not gone & {blob.place.pack for blob in c}}
        intact = self._hashers.map(self._is_intact, safe.values())
        return lease, {key: safe[key] for key, kept in zip(safe, intact, strict=True) if kept}

    def _is_intact(self, chain: Sequence[Blob]) -> bool:
        """Read blobs that another checkpoint has left, each once.

        Otherwise one damaged blob would get into every later checkpoint that holds the same.
        """
        new = [blob for blob in chain if blob.place not in self._trusted]
        try:
            for blob in new:
                if self._source.blob(blob.place) != blob:
                    return False
                self._source.stored(blob)
        except (BlobDamagedError, StoreError):
            return False
        self._trusted.update(blob.place for blob in new)
        return True

    def _write_pack(
        self, pack: str, new: Mapping[tuple[bytes, bool], Wanted]
    ) -> tuple[dict[tuple[bytes, bool], tuple[Blob, ...]], int]:
        if not new:
            return {}, 0
        blobs, size = write_pack(self._backend, pack, _encoded(new.values()))
        self._index.add(pack, blobs)
        self._source.tables.learn(blobs)
        self._trusted.update(blob.place for blob in blobs)
        known = {}
        for (key, item), blob in zip(new.items(), blobs, strict=True):
            behind = tuple(self._source.blob(p) for p in item.behind) if blob.over else ()
            known[key] = (blob, *behind)
        return known, size


def is_safe(backend: Backend, pack: str) -> bool:
    """Whether a pack that a live pin names can be relied upon.

    The order matters: a pack that was swept between the two looks is absent in the second.
    """
    return backend.head(Layout.tomb(pack)) is None and backend.head(Layout.pack(pack)) is not None


class _Budget:
    def __init__(self, limit: int):
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def acquire(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._limit)
            self._used += size

    def release(self, size: int) -> None:
        with self._changed:
            self._used -= size
            self._changed.notify_all()


def _encoded(wanted: Iterable[Wanted]) -> Iterator[Encoded]:
    for item in wanted:
        codec, dtype, data = item.encode()
        behind = (item.over, item.before)[: DIFFERENCES.get(codec, 0)]
        yield Encoded(item.name, item.raw, codec, dtype, data, *behind)


def _entries(
    memory: Memory,
    drafts: Mapping[Tensor, Draft],
    found: Mapping[tuple[bytes, bool], tuple[Blob, ...]],
    values: Mapping[str, Json],
) -> dict[str, PartEntry]:
    tensors: dict[str, dict[str, TensorEntry]] = {name: {} for name in values}
    for (part, name), draft in drafts.items():
        tensors[part][name] = memory.series[part, name].settle(draft, found)
    return {name: PartEntry(tensors[name], values[name]) for name in values}

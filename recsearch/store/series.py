"""One tensor through successive checkpoints: what of it must be written, and what stays."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from recsearch.errors import StoreError
from recsearch.store.changes import changed_rows, unequal_rows
from recsearch.store.codec import RAW, Past, element_dtype, encode_small, hash_bytes
from recsearch.store.draft import Draft, Rows, Wanted, Whole
from recsearch.store.manifest import Chain, TensorEntry, block_rows, root_hash
from recsearch.store.pack import Blob, Place
from recsearch.store.patch import ID_BYTES, encode_patch, gather, scatter

MAX_CHAIN = 12
"""Differences on top of a whole block; restoring decodes all of them."""
MAX_PATCHES = 512
"""Patches of one tensor; restoring reads all of them."""


Hasher: TypeAlias = Callable[[Sequence[np.ndarray]], list[bytes]]
Found: TypeAlias = Mapping[tuple[bytes, bool], tuple[Blob, ...]]


class Series:
    """The last state of one tensor, and how it is stored. Belongs to one thread.

    A block of which half or more changed is written anew; other changed rows go into a patch of
    the whole tensor. For every ``rho`` bytes of patches one byte of the blocks is rewritten, those
    first that have waited longest: so a patch is needed for about ``rho`` times the tensor's bytes
    of later patches, whatever share of the rows changes at a time.

    Args:
        entry: The tensor as it is stored; its ``blocks`` are empty before the first checkpoint.
        small: Whether to look for the smallest encoding, or to store bytes as they are.
        differences: Whether a block may be stored as a difference to the one before.
        rho: Bytes of patches to read in restoring, relative to the tensor's.
        hasher: Gives the hashes of blocks.
        recycle: Takes the bytes of states that are not needed any more.
    """

    def __init__(
        self,
        entry: TensorEntry,
        dtype: np.dtype,
        *,
        small: bool,
        differences: bool,
        rho: float,
        hasher: Hasher,
        recycle: Callable[[np.ndarray], None],
    ):
        self.entry = entry
        self.table = np.empty((0, 0), np.uint8)
        self._dtype = element_dtype(dtype)
        self._small = small
        self._differences = differences
        self._rho = rho
        self._hash = hasher
        self._recycle = recycle
        self._before: np.ndarray | None = None
        self._spare: np.ndarray | None = None
        self._names: list[bytes] = []
        self._overs: list[bytes] = []
        self._held: list[bytes] = []
        self._held_before: list[bytes] = []
        # Tensors of one size would otherwise all be rewritten in the same checkpoints.
        self._credit = -self._span_bytes() * (zlib.crc32(entry.name.encode()) % 256 / 256)

    def resume(self, table: np.ndarray, tops: Sequence[Blob], patches: Sequence[Blob]) -> None:
        """Go on from a stored checkpoint.

        Args:
            table: What :attr:`entry` restores to.
            tops: The blob of each block.
            patches: The blobs of its patches.
        """
        self.table = table
        self._names, self._overs = [b.name for b in tops], [b.over for b in tops]
        # What the patches have earned, less what has been written anew since the oldest.
        rows = sum(blob.raw for blob in patches) // (table.shape[1] + ID_BYTES)
        self._credit += rows * table.shape[1] / self._rho
        self._credit -= np.count_nonzero(self._since()) * self._span_bytes()

    def fits(self, entry: TensorEntry) -> bool:
        """Whether ``entry`` is of the same dtype and shape."""
        return (self.entry.dtype, self.entry.shape) == (entry.dtype, entry.shape)

    def reset(self) -> None:
        """What was about to be stored is not: the next checkpoint writes everything."""
        entry = self.entry
        self.entry = TensorEntry(entry.name, entry.dtype, entry.shape, None, entry.block_rows, ())
        self._before = None

    def advance(self, given: Whole | Rows) -> Draft:
        """Take over the next state and say what of it must be written.

        Raises:
            StoreError: rows have changed that were not among the touched ones.
        """
        if self._spare is not None:
            self._recycle(self._spare)
            self._spare = None
        old = self.table
        # What each block of the old table is, if it is a blob without patches on top.
        dirty = self._since() < len(self.entry.patches)
        self._held = [b"" if d else name for d, name in zip(dirty, self._names, strict=False)]
        if isinstance(given, Rows):
            patch = self._take_rows(given)
            dense = self._mostly(patch[0])
        else:
            self.table = given.table
            dense, ids = self._compare(old)
            patch = (ids, gather(given.table, ids), gather(old, ids))
        if not self.entry.blocks:
            dense[:] = True
        last = old if isinstance(given, Whole) and len(old) else None
        draft = self._draft(dense, patch, last)
        self._keep(last)
        return draft

    def rebase(self) -> Draft | None:
        """The same state with some blocks to be written anew, if any are due.

        Only what comes later gets shorter: to be done when a checkpoint has been written, and not
        to be waited for.
        """
        patches, since, size = list(self.entry.patches), self._since(), self._span_bytes()
        dirty = since < len(patches)
        anew = np.zeros(len(since), bool)
        waiting = sorted((since[n], n) for n in np.flatnonzero(dirty))
        # So many at once that one at a time is enough for all the others to be in time.
        ages = (len(patches) - begun + turn for turn, (begun, _) in enumerate(waiting))
        late = max(ages, default=0) + 1 - MAX_PATCHES
        for turn, (_, number) in enumerate(waiting):
            if self._credit < size and turn >= late:
                break
            anew[number] = True
            self._credit = max(0.0, self._credit - size)
        return self._assemble(anew, dirty, list(patches), since) if anew.any() else None

    def settle(self, draft: Draft, found: Found) -> TensorEntry:
        """The stored tensor, once all that was wanted has a place."""
        blocks: list[Chain] = []
        names, overs = list(self._names), list(self._overs)
        for number, item in enumerate(draft.blocks):
            if not isinstance(item, Wanted):
                blocks.append(item)
                continue
            chain = found[item.name, False]
            blocks.append(tuple(blob.place for blob in chain))
            names[number : number + 1] = [item.name]
            overs[number : number + 1] = [chain[0].over]
        patches = [
            found[item.name, True][0].place if isinstance(item, Wanted) else item
            for item in draft.patches
        ]
        self._names, self._overs = names, overs
        entry = self.entry
        self.entry = TensorEntry(
            entry.name,
            entry.dtype,
            entry.shape,
            None if patches else root_hash(names),
            entry.block_rows,
            tuple(blocks),
            tuple(draft.since),
            tuple(patches),
        )
        return self.entry

    def _spans(self) -> list[slice]:
        step, rows = self.entry.block_rows, self.entry.rows
        if not self.entry.nbytes:
            return []
        return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

    def _since(self) -> np.ndarray:
        return np.array(self.entry.since or [0] * len(self._spans()), np.int64)

    def _span_bytes(self) -> int:
        return self.entry.nbytes // max(1, len(self._spans()))

    def _take_rows(self, given: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        before = gather(self.table, given.ids)
        scatter(self.table, given.ids, given.rows)
        probed = self.table[given.probe_from : given.probe_from + len(given.probe)]
        wrong = unequal_rows(probed, given.probe) + given.probe_from
        if len(wrong):
            some = ", ".join(str(row) for row in wrong[:5])
            raise StoreError(
                f"rows {some} of array {self.entry.name!r} have changed without being among the "
                "touched ones; checkpoints since the last whole one may lack such changes",
                hint="Hand in all touched rows, or none: changes are then found by comparing.",
            )
        changed = unequal_rows(given.rows, before)
        if len(changed) == len(before):
            return given.ids, given.rows, before
        return given.ids[changed], given.rows[changed], before[changed]

    def _mostly(self, ids: np.ndarray) -> np.ndarray:
        spans = self._spans()
        counts = np.bincount(ids // self.entry.block_rows, minlength=len(spans))
        return np.array([2 * n >= s.stop - s.start for n, s in zip(counts, spans, strict=True)])

    def _compare(self, old: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which blocks changed in half of their rows or more, and the changed rows of others."""
        spans = self._spans()
        dense = np.zeros(len(spans), bool)
        ids = [np.empty(0, np.int64)]
        for number, span in enumerate(spans):
            if not self.entry.blocks:
                dense[number] = True
                continue
            rows = changed_rows(old[span], self.table[span])
            if rows is None:
                dense[number] = True
            else:
                ids.append(rows + span.start)
        return dense, np.concatenate(ids)

    def _draft(
        self,
        dense: np.ndarray,
        patch: tuple[np.ndarray, np.ndarray, np.ndarray],
        old: np.ndarray | None,
    ) -> Draft:
        entry, since = self.entry, self._since()
        patches: list[Place | Wanted] = list(entry.patches)
        dirty = since < len(patches)
        if dense.any() and len(patch[0]):
            sparse = ~dense[patch[0] // entry.block_rows]
            patch = (patch[0][sparse], patch[1][sparse], patch[2][sparse])
        ids, rows, before = patch
        if len(ids):
            patches.append(self._patch(ids, rows, before if self._small else None))
            dirty[ids // entry.block_rows] = True
            self._credit += rows.nbytes / self._rho
        return self._assemble(dense, dirty, patches, since, old)

    def _assemble(
        self,
        anew: np.ndarray,
        dirty: np.ndarray,
        patches: list[Place | Wanted],
        since: np.ndarray,
        old: np.ndarray | None = None,
    ) -> Draft:
        """The draft with the blocks ``anew`` written, and without patches that none needs."""
        since[anew | ~dirty] = len(patches)
        blocks: list[Chain | Wanted] = list(self.entry.blocks or [()] * len(since))
        numbers = np.flatnonzero(anew)
        for number, item in zip(numbers, self._blocks(numbers, old), strict=True):
            blocks[number] = item
        first = int(since.min(initial=len(patches)))
        kept = patches[first:]
        return Draft(blocks, kept, [int(n) - first for n in since] if kept else [])

    def _patch(self, ids: np.ndarray, rows: np.ndarray, before: np.ndarray | None) -> Wanted:
        codec, data = encode_patch(ids, rows, self._dtype, before)
        encoded = (codec, self._dtype.str, data)
        raw = ids.nbytes + rows.nbytes
        return Wanted(hash_bytes(*data), raw, True, lambda: encoded)

    def _blocks(self, numbers: np.ndarray, old: np.ndarray | None) -> list[Wanted]:
        spans = self._spans()
        blocks = [self.table[spans[n]].reshape(-1) for n in numbers]
        wanted = []
        for number, block, name in zip(numbers, blocks, self._hash(blocks), strict=True):
            past = self._past(number, spans[number], old)
            encode = partial(_encode, block, self._dtype, past, self._small)
            behind = self.entry.blocks[number] if past else ()
            over = self._held[number] if past else b""
            before = self._overs[number] if past else b""
            wanted.append(Wanted(name, len(block), False, encode, behind, over, before))
        return wanted

    def _past(self, number: int, span: slice, old: np.ndarray | None) -> Past | None:
        chain = self.entry.blocks[number] if self.entry.blocks else ()
        if not (self._small and self._differences) or old is None:
            return None
        if not chain or len(chain) > MAX_CHAIN:
            return None
        if not self._held[number]:
            return None
        before, over = None, self._overs[number]
        # The blob that the last one is over must hold what we remember, or it cannot be decoded.
        if self._before is not None and over and over == self._held_before[number]:
            before = self._before[span].reshape(-1)
        return Past(old[span].reshape(-1), before)

    def _keep(self, old: np.ndarray | None) -> None:
        if self._small:
            old, self._before = self._before, old
            self._held_before = self._held
        self._spare = old


def new_entry(name: str, array: np.ndarray) -> TensorEntry:
    """A tensor of which nothing is stored yet."""
    rows = block_rows(array.shape, array.nbytes)
    return TensorEntry(name, array.dtype.str, array.shape, None, rows, ())


def _encode(
    block: np.ndarray, dtype: np.dtype, past: Past | None, small: bool
) -> tuple[str, str, tuple[bytes | memoryview, ...]]:
    codec, data = encode_small(block, dtype, past) if small else (RAW, block.data)
    return codec, dtype.str, (data,)

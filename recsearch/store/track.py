"""The successive states of one trainer, on the training thread: copy what may have changed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from recsearch.errors import CheckpointNotFoundError, StoreError
from recsearch.state import Part, State
from recsearch.store.codec import check_dtype
from recsearch.store.draft import Rows, Whole
from recsearch.store.lease import Hold, is_kept, pin
from recsearch.store.manifest import Manifest, TensorEntry
from recsearch.store.patch import gather
from recsearch.store.reader import Source, as_rows
from recsearch.store.restoring import restore_state
from recsearch.store.saver import Copied, Memory, Saver, Tensor
from recsearch.store.series import Series, new_entry
from recsearch.store.staged import Staged
from recsearch.store.wire import from_json, to_json

Codec: TypeAlias = Literal["auto", "fast", "small"]
_MANY = 100
"""From one touched row in so many on, marking them all is faster than sorting."""
_PROBES = 64
"""A save of touched rows also compares an eighth as many others, or this many: all in turn."""


class Track:
    """Saves the successive states of one trainer, each as what has changed since the one before.

    Keeps a copy of the last state in memory (two with ``small``). A track is not needed to save,
    and any of its checkpoints restores without it and without the others. Not safe to share
    between threads. Close it when the trainer is done, or use it as a context manager.
    """

    def __init__(
        self,
        source: Source,
        saver: Callable[[], Saver],
        *,
        small: bool,
        whole: frozenset[str] | None = frozenset(),
        rho: float,
        once: bool = False,
        after: Manifest | None = None,
    ):
        self._source = source
        self._saver = saver
        self._once = once
        self._seen: dict[Tensor, tuple[str, tuple[int, ...]]] = {}
        self._probe_at: defaultdict[Tensor, int] = defaultdict(int)
        self._buffers: dict[tuple[int, int], list[np.ndarray]] = {}
        self._memory = Memory(small, whole, rho, self._recycle, {})
        self._pid = os.getpid()
        if after is not None:
            saver().run(lambda: self._resume(after)).result()

    def stage(self, state: State) -> Staged:
        """Copy what may have changed and start writing it in the background.

        Blocks only for the copy, or while too many bytes wait to be written.

        Raises:
            StoreError: an array or value of the state cannot be stored, or touched rows are no
                row numbers.
        """
        arrays = check_state(state)
        self._own()
        if self._memory.lost:
            self._memory.lost = False
            self._seen.clear()
        touched = {
            (part, name): self._touched(state[part], part, name, array)
            for (part, name), array in arrays.items()
        }
        values = {
            name: from_json(to_json(dict(part.values), f"values of part {name!r}"))
            for name, part in state.items()
        }
        constant = frozenset(name for name, part in state.items() if part.constant)

        def copy() -> Copied:
            given = {n: self._copy(n, array, touched[n]) for n, array in arrays.items()}
            return Copied(given, values, constant)

        size = sum(_copy_bytes(array, touched[name]) for name, array in arrays.items())
        future = self._saver().submit(self._memory, copy, size, last=self._once)
        self._seen = {name: (a.dtype.str, a.shape) for name, a in arrays.items()}
        logical = sum(array.nbytes for array in arrays.values())
        return Staged(self._source, future, logical)

    def close(self) -> None:
        """Forget the last state; what is staged is still written."""
        self._own()
        try:
            self._saver().run(self._memory.forget)
        except StoreError:  # the store was closed first, and has waited for all
            self._memory.forget()
        self._seen.clear()

    def __enter__(self) -> Track:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _own(self) -> None:
        # After a fork the pin is the parent's, and the child begins anew.
        if self._pid != os.getpid():
            self._pid, self._memory.hold = os.getpid(), None
            self._memory.series.clear()
            self._seen.clear()

    def _touched(self, part: Part, where: str, name: str, array: np.ndarray) -> np.ndarray | None:
        """Sorted unique rows to look at, or None for all."""
        if name not in part.touched:
            return None
        rows = array.shape[0] if array.ndim else 1
        ids = np.asarray(part.touched[name]).reshape(-1)
        valid = ids.dtype.kind in "iu" and (
            not ids.size or (int(ids.min()) >= 0 and int(ids.max()) < rows)
        )
        if not valid and ids.size:
            raise StoreError(
                f"touched rows of array {name!r} of part {where!r} are not numbers from 0 to "
                f"{rows - 1}"
            )
        ids = _sorted_unique(ids.astype(np.int64, copy=False), rows)
        known = self._seen.get((where, name)) == (array.dtype.str, array.shape)
        few = array.ndim and array.nbytes and 2 * len(ids) < rows
        return ids if known and few else None

    def _copy(
        self, name: Tensor, array: np.ndarray, ids: np.ndarray | None
    ) -> tuple[TensorEntry, np.dtype, Whole | Rows]:
        entry = new_entry(name[1], array)
        if ids is None:
            table = self._buffer(entry.rows, array.nbytes // max(1, entry.rows))
            if array.nbytes:
                target = table.reshape(-1).view(array.dtype).reshape(array.shape)
                np.copyto(target, array)
            return entry, array.dtype, Whole(table)
        first, count = self._probe_at[name], max(len(ids) // 8, _PROBES)
        self._probe_at[name] = first + count if first + count < entry.rows else 0
        probe = as_rows(np.array(array[first : first + count], order="C", subok=False))
        if array.flags.c_contiguous:
            rows = gather(as_rows(array), ids)
        else:
            rows = as_rows(np.ascontiguousarray(array[ids]))
        return entry, array.dtype, Rows(ids, rows, probe, first)

    def _buffer(self, rows: int, row_bytes: int) -> np.ndarray:
        # Memory that has been used before is copied to several times faster than fresh pages.
        spare = self._buffers.get((rows, row_bytes))
        return spare.pop() if spare else np.empty((rows, row_bytes), np.uint8)

    def _recycle(self, table: np.ndarray) -> None:
        self._buffers.setdefault((table.shape[0], table.shape[1]), []).append(table)

    def _resume(self, after: Manifest) -> None:
        """Runs on the saver thread. What cannot be continued is stored anew, whole."""
        backend = self._source.backend
        hold = Hold(backend, pin(backend, after.packs))
        try:
            if not is_kept(backend, after.ref, after.packs):
                raise CheckpointNotFoundError(after.where)
            state = restore_state(self._source, after)
        except StoreError:
            hold.release()
            return
        self._memory.hold = hold
        for part, entry in after.tensors:
            array = state[part].tensors[entry.name]
            tops = [self._source.blob(chain[0]) for chain in entry.blocks]
            patches = [self._source.blob(place) for place in entry.patches]
            series = Series(
                entry,
                array.dtype,
                small=self._memory.small,
                differences=self._memory.may_differ(part),
                rho=self._memory.rho,
                hasher=self._saver().hash,
                recycle=self._recycle,
            )
            series.resume(as_rows(array), tops, patches)
            self._memory.series[part, entry.name] = series
            self._seen[part, entry.name] = (entry.dtype, entry.shape)
        # Else a trainer that stops after each checkpoint would never come to it.
        self._saver().run(lambda: self._saver().rebase(self._memory))


def check_state(state: State) -> dict[Tensor, np.ndarray]:
    """The arrays of a state, if it can be stored and restored exactly.

    Raises:
        StoreError: naming the part and array that cannot.
    """
    arrays = {}
    for part_name, part in state.items():
        for name, array in part.tensors.items():
            where = f"array {name!r} of part {part_name!r}"
            if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
                raise StoreError(f"{where} is a {type(array).__name__}, not a plain numpy array")
            check_dtype(array.dtype, where)
            arrays[part_name, name] = array
        for name in part.touched:
            if name not in part.tensors:
                raise StoreError(f"touched rows of part {part_name!r} name no array: {name!r}")
    return arrays


def _sorted_unique(ids: np.ndarray, rows: int) -> np.ndarray:
    if len(ids) * _MANY < rows:
        return np.unique(ids)
    mask = np.zeros(rows, bool)
    mask[ids] = True
    return np.flatnonzero(mask)


def _copy_bytes(array: np.ndarray, ids: np.ndarray | None) -> int:
    if ids is None:
        return array.nbytes
    return (len(ids) + max(len(ids) // 8, _PROBES)) * (array.nbytes // len(array))

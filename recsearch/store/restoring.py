"""From a manifest to arrays: a whole state, or some rows of one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recsearch.errors import (
    CheckpointNotFoundError,
    UsageError,
    VerificationError,
)
from recsearch.state import Part, State
from recsearch.store.codec import hash_bytes, parse_dtype
from recsearch.store.manifest import Manifest, TensorEntry, root_hash
from recsearch.store.patch import gather
from recsearch.store.reader import (
    BlobDamagedError,
    Remake,
    Source,
    as_rows,
    explain,
    read_tensor,
    read_tensors,
)


def restore_state(
    source: Source,
    manifest: Manifest,
    parts: Sequence[str] | None = None,
    into: State | None = None,
    threads: int | None = None,
    remake: Remake | None = None,
) -> dict[str, Part]:
    """The named parts of a checkpoint, or all of them; see :meth:`Store.restore`.

    Raises:
        CheckpointNotFoundError: it has no such part, or was dropped while it was read, or an
            array must be computed and there is no ``remake``.
        VerificationError: what ``remake`` computed is not what was there.
        UsageError: an array of ``into`` is not like the stored one.
        StoreDamagedError: naming blob, pack, checkpoint and the nearest intact epoch.
    """
    wanted: list[tuple[TensorEntry, np.ndarray]] = []
    made: list[tuple[str, TensorEntry, np.ndarray]] = []
    state = {}
    for name in (manifest.parts if into is None else into) if parts is None else parts:
        part = manifest.parts.get(name)
        if part is None:
            there = ", ".join(manifest.parts) or "none"
            raise CheckpointNotFoundError(
                f"checkpoint {manifest.where} has no part {name!r}; its parts are: {there}"
            )
        given = into[name].tensors if into is not None else None
        arrays = {t.name: _target(name, t, given) for t in part.tensors.values()}
        pairs = [(part.tensors[tensor], array) for tensor, array in arrays.items()]
        wanted += [pair for pair in pairs if pair[0].made_from is None]
        made += [(name, *pair) for pair in pairs if pair[0].made_from is not None]
        state[name] = Part(arrays, part.values)
    try:
        read_tensors(source, wanted, threads)
        for name, entry, array in made:
            _make(source, manifest, name, entry, array, remake)
    except BlobDamagedError as error:
        raise explain(source, manifest, str(error)) from error
    return state


def _make(
    source: Source,
    manifest: Manifest,
    part: str,
    entry: TensorEntry,
    out: np.ndarray,
    remake: Remake | None,
) -> None:
    if remake is None or entry.made_from is None:
        raise CheckpointNotFoundError(
            f"array {part}/{entry.name} of checkpoint {manifest.where} is not stored: the model "
            "computes it again from another one and the ratings",
            hint="Load the epoch with recsearch load, or restore the best or the last epoch.",
        )
    found = remake(part, entry.name, read_tensor(source, entry.made_from))
    same = (found.dtype, found.shape) == (out.dtype, out.shape)
    if not same or _hash_of(np.ascontiguousarray(found), entry) != entry.hash:
        raise VerificationError(
            f"array {part}/{entry.name} of checkpoint {manifest.where} was computed again with "
            "another result than when it was trained: by another machine, library or data",
            hint="Restore the best or the last epoch, which are stored whole.",
        )
    out[...] = found


def _hash_of(array: np.ndarray, entry: TensorEntry) -> bytes:
    table, step = as_rows(array), entry.block_rows
    blocks = (table[start : start + step] for start in range(0, len(table), step))
    return root_hash([hash_bytes(np.ascontiguousarray(block).data) for block in blocks])


def read_rows(
    source: Source,
    manifest: Manifest,
    part: str,
    name: str,
    rows: slice | Sequence[int] | np.ndarray,
) -> np.ndarray:
    """Rows of one array, reading only the blocks that they are in.

    Args:
        source: Where to read.
        manifest: The checkpoint.
        part: Name of the part.
        name: Name of the array.
        rows: A slice, or row numbers in any order, duplicates allowed; negative ones count from
            the end.

    Returns:
        An array of shape (number of rows, ...).

    Raises:
        CheckpointNotFoundError: there is no such array.
        UsageError: a row number is out of range.
        StoreDamagedError: naming the damaged blob.
    """
    try:
        entry = manifest.parts[part].tensors[name]
    except KeyError:
        raise CheckpointNotFoundError(
            f"checkpoint {manifest.where} has no array {part}/{name}",
            hint=f"recsearch store params {manifest.where}",
        ) from None
    if entry.made_from is not None:
        raise CheckpointNotFoundError(f"array {part}/{name} of {manifest.where} is not stored")
    numbers = np.arange(entry.rows)[rows] if isinstance(rows, slice) else rows
    ids = np.asarray(numbers)
    if ids.size and ids.dtype.kind not in "iu":
        raise UsageError(f"rows of {part}/{name} are given by numbers, not by {ids.dtype} values")
    if ids.size and int(ids.max()) >= entry.rows:
        raise UsageError(f"{part}/{name} has rows 0 ... {entry.rows - 1}, not {ids.max()}")
    ids = ids.astype(np.int64)
    ids = np.where(ids < 0, ids + entry.rows, ids)
    if ids.size and ids.min() < 0:
        last = ids.min() - entry.rows
        raise UsageError(f"{part}/{name} has rows 0 ... {entry.rows - 1}, not {last}")
    wanted, place = np.unique(ids, return_inverse=True)
    result = np.empty((len(wanted), *entry.shape[1:]), parse_dtype(entry.dtype))
    if result.nbytes:
        try:
            _fill_rows(source, entry, wanted, as_rows(result))
        except BlobDamagedError as error:
            raise explain(source, manifest, str(error)) from error
    return result[place]


def _fill_rows(source: Source, entry: TensorEntry, wanted: np.ndarray, out: np.ndarray) -> None:
    for number in np.unique(wanted // entry.block_rows):
        first = number * entry.block_rows
        block = np.empty((min(entry.block_rows, entry.rows - first), out.shape[1]), np.uint8)
        source.block(entry.blocks[number], block.reshape(-1))
        inside = slice(*np.searchsorted(wanted, (first, first + len(block))))
        out[inside] = gather(block, wanted[inside] - first)
    source.patches(entry, out, wanted)


def _target(part: str, entry: TensorEntry, given: Mapping[str, np.ndarray] | None) -> np.ndarray:
    dtype = parse_dtype(entry.dtype)
    if given is None:
        return np.empty(entry.shape, dtype)
    if entry.name not in given:
        raise UsageError(f"there is no array {part}/{entry.name} to restore into")
    array = np.asarray(given[entry.name])
    if not array.flags.writeable:
        raise UsageError(f"the array to restore {part}/{entry.name} into cannot be written")
    if (array.shape, array.dtype) != (entry.shape, dtype) or not array.flags.c_contiguous:
        raise UsageError(
            f"{part}/{entry.name} is stored as {entry.dtype} of shape {entry.shape}; the array to "
            f"restore into is {array.dtype.str} of shape {array.shape}"
            + ("" if array.flags.c_contiguous else ", not C-contiguous")
        )
    return array

"""Partial restore: fill what fits of a checkpoint into given arrays, and say what does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from recsearch.errors import UsageError, VerificationError
from recsearch.state import State
from recsearch.store.manifest import Manifest, TensorEntry
from recsearch.store.param_map import ParameterMap
from recsearch.store.reader import BlobDamagedError, Source, explain, read_tensors
from recsearch.store.restoring import read_rows


class Vocabulary(NamedTuple):
    """The ids that the rows of an array belong to, in the checkpoint and now.

    Attributes:
        stored: Part and name of the array of ids in the checkpoint, as ``vocabulary/user_ids``.
        ids: The ids of the rows to fill, shape (rows,), unique.
    """

    stored: str
    ids: np.ndarray


class Mismatch(NamedTuple):
    """Dtypes and shapes of an array that does not fit."""

    stored: str
    wanted: str


class RowCounts(NamedTuple):
    """Rows matched by id: copied, not in the checkpoint (left as they were), no more wanted."""

    copied: int
    new: int
    dropped: int


@dataclass(frozen=True)
class PartialReport:
    """What of a checkpoint fits. Arrays are named ``part/name``.

    Attributes:
        checkpoint: Which checkpoint.
        matched: Array to its name in the checkpoint; filled by a restore.
        missing: Arrays that the checkpoint does not have; left as they were.
        unexpected: Arrays that nothing asks for, of those parts of which anything is asked for.
        mismatched: Arrays of another dtype or shape in the checkpoint; left as they were.
        rows: Of the matched arrays, those whose rows were matched by id.
    """

    checkpoint: str
    matched: Mapping[str, str]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: Mapping[str, Mismatch]
    rows: Mapping[str, RowCounts]

    def check(self) -> None:
        """Insist that all fits.

        Raises:
            VerificationError: listing what is missing, unexpected or of another shape.
        """
        lines = [f"  missing: {name}" for name in self.missing]
        lines += [f"  unexpected: {name}" for name in self.unexpected]
        lines += [
            f"  {name}: stored as {stored}, wanted as {wanted}"
            for name, (stored, wanted) in self.mismatched.items()
        ]
        if lines:
            raise VerificationError(
                f"checkpoint {self.checkpoint} does not fit:\n" + "\n".join(lines),
                hint="Rename arrays with a parameter map, or restore in part what fits.",
            )


def named(state: State) -> dict[str, np.ndarray]:
    """The arrays of a state by ``part/name``."""
    return {
        f"{name}/{tensor}": np.asarray(array)
        for name, part in state.items()
        for tensor, array in part.tensors.items()
    }


def compare(
    manifest: Manifest,
    into: Mapping[str, np.ndarray],
    param_map: ParameterMap | None = None,
    by_id: Collection[str] = (),
) -> PartialReport:
    """Say which arrays of a checkpoint fit, reading none of them.

    Args:
        manifest: The checkpoint.
        into: Arrays by ``part/name``.
        param_map: Other names of stored arrays.
        by_id: Names of arrays of ``into`` whose rows are matched by id: their number may differ.

    Raises:
        UsageError: a line of the parameter map is wrong.
    """
    stored = {f"{part}/{entry.name}": entry for part, entry in manifest.tensors}
    renamed = (param_map or ParameterMap("")).rename(list(stored), into)
    matched, missing, mismatched = {}, [], {}
    for name, array in into.items():
        entry = stored.get(renamed.get(name, ""))
        if entry is None or entry.made_from is not None:
            missing.append(name)
            continue
        free = 1 if name in by_id and array.ndim and entry.shape else 0
        if (entry.dtype, entry.shape[free:]) == (array.dtype.str, array.shape[free:]):
            matched[name] = renamed[name]
        else:
            mismatched[name] = Mismatch(
                f"{entry.dtype} {list(entry.shape)}", f"{array.dtype.str} {list(array.shape)}"
            )
    parts = {name.partition("/")[0] for name in into}
    unexpected = tuple(
        old for new, old in renamed.items() if new not in into and new.partition("/")[0] in parts
    )
    return PartialReport(manifest.where, matched, tuple(missing), unexpected, mismatched, {})


def restore_partial(
    source: Source,
    manifest: Manifest,
    into: Mapping[str, np.ndarray],
    param_map: ParameterMap | None = None,
    vocabularies: Mapping[str, Vocabulary] | None = None,
) -> PartialReport:
    """Fill those arrays that a checkpoint has, in place, and say which those are.

    Args:
        source: Where it is.
        manifest: The checkpoint.
        into: The arrays by ``part/name``.
        param_map: Other names of stored arrays.
        vocabularies: Name of an array to the ids of its rows, stored and new: rows are copied by
            id, and those of ids that are not stored stay as they are.

    Raises:
        CheckpointNotFoundError: a saved vocabulary is not there, or the checkpoint was dropped.
        UsageError: a line of the parameter map is wrong, or a vocabulary does not fit its array.
        StoreDamagedError: naming the damaged blob and the nearest intact epoch.
    """
    vocabularies = vocabularies or {}
    for name in vocabularies:
        if name not in into:
            raise UsageError(f"a vocabulary is given for {name}, which is not to be restored")
    report = compare(manifest, into, param_map, vocabularies)
    stored = {f"{part}/{entry.name}": entry for part, entry in manifest.tensors}
    rows = {}
    whole: list[tuple[TensorEntry, np.ndarray]] = []
    for name, old in report.matched.items():
        if name in vocabularies:
            rows[name] = _fill_by_id(source, manifest, old, into[name], vocabularies[name])
        else:
            whole.append((stored[old], into[name]))
    _fill(source, manifest, whole)
    return replace(report, rows=rows)


def _fill(
    source: Source, manifest: Manifest, wanted: Sequence[tuple[TensorEntry, np.ndarray]]
) -> None:
    direct = [
        (entry, array if array.flags.c_contiguous else np.empty(array.shape, array.dtype))
        for entry, array in wanted
    ]
    try:
        read_tensors(source, direct)
    except BlobDamagedError as error:
        raise explain(source, manifest, str(error)) from error
    for (_, read), (_, array) in zip(direct, wanted, strict=True):
        if read is not array:
            array[...] = read


def _fill_by_id(
    source: Source, manifest: Manifest, old: str, array: np.ndarray, vocabulary: Vocabulary
) -> RowCounts:
    before = _read(source, manifest, vocabulary.stored)
    ids = np.asarray(vocabulary.ids)
    part, _, name = old.partition("/")
    counts = {vocabulary.stored: len(before), "the new vocabulary": len(ids)}
    rows = {old: manifest.parts[part].tensors[name].rows, "the array to fill": len(array)}
    for (what, count), (whose, expected) in zip(counts.items(), rows.items(), strict=True):
        if count != expected:
            raise UsageError(f"{what} has {count} ids, but {whose} has {expected} rows")
    if before.dtype.kind != ids.dtype.kind:
        raise UsageError(
            f"ids of {vocabulary.stored} are stored as {before.dtype.str}, the new ones are "
            f"{ids.dtype.str}; they can only be compared as numbers or as text"
        )
    if len(np.unique(before)) < len(before) or len(np.unique(ids)) < len(ids):
        raise UsageError(f"ids of {vocabulary.stored}, stored or new, are not unique")
    common, from_rows, to_rows = np.intersect1d(
        before, ids, assume_unique=True, return_indices=True
    )
    array[to_rows] = read_rows(source, manifest, part, name, from_rows)
    return RowCounts(len(common), len(ids) - len(common), len(before) - len(common))


def _read(source: Source, manifest: Manifest, where: str) -> np.ndarray:
    part, _, name = where.partition("/")
    return read_rows(source, manifest, part, name, slice(None))

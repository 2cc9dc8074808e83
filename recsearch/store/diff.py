"""How two checkpoints differ, array by array and row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from recsearch.store.manifest import Manifest, TensorEntry
from recsearch.store.reader import BlobDamagedError, Source, as_rows, explain, read_tensor
from recsearch.store.tensors import DTYPES
from recsearch.store.wire import to_json

Change: TypeAlias = Literal["equal", "changed", "shape", "missing", "extra", "unknown"]


@dataclass(frozen=True)
class TensorDiff:
    """How one array differs.

    Attributes:
        part: Its part.
        tensor: Its name.
        change: ``shape`` for another shape or dtype, ``missing`` if only the first checkpoint has
            it, ``extra`` if only the second one has, ``unknown`` for an array that is not stored
            but computed by the model.
        before: Dtype and shape in the first checkpoint, None where it is extra.
        after: The same in the second one.
        rows: Rows compared.
        changed_rows: Rows that differ in any bit.
        largest: Largest absolute difference of two finite numbers in these; None where there are
            none.
    """

    part: str
    tensor: str
    change: Change
    before: str | None
    after: str | None
    rows: int = 0
    changed_rows: int = 0
    largest: float | None = None


@dataclass(frozen=True)
class Diff:
    """How two checkpoints differ.

    Attributes:
        tensors: All arrays of either.
        values: Parts whose JSON values differ, or that only one of the two has.
    """

    tensors: tuple[TensorDiff, ...]
    values: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether both restore to the same state."""
        return not self.values and all(tensor.change == "equal" for tensor in self.tensors)


def diff(a: Source, one: Manifest, b: Source, other: Manifest) -> Diff:
    """Compare two checkpoints; arrays are read only where their hashes do not tell.

    Args:
        a: Where the first one is.
        one: The first one; hold both.
        b: Where the second one is.
        other: The second one.

    Raises:
        StoreDamagedError: naming the damaged blob.
    """
    mine = {(part, entry.name): entry for part, entry in one.tensors}
    theirs = {(part, entry.name): entry for part, entry in other.tensors}
    found = []
    for part, name in {**mine, **theirs}:
        x, y = mine.get((part, name)), theirs.get((part, name))
        change = _known(a is b, x, y)
        numbers: tuple[int, int, float | None] = (x.rows if x and change == "equal" else 0, 0, None)
        if x and y and change is None:
            plain = name not in one.parts[part].values.get(DTYPES, {})
            numbers = _compare(_read(a, one, x), _read(b, other, y), x.block_rows, plain)
            change = "changed" if numbers[1] else "equal"
        found.append(
            TensorDiff(part, name, change or "unknown", _describe(x), _describe(y), *numbers)
        )
    values = [
        name for name in {**one.parts, **other.parts} if _values(one, name) != _values(other, name)
    ]
    return Diff(tuple(found), tuple(values))


def _known(same_store: bool, x: TensorEntry | None, y: TensorEntry | None) -> Change | None:
    """What can be said without reading an array."""
    if x is None or y is None:
        return "extra" if x is None else "missing"
    if (x.dtype, x.shape) != (y.dtype, y.shape):
        return "shape"
    hashed = None not in (x.hash, y.hash) and x.block_rows == y.block_rows
    same = (x.blocks, x.since, x.patches) == (y.blocks, y.since, y.patches)
    if (hashed and x.hash == y.hash) or (same_store and same and not x.made_from):
        return "equal"
    return "unknown" if x.made_from or y.made_from else None


def _compare(
    x: np.ndarray, y: np.ndarray, step: int, numbers: bool
) -> tuple[int, int, float | None]:
    changed, largest = 0, -math.inf
    a, b = as_rows(x), as_rows(y)
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        differ = (a[rows] != b[rows]).any(axis=1)
        changed += int(differ.sum())
        if numbers and x.dtype.kind in "fiu" and differ.any():
            both = [np.atleast_1d(t)[rows][differ].astype(np.float64) for t in (x, y)]
            with np.errstate(invalid="ignore"):
                apart = np.abs(both[0] - both[1])
            largest = float(np.max(apart, initial=largest, where=np.isfinite(apart)))
    return len(a), changed, largest if math.isfinite(largest) else None


def _read(source: Source, manifest: Manifest, entry: TensorEntry) -> np.ndarray:
    try:
        return read_tensor(source, entry)
    except BlobDamagedError as error:
        raise explain(source, manifest, str(error)) from error


def _describe(entry: TensorEntry | None) -> str | None:
    return None if entry is None else f"{entry.dtype} {'x'.join(map(str, entry.shape)) or 'scalar'}"


def _values(manifest: Manifest, part: str) -> str | None:
    found = manifest.parts.get(part)
    return None if found is None else to_json(dict(found.values), part)

"""Whether two checkpoints restore to equal states."""

from __future__ import annotations

from recsearch.store.manifest import Manifest, TensorEntry
from recsearch.store.reader import Source, read_tensor
from recsearch.store.wire import to_json


def same_content(source: Source, one: Manifest, other: Manifest) -> bool:
    """Compare names, values, dtypes, shapes, and arrays: by hash where both have one.

    Raises:
        BlobDamagedError: arrays had to be read, and one is damaged.
    """
    if one.parts.keys() != other.parts.keys():
        return False
    for name, part in one.parts.items():
        twin = other.parts[name]
        if part.tensors.keys() != twin.tensors.keys():
            return False
        if to_json(dict(part.values), name) != to_json(dict(twin.values), name):
            return False
        pairs = ((tensor, twin.tensors[tensor.name]) for tensor in part.tensors.values())
        if not all(same_tensor(source, a, b) for a, b in pairs):
            return False
    return True


def same_tensor(source: Source, one: TensorEntry, other: TensorEntry) -> bool:
    """Whether two stored arrays are equal, bit for bit."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    if one.hash is not None and other.hash is not None and one.block_rows == other.block_rows:
        return one.hash == other.hash
    if (one.blocks, one.since, one.patches) == (other.blocks, other.since, other.patches):
        return True
    if one.made_from or other.made_from:
        return False
    return read_tensor(source, one).tobytes() == read_tensor(source, other).tobytes()

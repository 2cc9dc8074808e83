"""Manifests: everything that one checkpoint is, except the bytes of its blobs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from recsearch.errors import StoreDamagedError
from recsearch.state import Json
from recsearch.store.backend import Backend
from recsearch.store.codec import HASH_BYTES, hash_bytes, parse_dtype
from recsearch.store.layout import ManifestName, is_ulid
from recsearch.store.pack import Place
from recsearch.store.wire import frame, from_json, to_json, unframe

MAGIC = b"RSMANI01"
BLOCK_BYTES = 4 * 2**20
"""Rows are gathered up to this many bytes; a smaller tensor is one block."""
_OLD_BLOCK_BYTES = 4 * 2**20
"""What this was in format 1, whose manifests do not say the rows per block."""
MAX_BLOCKS = 64
"""A larger tensor has larger blocks: a patched table is put together from every one of them."""

Chain: TypeAlias = tuple[Place, ...]
"""The blob of a block, and behind it what that one is a difference to, down to a whole one."""


@dataclass(frozen=True)
class TensorEntry:
    """One stored array.

    Attributes:
        name: Its name within the part.
        dtype: numpy's name, such as ``<f4``.
        shape: Its shape; () for a scalar array.
        hash: Of an array that is one block, BLAKE3-256 of its raw bytes; of several blocks, that
            of their hashes. None for an array with patches, which nobody has hashed.
        block_rows: Rows per block; the last block may have fewer.
        blocks: How to read each block, in order.
        since: For each block, how many of the ``patches`` it already contains.
        patches: Row patches, the oldest first. Where they overlap, the newer wins.
        made_from: The stored array from which the model computes this one again; ``hash`` proves
            that it did. There are no blocks then.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    hash: bytes | None
    block_rows: int
    blocks: tuple[Chain, ...]
    since: tuple[int, ...] = ()
    patches: tuple[Place, ...] = ()
    made_from: TensorEntry | None = None

    @property
    def nbytes(self) -> int:
        """Raw bytes."""
        return math.prod(self.shape) * parse_dtype(self.dtype).itemsize

    @property
    def rows(self) -> int:
        """Length of the first dimension; 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    @property
    def places(self) -> Iterator[Place]:
        """All blobs that it needs."""
        behind = self.made_from.places if self.made_from else ()
        return chain(chain.from_iterable(self.blocks), self.patches, behind)


@dataclass(frozen=True)
class PartEntry:
    """One stored part: its arrays by name and its JSON values."""

    tensors: Mapping[str, TensorEntry]
    values: Mapping[str, Json]


@dataclass(frozen=True)
class Manifest:
    """One committed checkpoint, without the bytes of its arrays.

    Attributes:
        key: Trial key, 64 hexadecimal characters.
        epoch: 1-based.
        ref: Name of the manifest in the store.
        created: ISO 8601, UTC.
        info: What the writer said about it: metrics, configuration, data, code, ...
        parts: The stored parts by name.
        size: Bytes of the manifest itself.
    """

    key: str
    epoch: int
    ref: str
    created: str
    info: dict[str, Json]
    parts: Mapping[str, PartEntry]
    size: int = 0

    @property
    def tensors(self) -> list[tuple[str, TensorEntry]]:
        """All arrays with the part that each is in."""
        return [(p, t) for p, part in self.parts.items() for t in part.tensors.values()]

    @property
    def places(self) -> set[Place]:
        """All blobs of all arrays."""
        return {place for _, tensor in self.tensors for place in tensor.places}

    @property
    def packs(self) -> set[str]:
        """ULIDs of the packs that it needs."""
        return {place.pack for place in self.places}

    @property
    def logical_bytes(self) -> int:
        """Raw bytes of all arrays."""
        return sum(tensor.nbytes for _, tensor in self.tensors)

    @property
    def where(self) -> str:
        """Its name for people: the first 12 characters of the key, and the epoch."""
        return f"{self.key[:12]}:{self.epoch}"


def block_rows(shape: tuple[int, ...], nbytes: int) -> int:
    """Rows per block of a new array; a function of shape and size, so that equal ones share."""
    rows = shape[0] if shape else 1
    row = max(1, nbytes // max(1, rows))
    return max(1, max(BLOCK_BYTES, -(-nbytes // MAX_BLOCKS)) // row)


def root_hash(names: Sequence[bytes]) -> bytes:
    """The hash of an array from those of its blocks."""
    return names[0] if len(names) == 1 else hash_bytes(b"".join(names))


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest file."""
    packs = sorted(manifest.packs)
    numbers = {pack: i for i, pack in enumerate(packs)}
    return frame(
        MAGIC,
        {
            "v": 2,
            "key": manifest.key,
            "epoch": manifest.epoch,
            "created": manifest.created,
            "info": to_json(manifest.info, "info"),
            "packs": packs,
            "parts": {
                name: {
                    "values": to_json(dict(part.values), f"values of part {name}"),
                    "tensors": [_tensor_fields(t, numbers) for t in part.tensors.values()],
                }
                for name, part in manifest.parts.items()
            },
        },
    )


def decode_manifest(name: ManifestName, data: bytes) -> Manifest:
    """The inverse of :func:`encode_manifest`; also reads manifests of format 1.

    Raises:
        StoreDamagedError: the bytes are not those of the manifest that ``name`` names.
    """
    try:
        content = unframe(MAGIC, data)
        parse = _parse_tensor if content["v"] > 1 else _parse_old_tensor
        packs = content["packs"]
        if not all(map(is_ulid, packs)):
            raise ValueError("names of packs")
        parts = {}
        for part, fields in content["parts"].items():
            tensors = [parse(tensor, packs) for tensor in fields["tensors"]]
            parts[part] = PartEntry({t.name: t for t in tensors}, from_json(fields["values"]))
        manifest = Manifest(
            key=content["key"],
            epoch=content["epoch"],
            ref=name.ref,
            created=content["created"],
            info=from_json(content["info"]),
            parts=parts,
            size=len(data),
        )
        if (manifest.key, manifest.epoch) != (name.key, name.epoch):
            raise ValueError(f"it is that of {manifest.key}:{manifest.epoch}")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StoreDamagedError(
            f"the manifest {name.ref} of checkpoint {name.key[:12]}:{name.epoch} "
            f"is damaged: {error}"
        ) from error
    return manifest


def read_manifest(backend: Backend, name: ManifestName) -> Manifest:
    """Read and check one manifest.

    Raises:
        FileNotFoundError: there is no such manifest (any more).
        StoreDamagedError: it is damaged.
    """
    return decode_manifest(name, backend.get(name.ref))


def _tensor_fields(tensor: TensorEntry, packs: Mapping[str, int]) -> list[Any]:
    def flat(places: Chain) -> list[int]:
        return [n for place in places for n in (packs[place.pack], place.offset)]

    blocks = [flat(block) for block in tensor.blocks]
    head = [tensor.name, tensor.dtype, list(tensor.shape), tensor.hash, tensor.block_rows]
    made_from = _tensor_fields(tensor.made_from, packs) if tensor.made_from else None
    return [*head, blocks, list(tensor.since), flat(tensor.patches), made_from]


def _parse_tensor(fields: Any, packs: list[str]) -> TensorEntry:
    name, dtype, shape, digest, rows, blocks, since, patches, made_from = fields

    def places(flat: list[int]) -> Chain:
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return tuple(Place(packs[pack], offset) for pack, offset in pairs)

    chains = tuple(places(block) for block in blocks)
    entry = TensorEntry(
        name,
        dtype,
        tuple(shape),
        digest,
        rows,
        chains,
        tuple(since),
        places(patches),
        _parse_tensor(made_from, packs) if made_from else None,
    )
    return _checked(entry)


def _parse_old_tensor(fields: Any, packs: list[str]) -> TensorEntry:
    name, dtype, shape, digest, blobs = fields
    chains = tuple((Place(packs[blob[0]], blob[2]),) for blob in blobs)
    row = max(1, math.prod(shape[1:]) * parse_dtype(dtype).itemsize)
    # Format 1 hashed the whole array, also where it has several blocks.
    known = digest if len(chains) <= 1 else None
    rows = max(1, _OLD_BLOCK_BYTES // row)
    return _checked(TensorEntry(name, dtype, tuple(shape), known, rows, chains))


def _checked(entry: TensorEntry) -> TensorEntry:
    numbers = [*entry.shape, *entry.since, *(p.offset for p in entry.places)]
    if type(entry.block_rows) is not int or entry.block_rows < 1:
        raise ValueError(f"array {entry.name!r} has blocks of {entry.block_rows!r} rows")
    blocks = 0 if entry.made_from or not entry.nbytes else -(-entry.rows // entry.block_rows)
    valid = (
        isinstance(entry.name, str)
        and (entry.hash is None or len(entry.hash) == HASH_BYTES)
        and all(type(n) is int and n >= 0 for n in numbers)
        and len(entry.blocks) == blocks
        and all(entry.blocks)
        and len(entry.since) == (blocks if entry.patches else 0)
        and max(entry.since, default=0) <= len(entry.patches)
        and not (entry.made_from and (entry.patches or entry.hash is None))
    )
    if not valid:
        raise ValueError(f"array {entry.name!r} does not fit its blocks")
    return entry

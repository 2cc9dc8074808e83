"""Manifests: everything that one checkpoint is, except the bytes of its blobs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recsearch.errors import StoreDamagedError
from recsearch.state import Json
from recsearch.store.backend import Backend
from recsearch.store.codec import HASH_BYTES, hash_bytes, parse_dtype
from recsearch.store.layout import ManifestName
from recsearch.store.pack import BlobRef
from recsearch.store.wire import frame, from_json, to_json, unframe

MAGIC = b"RSMANI01"


@dataclass(frozen=True)
class TensorEntry:
    """One stored array.

    Attributes:
        name: Its name within the part.
        dtype: numpy's name, such as ``<f4``.
        shape: Its shape; () for a scalar array.
        nbytes: Raw bytes.
        hash: BLAKE3-256 of the raw bytes.
        blobs: Its row blocks in order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    hash: bytes
    blobs: tuple[BlobRef, ...]


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
    def blobs(self) -> list[BlobRef]:
        """All references of all arrays."""
        return [ref for _, tensor in self.tensors for ref in tensor.blobs]

    @property
    def packs(self) -> set[str]:
        """ULIDs of the packs that it needs."""
        return {ref.pack for ref in self.blobs}

    @property
    def logical_bytes(self) -> int:
        """Raw bytes of all arrays."""
        return sum(tensor.nbytes for _, tensor in self.tensors)

    @cached_property
    def content(self) -> bytes:
        """A hash that two checkpoints share if they restore to equal states."""
        return content_hash(self.parts)


def content_hash(parts: Mapping[str, PartEntry]) -> bytes:
    """BLAKE3-256 over names, dtypes, shapes, hashes of all arrays and over all values."""
    plain = {
        name: {
            "values": dict(part.values),
            "tensors": {
                t.name: [t.dtype, list(t.shape), t.hash.hex()] for t in part.tensors.values()
            },
        }
        for name, part in parts.items()
    }
    return hash_bytes(to_json(plain, "state").encode())


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest file."""
    packs = sorted(manifest.packs)
    numbers = {pack: i for i, pack in enumerate(packs)}
    return frame(
        MAGIC,
        {
            "v": 1,
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
    """The inverse of :func:`encode_manifest`.

    Raises:
        StoreDamagedError: the bytes are not those of the manifest that ``name`` names.
    """
    try:
        content = unframe(MAGIC, data)
        manifest = Manifest(
            key=content["key"],
            epoch=content["epoch"],
            ref=name.ref,
            created=content["created"],
            info=from_json(content["info"]),
            parts={n: _parse_part(p, content["packs"]) for n, p in content["parts"].items()},
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


def _tensor_fields(tensor: TensorEntry, packs: dict[str, int]) -> list[Any]:
    blobs = [[packs[ref.pack], *ref.fields()] for ref in tensor.blobs]
    return [tensor.name, tensor.dtype, list(tensor.shape), tensor.hash, blobs]


def _parse_part(content: Any, packs: list[str]) -> PartEntry:
    tensors = [_parse_tensor(fields, packs) for fields in content["tensors"]]
    return PartEntry({t.name: t for t in tensors}, from_json(content["values"]))


def _parse_tensor(fields: Any, packs: list[str]) -> TensorEntry:
    name, dtype, shape, digest, blobs = fields
    refs = tuple(BlobRef.parse(packs[pack], rest) for pack, *rest in blobs)
    nbytes = math.prod(shape) * parse_dtype(dtype).itemsize
    valid = (
        isinstance(name, str)
        and len(digest) == HASH_BYTES
        and all(type(n) is int and n >= 0 for n in shape)
        and sum(ref.raw for ref in refs) == nbytes
    )
    if not valid:
        raise ValueError(f"array {name!r} does not fit its blocks")
    return TensorEntry(name, dtype, tuple(shape), nbytes, digest, refs)

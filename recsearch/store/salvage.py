"""What can take the place of a damaged blob: a copy, or its content decoded from elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Set
from typing import TypeAlias

import numpy as np

from recsearch.store.codec import (
    EXTRAPOLATED,
    Past,
    decode,
    element_dtype,
    encode_small,
    hash_bytes,
    parse_dtype,
)
from recsearch.store.manifest import Chain, Manifest, TensorEntry, root_hash
from recsearch.store.pack import Blob, Encoded, Place, are_linked
from recsearch.store.patch import PATCH_CODECS
from recsearch.store.reader import BlobDamagedError
from recsearch.store.survey import Survey

Make: TypeAlias = Callable[[], Encoded]
"""Gives the blob that takes the place of a chain. That of a chain of one may itself be a
difference, to the same blob as before; that of a longer one is not."""


class BeyondRepairError(Exception):
    """No intact copy of a blob is left."""


class Salvage:
    """Finds what is intact of the blobs that a manifest needs.

    Args:
        survey: A look at the store.
        sick: Packs that nothing shall refer to any more.
    """

    def __init__(self, survey: Survey, sick: Set[str]):
        self._survey = survey
        self._source = survey.source
        self._sick = sick
        self._found: dict[bytes, bool] = {}
        self._copies: defaultdict[bytes, list[Blob]] = defaultdict(list)
        for table in survey.tables.values():
            for blob in table.values():
                self._copies[blob.name].append(blob)

    def needs(self, manifest: Manifest) -> dict[Chain, Make]:
        """What must be written to make a checkpoint independent of the sick packs.

        Raises:
            BeyondRepairError: something of it is lost.
        """
        made: dict[Chain, Make] = {}
        for _, entry in manifest.tensors:
            made |= self._entry(entry.made_from or entry)
        return made

    def _entry(self, entry: TensorEntry) -> dict[Chain, Make]:
        made: dict[Chain, Make] = {}
        names = [self._survey.name_of(chain[0]) for chain in entry.blocks]
        if len(names) == 1:
            names = [names[0] or entry.hash]
        for name, chain in zip(names, entry.blocks, strict=True):
            blobs = [blob for place in chain if (blob := self._survey.intact(place)) is not None]
            if len(blobs) == len(chain) and are_linked(blobs):
                made |= {(b.place,): self._copy(b) for b in blobs if b.place.pack in self._sick}
            else:
                made[chain] = self._whole(name, entry)
        for place in entry.patches:
            patch = self._survey.intact(place) or self._twin(place)
            if patch.place != place or place.pack in self._sick:
                made[(place,)] = self._copy(patch)
        known = [name for name in names if name is not None]
        if entry.hash is not None and root_hash(known) != entry.hash:
            raise BeyondRepairError(f"array {entry.name!r} is not made up of its blobs")
        return made

    def _copy(self, blob: Blob) -> Make:
        def make() -> Encoded:
            data = (self._source.stored(blob),)
            return Encoded(
                blob.name, blob.raw, blob.codec, blob.dtype, data, blob.over, blob.before
            )

        return make

    def _twin(self, place: Place) -> Blob:
        for blob in self._copies.get(self._survey.name_of(place) or b"", ()):
            if blob.codec in PATCH_CODECS and self._survey.intact(blob.place) is not None:
                return blob
        raise BeyondRepairError(f"the patch at {place} has no other copy")

    def _whole(self, name: bytes | None, entry: TensorEntry) -> Make:
        if name is not None and name not in self._found:
            self._found[name] = self._content(name, frozenset()) is not None
        if name is None or not self._found[name]:
            raise BeyondRepairError(f"a block of array {entry.name!r} has no other copy")
        dtype = element_dtype(parse_dtype(entry.dtype))

        def make() -> Encoded:
            raw = self._content(name, frozenset())
            if raw is None:
                raise BeyondRepairError(f"block {name.hex()[:12]} has been damaged since")
            codec, data = encode_small(raw, dtype, None)
            return Encoded(name, len(raw), codec, dtype.str, (data,))

        return make

    def _content(self, name: bytes, above: frozenset[bytes]) -> np.ndarray | None:
        """The raw bytes of a block, from any intact blob that they can be decoded from.

        Args:
            name: Its name.
            above: Blocks that are being decoded from this one: two may be over each other.
        """
        if name in above:
            return None
        for blob in sorted(self._copies.get(name, ()), key=lambda blob: bool(blob.over)):
            if blob.codec in PATCH_CODECS or self._survey.intact(blob.place) is None:
                continue
            for past in self._pasts(blob, above | {name}):
                try:
                    stored = self._source.stored(blob)
                    raw = decode(stored, blob.codec, parse_dtype(blob.dtype), blob.raw, past)
                except (BlobDamagedError, ValueError):
                    continue
                if hash_bytes(raw.data) == name:
                    return raw
        return None

    def _pasts(self, blob: Blob, above: frozenset[bytes]) -> Iterator[Past | None]:
        if not blob.over:
            yield None
            return
        last = self._content(blob.over, above)
        if last is None:
            return
        if blob.codec != EXTRAPOLATED:
            yield Past(last)
            return
        before = self._content(blob.before, above)
        if before is not None:
            yield Past(last, before)

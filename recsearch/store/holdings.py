"""How many bytes some checkpoints hold, kept up to date while they come and go."""

from __future__ import annotations

from dataclasses import dataclass

from recsearch.errors import StoreDamagedError
from recsearch.store.layout import ManifestName
from recsearch.store.manifest import read_manifest
from recsearch.store.pack import Place
from recsearch.store.reader import manifest_names
from recsearch.store.store import Store


@dataclass(frozen=True)
class _Held:
    epoch: int
    size: int
    places: frozenset[Place]


class Holdings:
    """Bytes of the manifests of some owners and of all blobs that these need, each counted once.

    Manifests never change, so each is read once; only trials that have changed are listed again.
    What is damaged counts as nothing.

    Attributes:
        total: The bytes.
    """

    def __init__(self, store: Store):
        self._source = store._source
        self._manifests: dict[tuple[str, str], dict[str, _Held | None]] = {}
        self._blobs: dict[Place, tuple[int, int]] = {}
        self.total = 0

    def update(self, key: str, owner: str, epochs: int) -> None:
        """List the checkpoints of one owner anew.

        Args:
            key: Trial key.
            owner: Those whose ``info["owner"]`` is this one count.
            epochs: Later ones than this are being written, and do not count yet.
        """
        known = self._manifests.setdefault((key, owner), {})
        found = manifest_names(self._source.backend, key)
        names = {name.ref: name for name in found if name.epoch <= epochs}
        for ref in names.keys() - known.keys():
            known[ref] = self._read(names[ref], owner)
            self._count(known[ref], 1)
        for ref in known.keys() - names.keys():
            self._count(known.pop(ref), -1)

    def epochs(self, key: str, owner: str) -> set[int]:
        """The epochs of one owner that are there, as of its last update."""
        found = self._manifests.get((key, owner), {}).values()
        return {held.epoch for held in found if held is not None}

    def _read(self, name: ManifestName, owner: str) -> _Held | None:
        try:
            manifest = read_manifest(self._source.backend, name)
        except (FileNotFoundError, StoreDamagedError):
            return None
        if manifest.info.get("owner") != owner:
            return None
        return _Held(manifest.epoch, manifest.size, frozenset(manifest.places))

    def _count(self, held: _Held | None, sign: int) -> None:
        if held is None:
            return
        self.total += sign * held.size
        for place in held.places:
            uses, size = self._blobs.get(place) or (0, self._stored(place))
            if 0 in (uses, uses + sign):
                self.total += sign * size
            self._blobs[place] = (uses + sign, size)
            if uses + sign == 0:
                del self._blobs[place]

    def _stored(self, place: Place) -> int:
        try:
            return self._source.tables.blob(place).stored
        except (FileNotFoundError, ValueError):
            return 0

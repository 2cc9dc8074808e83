"""Who keeps which checkpoints: owners, pins, retention, copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError
from recsearch.state import Json
from recsearch.store.adopt import adopt
from recsearch.store.copying import Copied, copy
from recsearch.store.layout import ManifestName
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.pins import all_pins, pin_checkpoint, unpin
from recsearch.store.reader import manifest_names
from recsearch.store.reading import RACES, Reading
from recsearch.store.retention import All, Policy, Record
from recsearch.store.rewrite import rewrite, without

if TYPE_CHECKING:
    from recsearch.store.store import Store


class Keeping(Reading):
    """What adds and drops manifests; arrays are neither written nor freed here."""

    def adopt(self, key: str, epoch: int, info: dict[str, Json]) -> str:
        """Keep a checkpoint of another owner; see `recsearch.store.adopt.adopt`."""
        return self._with(key, epoch, lambda found: adopt(self._source, found, info))

    def pin(self, key: str, epoch: int, name: str, reason: str = "") -> str:
        """Keep a checkpoint, whatever others drop; see :func:`recsearch.store.pins.pin`."""

        def pin(found: Manifest) -> str:
            return pin_checkpoint(self, self._source, found, name, reason)

        return self._with(key, epoch, pin)

    def unpin(self, name: str) -> Manifest:
        """Drop a pin; see :func:`recsearch.store.pins.unpin`."""
        return unpin(self, name)

    def pins(self) -> dict[str, Manifest]:
        """What is pinned, by name."""
        with self._catalog_lock:
            return all_pins(self._source, self._catalog)

    def drop(self, manifest: Manifest) -> None:
        """Drop one owner's checkpoint, whatever its retention; :meth:`collect` frees the bytes."""
        self._backend.delete(manifest.ref)
        # It has got another name by now if its blobs were just being moved.
        for name in manifest_names(self._backend, manifest.key):
            with suppress(FileNotFoundError, StoreDamagedError):
                found = read_manifest(self._backend, name) if name.epoch == manifest.epoch else None
                if found and (found.created, found.info) == (manifest.created, manifest.info):
                    self._backend.delete(name.ref)

    def retain(
        self,
        key: str,
        policy: Policy,
        records: Sequence[Record],
        *,
        owner: str | None = None,
    ) -> list[int]:
        """Drop the checkpoints among ``records`` that ``policy`` does not keep.

        Epochs without a record stay. So do checkpoints whose own ``info["retention"]`` is
        ``"all"``. The bytes are freed by :meth:`collect`.

        Args:
            key: Trial key.
            policy: What to keep.
            records: The epochs that the policy judges.
            owner: Drop only checkpoints whose ``info["owner"]`` is this one.

        Returns:
            The dropped epochs, sorted.
        """
        if isinstance(policy, All):
            return []
        drop = {record.epoch for record in records} - policy.keep(records)
        dropped: set[int] = set()
        seen: set[str] = set()
        # Until there is nothing new: one whose blobs are just being moved gets another name.
        while names := [n for n in manifest_names(self._backend, key) if n.ref not in seen]:
            seen |= {name.ref for name in names}
            for name in names:
                if name.epoch in drop and self._may_drop(name, owner):
                    self._backend.delete(name.ref)
                    dropped.add(name.epoch)
        return sorted(dropped)

    def thin(
        self,
        key: str,
        epoch: int,
        array: tuple[str, str],
        source: tuple[int, str, str],
        *,
        owner: str | None = None,
    ) -> int:
        """Store an array no longer, because the model computes it again from another one.

        For epochs that are kept but not needed soon, never for the best or the last one.
        :meth:`collect` frees the bytes, unless another owner's manifest still needs them.

        Args:
            key: Trial key.
            epoch: 1-based.
            array: Part and name of the array.
            source: Epoch, part and name of the array that it is computed from.
            owner: Change only manifests whose ``info["owner"]`` is this one.

        Returns:
            How many manifests were changed; 0 if a checkpoint or array is not there.
        """
        changed = 0
        try:
            given = self.read(key, source[0]).parts[source[1]].tensors[source[2]]
            for name in manifest_names(self._backend, key):
                if name.epoch != epoch:
                    continue
                manifest = read_manifest(self._backend, name)
                entry = manifest.parts[array[0]].tensors[array[1]]
                if entry.made_from is None and owner in (None, manifest.info.get("owner")):
                    rewrite(self._source, manifest, without(manifest, *array, given))
                    changed += 1
        except (CheckpointNotFoundError, FileNotFoundError, KeyError, ValueError):
            return changed
        return changed

    def copy_to(
        self,
        other: Store,
        key: str | None = None,
        epoch: int | None = None,
        progress: Callable[[Manifest], None] = lambda _: None,
    ) -> Copied:
        """Copy all checkpoints, a trial's or one; see :func:`recsearch.store.copying.copy`."""

        def names() -> Iterator[ManifestName]:
            seen: set[str] = set()
            fresh = True
            while fresh:  # again, for what has got another name because its blobs were moved
                keys = self.keys() if key is None else [key]
                listed = (n for k in keys for n in manifest_names(self._backend, k))
                chosen = [n for n in listed if epoch in (None, n.epoch) and n.ref not in seen]
                seen |= {name.ref for name in chosen}
                fresh = bool(chosen)
                yield from chosen

        return copy(self._source, other._source, names(), progress)

    def _with(self, key: str, epoch: int, action: Callable[[Manifest], str]) -> str:
        """Do something with a checkpoint; again if its blobs are being moved just then."""
        for _ in range(RACES - 1):
            with suppress(CheckpointNotFoundError):
                return action(self.read(key, epoch))
        return action(self.read(key, epoch))

    def _may_drop(self, name: ManifestName, owner: str | None) -> bool:
        try:
            info = read_manifest(self._backend, name).info
        except (FileNotFoundError, StoreDamagedError):
            return False  # what is damaged is reported by verify, not deleted
        return info.get("retention") != "all" and owner in (None, info.get("owner"))

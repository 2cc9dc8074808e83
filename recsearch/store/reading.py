"""Looking into a store: what there is, and what a checkpoint restores to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, StoreError
from recsearch.state import Part, State
from recsearch.store.anatomy import Anatomy, dissect
from recsearch.store.backend import Backend
from recsearch.store.catalog import Catalog
from recsearch.store.diff import Diff, diff
from recsearch.store.layout import Layout, ManifestName
from recsearch.store.lease import pin
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.param_map import ParameterMap
from recsearch.store.reader import (
    Remake,
    Source,
    advise,
    first_of_each_epoch,
    manifest_names,
    nearest_intact,
)
from recsearch.store.remap import PartialReport, Vocabulary, named, restore_partial
from recsearch.store.restoring import read_rows, restore_state

RACES = 5
"""How often a manifest may vanish between listing and reading before that is the answer."""


if TYPE_CHECKING:
    from recsearch.store.store import Store


class Reading:
    """What a store offers without changing it, but for leases on what is being read."""

    def __init__(self, backend: Backend):
        self.url = backend.url
        self._backend = backend
        self._source = Source(backend)
        self._catalog = Catalog(backend)
        self._catalog_lock = threading.Lock()

    def keys(self) -> list[str]:
        """The trial keys with at least one checkpoint, sorted."""
        names = (Layout.parse_manifest(e.name) for e in self._backend.list(Layout.CHECKPOINTS))
        return sorted({name.key for name in names if name is not None})

    def epochs(self, key: str) -> list[int]:
        """The committed epochs of one trial, sorted; empty for an unknown key."""
        return list(self._names(key))

    def read(self, key: str, epoch: int | None = None) -> Manifest:
        """Everything about one checkpoint but its arrays. None means the last epoch.

        Raises:
            CheckpointNotFoundError: there is none; the message lists what there is.
            StoreDamagedError: its manifest is damaged.
        """
        for _ in range(RACES):
            names = self._names(key)
            wanted = max(names, default=None) if epoch is None else epoch
            if wanted is None or wanted not in names:
                break
            try:
                return read_manifest(self._backend, names[wanted])
            except FileNotFoundError:
                continue  # dropped since it was listed; another epoch or owner may be there
            except StoreDamagedError as error:
                nearest = nearest_intact(self._backend, key, wanted)
                raise StoreDamagedError(
                    f"{error.message}. {advise(nearest)}", hint="recsearch store verify"
                ) from error
        raise self._not_found(key, epoch, self._names(key))

    def manifests(self, key: str | None = None) -> Iterator[Manifest]:
        """The checkpoints of one trial or of all, by key and epoch, of every owner for itself.

        Those that cannot be read are left out: :meth:`verify` names them.
        """
        prefix = Layout.CHECKPOINTS if key is None else Layout.checkpoints(key)
        found = (Layout.parse_manifest(entry.name) for entry in self._backend.list(prefix))
        for name in sorted((n for n in found if n is not None), key=lambda n: n.ref):
            with suppress(FileNotFoundError, StoreDamagedError):
                yield read_manifest(self._backend, name)

    def dissect(self, manifest: Manifest) -> Anatomy:
        """How a checkpoint is stored; see :func:`recsearch.store.anatomy.dissect`."""
        with self._catalog_lock:
            return dissect(self._source, self._catalog, manifest)

    def diff(self, one: Manifest, two: Manifest, other: Store | None = None) -> Diff:
        """How two checkpoints differ, the second one perhaps in another store; hold both."""
        return diff(self._source, one, (other or self)._source, two)

    def restore(
        self,
        key: str,
        epoch: int,
        parts: Sequence[str] | None = None,
        *,
        into: State | None = None,
        threads: int | None = None,
        remake: Remake | None = None,
    ) -> dict[str, Part]:
        """The state of one checkpoint, or the named parts of it, verified bit for bit.

        Args:
            key: Trial key.
            epoch: 1-based.
            parts: Names of the parts to restore; by default those of ``into``, or all.
            into: Arrays to fill, by part and name, of the stored dtypes and shapes. Without,
                the arrays are new. Either way they are undefined if an error is raised.
            threads: How many read at once; as many as there are processors by default.
            remake: Computes arrays that :meth:`thin` has replaced, from part, name and the
                array that is stored instead; the result is verified.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint or part, or it has been thinned
                and there is no ``remake``.
            UsageError: an array of ``into`` is missing or not like the stored one.
            VerificationError: what ``remake`` computed is not what was there.
            StoreDamagedError: naming the damaged blob and the nearest intact epoch.
        """
        with self.hold(key, epoch) as manifest:
            return restore_state(self._source, manifest, parts, into, threads, remake)

    def restore_partial(
        self,
        key: str,
        epoch: int | None,
        into: State,
        *,
        param_map: ParameterMap | str | Path | None = None,
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> PartialReport:
        """Fill the arrays that a checkpoint has, in place, and say which those are.

        See :func:`recsearch.store.remap.restore_partial`; ``epoch`` None means the last one, and
        ``param_map`` may be the path of a file.
        """
        if isinstance(param_map, str | Path):
            param_map = ParameterMap.read(param_map)
        with self.hold(key, epoch) as manifest:
            return restore_partial(self._source, manifest, named(into), param_map, vocabularies)

    def read_rows(
        self, key: str, epoch: int, part: str, tensor: str, rows: slice | Sequence[int] | np.ndarray
    ) -> np.ndarray:
        """Some rows of one array; only the blocks that hold them are read.

        Args:
            key: Trial key.
            epoch: 1-based.
            part: Name of the part.
            tensor: Name of the array.
            rows: A slice, or row numbers in any order with or without duplicates.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint or array.
            UsageError: a row number is out of range.
            StoreDamagedError: naming the damaged blob and the nearest intact epoch.
        """
        with self.hold(key, epoch) as manifest:
            return read_rows(self._source, manifest, part, tensor, rows)

    @contextmanager
    def hold(self, key: str, epoch: int | None = None) -> Iterator[Manifest]:
        """Keep one checkpoint readable while the context lasts, whoever drops and collects it.

        Raises:
            CheckpointNotFoundError: there is none.
            StoreDamagedError: its manifest is damaged.
        """
        for _ in range(RACES):
            manifest = self.read(key, epoch)
            try:
                lease = pin(self._backend, manifest.packs)
            except StoreError:
                yield manifest  # a store that cannot be written cannot be collected from here
                return
            # Still there after its packs were pinned: no collection can miss both.
            if self._backend.head(manifest.ref) is not None:
                break
            self._backend.delete(lease.name)
        else:
            raise self._not_found(key, epoch, self._names(key))
        try:
            yield manifest
        finally:
            self._backend.delete(lease.name)

    def _names(self, key: str) -> dict[int, ManifestName]:
        names = first_of_each_epoch(manifest_names(self._backend, key))
        return dict(sorted(names.items()))

    def _not_found(
        self, key: str, epoch: int | None, names: dict[int, ManifestName]
    ) -> CheckpointNotFoundError:
        wanted = f"{key[:12]}:{epoch}" if epoch is not None else f"{key[:12]}"
        there = (
            f"stored epochs of this trial: {_ranges(sorted(names))}"
            if names
            else f"this trial has none; {len(self.keys())} other trials have some"
        )
        return CheckpointNotFoundError(
            f"there is no checkpoint {wanted} in {self.url}; {there}", hint="recsearch store ls"
        )


def _ranges(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(str(n) for n in run) for run in runs)

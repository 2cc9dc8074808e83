"""Hints compared with what they are derived from: they may be lost, but must not mislead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor

from recsearch.store.backend import Backend
from recsearch.store.catalog import MAGIC as CATALOG_MAGIC
from recsearch.store.catalog import Catalog
from recsearch.store.layout import Layout
from recsearch.store.lease import MAGIC as LEASE_MAGIC
from recsearch.store.manifest import Manifest
from recsearch.store.pack import Blob, parse_table
from recsearch.store.segment import Segment
from recsearch.store.wire import unframe


class Hints:
    """The files of index and catalog.

    Args:
        backend: Where the store is.
        tick: Called every few seconds at least.

    Attributes:
        stale: Those that are damaged or wrong, and how.
        indexed: Packs of which a copy of the table is in the index.
        copies: Blobs by offset of packs whose own table is not known.
    """

    def __init__(self, backend: Backend, tick: Callable[[], None]):
        self.stale: dict[str, str] = {}
        self.indexed: set[str] = set()
        self.copies: dict[str, Mapping[int, Blob]] = {}
        self._backend = backend
        self._tick = tick
        self._catalog = Catalog(backend)
        self._catalogs: list[str] = []

    def read_index(self, pool: Executor, tables: Mapping[str, Mapping[int, Blob]]) -> None:
        """Compare the index with the tables that the packs themselves have."""
        names = _ours(self._backend, Layout.INDEX, ".idx", ".seg")
        for name, found in zip(names, pool.map(self._read, names), strict=True):
            self._tick()
            ulid = str(Layout.ulid_of(name))
            if isinstance(found, Segment):
                self._compare_segment(name, found, tables)
            elif isinstance(found, list):
                table = {blob.place.offset: blob for blob in found}
                self.indexed.add(ulid)
                if ulid not in tables:
                    self.copies[ulid] = table
                elif table != tables[ulid]:
                    self.stale[name] = "it is not that of its pack"
            elif found is not None:
                self.stale[name] = found

    def read_catalogs(self) -> None:
        """Take note of what they say of manifests; call before :meth:`compare`."""
        for name in _ours(self._backend, Layout.CATALOG, ".cat"):
            try:
                unframe(CATALOG_MAGIC, self._backend.get(name))
                self._catalogs.append(name)
            except FileNotFoundError:
                continue
            except ValueError as error:
                self.stale[name] = str(error)
        if self._catalogs:
            self._catalog.refresh()

    def compare(self, manifests: Iterable[Manifest]) -> None:
        """Compare manifests with what catalogs say of them."""
        packs = self._catalog.packs
        for manifest in manifests:
            row = self._catalog.rows.get(manifest.ref)
            if row is None:
                continue
            places = {(packs[number], offset) for number, offset in row.places.tolist()}
            said = (row.size, row.logical, places)
            if said != (manifest.size, manifest.logical_bytes, manifest.places):
                self.stale |= dict.fromkeys(self._catalogs, "it is not that of its manifests")

    def _compare_segment(
        self, name: str, found: Segment, tables: Mapping[str, Mapping[int, Blob]]
    ) -> None:
        known = {ulid: tables[ulid].values() for ulid in found.packs if ulid in tables}
        if Segment.merge([found], known).encode() == Segment.of(known).encode():
            self.indexed |= known.keys()
        else:
            self.stale[name] = "it is not that of its packs"

    def _read(self, name: str) -> list[Blob] | Segment | str | None:
        try:
            data = self._backend.get(name)
            if name.endswith(".seg"):
                return Segment.decode(data)
            return parse_table(str(Layout.ulid_of(name)), data)
        except FileNotFoundError:
            return None
        except ValueError as error:
            return str(error)


def unreadable_leases(backend: Backend) -> dict[str, str]:
    """The leases of which nobody knows what they protect, and why."""
    found = {}
    for name in _ours(backend, Layout.LEASES, ".pin", ".gc"):
        try:
            unframe(LEASE_MAGIC, backend.get(name))
        except FileNotFoundError:
            continue
        except ValueError as error:
            found[name] = str(error)
    return found


def _ours(backend: Backend, prefix: str, *suffixes: str) -> list[str]:
    """The files of a directory but foreign ones."""
    names = (entry.name for entry in backend.list(prefix))
    return [name for name in names if name.endswith(suffixes) and Layout.ulid_of(name)]

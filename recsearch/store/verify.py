"""Verification: read a store as a restore would, and say what is damaged and who is hit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from recsearch.errors import StoreDamagedError
from recsearch.store.backend import Backend
from recsearch.store.layout import Layout, ManifestName
from recsearch.store.manifest import Manifest, TensorEntry, read_manifest
from recsearch.store.pack import BlobRef, parse_table, read_table
from recsearch.store.reader import BlobDamagedError, nearest_intact, read_blob, read_tensor

Kind: TypeAlias = Literal["manifest", "pack", "blob", "index"]


class Hit(NamedTuple):
    """A checkpoint that cannot be restored, and the epoch of its trial to turn to."""

    key: str
    epoch: int
    nearest_intact: int | None


@dataclass(frozen=True)
class Problem:
    """One damaged thing.

    Attributes:
        kind: What it is.
        what: Which one it is, and how it is damaged.
        checkpoints: The checkpoints that it hits; none for an index or an unreferenced blob.
    """

    kind: Kind
    what: str
    checkpoints: tuple[Hit, ...]


@dataclass(frozen=True)
class VerifyReport:
    """The result of a verification.

    Attributes:
        data: Whether the bytes of all blobs were read and hashed.
        checkpoints: Manifests read.
        packs: Packs read.
        blobs: Blobs described by the packs.
        problems: What is damaged; empty for a sound store.
    """

    data: bool
    checkpoints: int
    packs: int
    blobs: int
    problems: tuple[Problem, ...]


class Verifier:
    """One verification.

    Args:
        backend: Where the store is.
        data: Read and hash all blobs; otherwise only manifests and blob tables.
    """

    def __init__(self, backend: Backend, *, data: bool):
        self._backend = backend
        self._data = data
        self._problems: dict[tuple[Kind, str], set[ManifestName]] = defaultdict(set)
        self._tables: dict[str, set[BlobRef]] = {}
        self._broken: dict[str, str] = {}
        self._tensors: dict[tuple[bytes, tuple[BlobRef, ...]], str | None] = {}
        self._read: set[BlobRef] = set()

    def run(self) -> VerifyReport:
        """Check everything."""
        # Manifests first: what they refer to was there before them.
        manifests = self._manifests()
        self._check_packs()
        for name, manifest in manifests.items():
            self._check_manifest(name, manifest)
        if self._data:
            self._check_rest()
        self._check_indexes()
        return VerifyReport(
            data=self._data,
            checkpoints=len(manifests),
            packs=len(self._tables),
            blobs=sum(len(table) for table in self._tables.values()),
            problems=tuple(self._explain()),
        )

    def _manifests(self) -> dict[ManifestName, Manifest]:
        manifests = {}
        for entry in self._backend.list(Layout.CHECKPOINTS):
            name = Layout.parse_manifest(entry.name)
            if name is None:
                continue
            try:
                manifests[name] = read_manifest(self._backend, name)
            except FileNotFoundError:
                continue
            except StoreDamagedError as error:
                self._problems["manifest", error.message].add(name)
        return manifests

    def _check_packs(self) -> None:
        for entry in self._backend.list(Layout.PACKS):
            ulid = Layout.ulid_of(entry.name)
            if ulid is None or entry.name != Layout.pack(ulid):
                continue
            try:
                self._tables[ulid] = set(read_table(self._backend, ulid))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError) as error:
                self._tables[ulid] = set()
                self._broken[ulid] = f"the table of pack {ulid} is damaged: {error}"
                self._problems["pack", self._broken[ulid]] = set()

    def _check_manifest(self, name: ManifestName, manifest: Manifest) -> None:
        problems: set[tuple[Kind, str]] = set()
        for _, tensor in manifest.tensors:
            problems |= self._check_tensor(tensor)
        if problems and self._backend.head(name.ref) is None:
            return  # dropped and collected since
        for problem in problems:
            self._problems[problem].add(name)

    def _check_tensor(self, tensor: TensorEntry) -> set[tuple[Kind, str]]:
        problems: set[tuple[Kind, str]] = set()
        for ref in tensor.blobs:
            if ref.pack not in self._tables:
                problems.add(("pack", f"pack {ref.pack} is missing"))
            elif ref.pack not in self._broken and ref not in self._tables[ref.pack]:
                problems.add(("blob", f"pack {ref.pack} holds no blob {ref.name.hex()[:12]}"))
        if self._data and not problems:
            cause = self._read_tensor(tensor)
            if cause is not None:
                problems.add(("blob", cause))
        return problems

    def _read_tensor(self, tensor: TensorEntry) -> str | None:
        known = (tensor.hash, tensor.blobs)
        if known not in self._tensors:
            try:
                read_tensor(self._backend, tensor)
                self._tensors[known] = None
                self._read.update(tensor.blobs)
            except BlobDamagedError as error:
                self._tensors[known] = str(error)
        return self._tensors[known]

    def _check_rest(self) -> None:
        for table in self._tables.values():
            for ref in table - self._read:
                try:
                    read_blob(self._backend, ref)
                except BlobDamagedError as error:
                    if self._backend.head(Layout.pack(ref.pack)) is not None:
                        self._problems["blob", str(error)] |= set()

    def _check_indexes(self) -> None:
        for entry in self._backend.list(Layout.INDEX):
            ulid = Layout.ulid_of(entry.name)
            if ulid is None or ulid in self._broken or ulid not in self._tables:
                continue
            try:
                table = set(parse_table(ulid, self._backend.get(entry.name)))
                if table == self._tables[ulid]:
                    continue
                cause = "it is that of another pack"
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError) as error:
                cause = str(error)
            what = f"{entry.name} is damaged ({cause}); delete it, and gc will write it anew"
            self._problems["index", what] = set()

    def _explain(self) -> list[Problem]:
        nearest: dict[ManifestName, int | None] = {}
        problems = []
        for (kind, what), names in sorted(self._problems.items(), key=lambda item: item[0]):
            for name in names - nearest.keys():
                nearest[name] = nearest_intact(self._backend, name.key, name.epoch)
            hits = sorted((n.key, n.epoch, nearest[n]) for n in names)
            problems.append(Problem(kind, what, tuple(Hit(*hit) for hit in hits)))
        return problems

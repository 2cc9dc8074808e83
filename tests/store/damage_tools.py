"""A store that holds every codec, and the damage that tests do to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from store_tools import KEY, OTHER_KEY, CrashError, WrappedBackend, assert_equal, names

from recsearch.errors import StoreDamagedError
from recsearch.state import Part, State
from recsearch.store import Store, catalog, collect
from recsearch.store.backend import Backend, Buffer
from recsearch.store.layout import Layout
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.memory import MemoryBackend
from recsearch.store.pack import Blob, Place, read_table
from recsearch.store.restoring import restore_state

States = dict[tuple[str, int], State]


def trained(seed: int, epoch: int) -> State:
    """The state after an epoch of which each array changes in a way of its own."""
    rng = np.random.default_rng(seed)
    start, step = rng.normal(size=(2, 70, 16)).astype(np.float32)
    walk = rng.normal(size=(70, 16)).astype(np.float32)
    table = rng.normal(size=(600, 4)).astype(np.float32)
    for past in range(1, epoch + 1):
        moves = np.random.default_rng(100 * seed + past)
        walk *= moves.normal(1, 1e-4, size=walk.shape).astype(np.float32)
        rows = moves.choice(600, 40, replace=False)
        table[rows] += moves.normal(size=(40, 4)).astype(np.float32) / 100
    arrays = {
        "line": start + np.float32(epoch / 100) * step,
        "walk": walk,
        "table": table,
        "noise": np.random.default_rng(1000 * seed + epoch).integers(0, 256, 300, np.uint8),
    }
    return {"model": Part(arrays, {"epoch": epoch}), "words": Part({"ids": np.arange(900)})}


def make_trained(backend: Backend) -> States:
    """Two trials, one stored small and one fast, the first with an epoch that is garbage."""
    states: States = {}
    store = Store.on(backend)
    with store.track(codec="small") as small, store.track(codec="fast") as fast:
        for epoch in range(1, 6):
            for key, seed, track in ((KEY, 1, small), (OTHER_KEY, 2, fast)):
                states[key, epoch] = trained(seed, epoch)
                store.save(key, epoch, states[key, epoch], {"epoch": epoch}, track=track)
    store.close()
    for name in names(backend, Layout.checkpoints(OTHER_KEY)):
        if "/000003-" in name:
            backend.delete(name)
    del states[OTHER_KEY, 3]
    return states


class Dying(WrappedBackend):
    """The process dies before its next write or deletion once it has made ``after`` of them.

    Unlike with ``crashing``, what the last of them still has to read can be read.
    """

    def __init__(self, inner: Backend, after: int):
        super().__init__(inner, lambda number: None)
        self._after = after

    def _step(self, *, write: bool) -> None:
        if write and self.count >= self._after:
            raise CrashError
        self.count += write


class Recording(WrappedBackend):
    """Notes the names that are written, and at which operation."""

    def __init__(self, inner: Backend, writes: list[str]):
        super().__init__(inner, lambda number: None)
        self._writes = writes
        self.at: list[int] = []

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        self._writes.append(name)
        self.at.append(self.count)
        return super().put_create(name, chunks, durable=durable)


def merge_hints(backend: Backend) -> None:
    """Have a collection put the index into a segment and the manifests into a catalog."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "MAX_INDEX_FILES", 0)
        patch.setattr(catalog, "_MANY", 1)
        Store.on(backend).collect(max_waste=9)


def copy_of(backend: Backend) -> MemoryBackend:
    copied = MemoryBackend()
    for name in names(backend, ""):
        copied.put_create(name, [backend.get(name)])
    return copied


def content(backend: Backend, prefix: str = "") -> dict[str, bytes]:
    return {name: backend.get(name) for name in names(backend, prefix)}


def put(backend: Backend, name: str, data: bytes) -> None:
    """Replace an object: what a store never does, and damage always does."""
    backend.delete(name)
    backend.put_create(name, [data])


def flip(backend: Backend, name: str, bit: int) -> None:
    data = bytearray(backend.get(name))
    data[bit // 8] ^= 1 << bit % 8
    put(backend, name, bytes(data))


def damage(backend: Backend, place: Place) -> None:
    """Flip a bit of a blob."""
    flip(backend, Layout.pack(place.pack), 8 * place.offset + 5)


def damage_table(backend: Backend, pack: str) -> None:
    """Flip a bit of the table at the end of a pack."""
    name = Layout.pack(pack)
    flip(backend, name, 8 * (len(backend.get(name)) - 60))


def damaged_manifest(backend: Backend, ref: str) -> bool:
    name = Layout.parse_manifest(ref)
    assert name is not None
    try:
        read_manifest(backend, name)
    except StoreDamagedError:
        return True
    return False


def tables(backend: Backend) -> dict[str, list[Blob]]:
    ulids = [str(Layout.ulid_of(name)) for name in names(backend, Layout.PACKS)]
    return {ulid: read_table(backend, ulid) for ulid in ulids}


def manifests(backend: Backend) -> list[Manifest]:
    parsed = (Layout.parse_manifest(name) for name in sorted(names(backend, Layout.CHECKPOINTS)))
    return [read_manifest(backend, name) for name in parsed if name is not None]


def lost_checkpoints(backend: Backend, states: States) -> set[tuple[str, int]]:
    """Those that do not restore, as a process finds that has just begun; none may be wrong."""
    lost = set()
    store = Store.on(backend)
    for (key, epoch), state in states.items():
        try:
            manifest = store.read(key, epoch)
            assert_equal(restore_state(store._source, manifest, threads=1), state)
            assert manifest.info["epoch"] == epoch
        except StoreDamagedError:
            lost.add((key, epoch))
    return lost


def damaged_checkpoints(backend: Backend, level: Any = "data") -> set[tuple[str, int]] | None:
    """Those that a verification names; None where it finds nothing at all."""
    problems = Store.on(backend).verify(level).problems
    if not problems:
        return None
    return {hit[:2] for problem in problems for hit in problem.checkpoints}

"""A process or a machine may die at any moment: what was acknowledged stays, garbage goes."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash_tools import Disk, Story, clean_up, in_memory, small_blocks, told
from store_tools import (
    KEY,
    CrashError,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    crashing,
    make_state,
    names,
)

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.store import Store
from recsearch.store.codec import DELTA, EXTRAPOLATED
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.local import LocalBackend
from recsearch.store.memory import MemoryBackend
from recsearch.store.patch import ROWS, ROWS_DELTA


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)


def test_the_story_has_all_that_can_be_interrupted() -> None:
    backend, story = MemoryBackend(), Story()
    seen: set[str] = set()
    collect = Store.collect

    def collecting(self: Store, **kwargs: Any) -> Any:
        for key in self.keys():
            for epoch in self.epochs(key):
                places = self.read(key, epoch).places
                seen.update(self._source.blob(place).codec for place in places)
        done = collect(self, **kwargs)
        seen.update(name for name in ("swept", "repacked") if getattr(done, name))
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "collect", collecting)
        story.play(backend)
    assert {DELTA, EXTRAPOLATED, ROWS, "swept", "repacked"} <= seen
    assert ROWS_DELTA not in seen
    story.check(backend)
    assert_no_garbage(backend)


def test_crash_after_every_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    for after in range(10_000):
        story, inner = Story(), MemoryBackend()
        try:
            story.play(crashing(inner, after))
        except CrashError:
            story.check(inner)
            clean_up(inner, monkeypatch)
            story.check(inner)
            assert_no_garbage(inner)
        else:
            break
    assert after > 100
    story.check(inner)
    assert_no_garbage(inner)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Disk, list[tuple[int, Story]]]:
    """A story on a real disk, and what was promised after how many system calls."""
    disk = Disk(tmp_path_factory.mktemp("disk") / "store")
    promises: list[tuple[int, Story]] = [(0, Story())]

    class Told(Story):
        def _try(self, action: Callable[[], object]) -> None:
            self._promise()  # what is given up counts from before
            super()._try(action)

        def _save(self, *args: Any) -> None:
            super()._save(*args)
            self._promise()

        def _promise(self) -> None:
            now = Story()
            now.acknowledged, now.given_up = set(self.acknowledged), set(self.given_up)
            promises.append((len(disk.log), now))

    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        disk.record(patch)
        Told().play(LocalBackend(disk.root))
    return disk, promises


def promised(promises: list[tuple[int, Story]], moment: int) -> Story:
    """What has been acknowledged by then, and what has been begun to be dropped at all."""
    story = [story for made, story in promises if made <= moment][-1]
    begun = [story for made, story in promises if made >= moment]
    story.given_up |= begun[0].given_up if begun else set()
    return story


def test_crash_at_every_system_call(lived, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed; what it has done is done."""
    disk, promises = lived
    assert len(disk.log) > 250
    for moment in range(len(disk.log) + 1):
        story, backend = promised(promises, moment), in_memory(disk.killed(moment))
        story.check(backend)
        if moment % 3 == 0 or disk.log[moment - 1][0] == "link":
            clean_up(backend, monkeypatch)
            story.check(backend)
            assert_no_garbage(backend)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_power_lost_at_every_system_call(lived, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The machine dies: what was not synced is there, or is not, or is torn; each as it pleases."""
    disk, promises = lived
    rng = random.Random(seed)  # noqa: S311
    chances = {0: lambda: False, 1: lambda: rng.random() < 0.5, 2: lambda: rng.random() < 0.9}
    for moment in range(len(disk.log) + 1):
        story = promised(promises, moment)
        backend = in_memory(disk.lost_power(moment, chances[seed]))
        story.check(backend, hints=False)
        if moment % 5 == seed:
            clean_up(backend, monkeypatch)
            story.check(backend, hints=False)
            with Store.on(backend) as store:
                store.repair()
            story.check(backend)
            assert_no_garbage(backend)


CHILD = """
import sys
import numpy as np
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store, manifest, series
manifest.BLOCK_BYTES, series.MAX_PATCHES = 2048, 3
key, (root, kind) = "ab" * 32, sys.argv[1:]
store = Store.open(root)
epoch = max(store.epochs(key), default=0)
track = store.track(codec=kind, after=store.read(key, epoch) if epoch else None)

def table(epoch):
    array = np.random.default_rng(1).normal(size=(300, 16))
    for number in range(1, epoch + 1):
        array[[number % 300, number * 37 % 300]] += number
    return array

while True:
    epoch += 1
    state = {"m": Part({"x": table(epoch), "same": np.arange(9.0)})}
    store.save(key, epoch, state, {"e": epoch}, track=track)
    print("saved", epoch, flush=True)
    if epoch % 4 == 0:
        print("dropping", epoch - 5, flush=True)
        store.retain(key, BestAndLast("min", 0, 5), [Record(e, None) for e in range(1, epoch + 1)])
    if epoch % 7 == 0 and sys.argv[2] == "small":
        store.collect(grace_s=0, max_waste=0)
        print("collected", epoch, flush=True)
"""


@pytest.mark.parametrize("kind", ["fast", "small"])
def test_killed_while_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """With SIGKILL, at any moment of saving, dropping and collecting, and continued each time."""
    root = tmp_path / "store"
    last, dropping, collected = 0, 0, 0
    rng = random.Random(kind)  # noqa: S311
    for _ in range(6):
        if kind == "small" and root.exists():
            clean_up(LocalBackend(root), monkeypatch)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root), kind], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        time.sleep(rng.random() / 4)
        child.kill()
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        for verb, number in (line.split() for line in lines if line.endswith("\n")):
            last = int(number) if verb == "saved" else last
            dropping = int(number) if verb == "dropping" else dropping
            collected += verb == "collected"
        with Store.open(root) as store:
            epochs = store.epochs(KEY)
            assert set(range(max(dropping, 0) + 1, last + 1)) <= set(epochs)
            assert max(epochs) <= last + 1
            array = np.random.default_rng(1).normal(size=(300, 16))
            for epoch in range(1, max(epochs) + 1):
                array[[epoch % 300, epoch * 37 % 300]] += epoch
                if epoch in epochs:
                    found = store.restore(KEY, epoch)["m"].tensors["x"]
                    assert found.tobytes() == array.tobytes()
            assert store.verify().problems == ()
    assert last > 10
    for partial in (root / "tmp").iterdir():
        os.utime(partial, (0, 0))
    clean_up(LocalBackend(root), monkeypatch)
    assert_no_garbage(LocalBackend(root))


def test_a_medium_that_is_full_for_a_while_at_every_write() -> None:
    """Each action that fails says so, is tried again, and the story goes on as if nothing was."""
    failed, lasting = 0, 2
    for full in range(10_000):
        inner, story = MemoryBackend(), Story()
        story.retries = lasting + 1
        Store.on(inner).close()

        def before(number: int, full: int = full) -> None:
            if full <= number < full + lasting:
                raise StoreError("cannot write: No space left on device")

        backend = Writes(inner, before)
        story.play(backend)
        failed += story.failures
        story.check(inner)
        if full >= backend.count:
            break
        for _ in range(2):
            Store.on(inner).collect(grace_s=0)
        story.check(inner)
        assert_no_garbage(inner)
    assert full > 60
    assert failed > full / 2, "what is written behind a checkpoint may fail unnoticed"


class Writes(WrappedBackend):
    """Counts what creates files."""

    def _step(self, *, write: bool) -> None:
        pass

    def put_create(self, name: str, chunks: Any, *, durable: bool = True) -> int:
        super()._step(write=True)
        return self.inner.put_create(name, chunks, durable=durable)


@pytest.mark.parametrize("call", ["fsync", "link", "mkdir"])
def test_a_disk_that_is_full_at_every_system_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The error names file and cause; the state is saved by trying once more."""
    real = getattr(os, call)
    for full in range(10_000):
        root, calls, failures = tmp_path / str(full), 0, 0

        def failing(*args: Any, full: int = full, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == full + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        with Store.open(root) as store, store.track() as track:
            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                for epoch in range(1, 5):
                    for _ in range(3):
                        try:
                            store.save(KEY, epoch, told("b", epoch), {}, track=track)
                            break
                        except StoreError as error:
                            failures += 1
                            assert str(root) in error.message
                            assert "No space left" in error.message
                            assert error.hint is not None
                store._saver._thread.submit(int).result()
            for epoch in range(1, 5):
                assert_equal(store.restore(KEY, epoch), told("b", epoch))
        with Store.open(root) as store:
            store.collect(grace_s=0)
            assert store.verify().problems == ()
            assert_no_garbage(store._backend)
        assert failures <= 1
        if calls <= full:
            break
    assert full >= {"fsync": 20, "link": 15, "mkdir": 5}[call]


def test_a_dead_writers_lease_protects_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    store = Store.on(backend)
    staged = store.stage(make_state(1))
    staged._future.result()
    done = Store.on(backend).collect(grace_s=0)
    assert (done.unreferenced_packs, done.pinned_packs) == (0, 1)
    clean_up(backend, monkeypatch)
    assert_no_garbage(backend)


def test_a_damaged_manifest_stops_the_collection(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save(KEY, 1, make_state(1), {})
        store.save(KEY, 2, make_state(2), {})
        (tmp_path / store.read(KEY, 1).ref).write_bytes(b"RSMANI01 torn")
        packs = sorted((tmp_path / "packs").rglob("*.pack"))
        with pytest.raises(StoreDamagedError, match="manifest"):
            store.collect(grace_s=0)
        assert sorted((tmp_path / "packs").rglob("*.pack")) == packs


@pytest.mark.parametrize("suffix", ["pin", "gc"])
def test_a_torn_lease_stops_collections_only_while_it_could_be_live(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {})
        backend.put_create(f"leases/{new_ulid()}.{suffix}", [b"RSLEASE1 torn"])
        with pytest.raises(StoreDamagedError, match="cannot be read"):
            store.collect(grace_s=0)
        clean_up(backend, monkeypatch)
        assert names(backend, Layout.LEASES) == set()
        assert_equal(store.restore(KEY, 1), make_state(1))

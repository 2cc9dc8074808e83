"""A process may die between any two operations: what was acknowledged stays, garbage goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_tools import (
    KEY,
    OTHER_KEY,
    CrashError,
    assert_equal,
    assert_no_garbage,
    crashing,
    later,
    make_state,
)

from recsearch.errors import StoreDamagedError
from recsearch.store import BestAndLast, Record, Store, lease
from recsearch.store.backend import Backend
from recsearch.store.local import LocalBackend
from recsearch.store.memory import MemoryBackend

DAY = 2 * 24 * 3600.0


class Story:
    """A fixed sequence of saves, a retention and two collections, and what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[tuple[str, int]] = set()
        self.given_up: set[tuple[str, int]] = set()

    def play(self, backend: Backend) -> None:
        store = Store.on(backend)
        try:
            self._play(store)
        finally:
            if store._saver is not None:
                store._saver.close()

    def _play(self, store: Store) -> None:
        for epoch in (1, 2, 3):
            self._save(store, KEY, epoch)
        self.given_up = {(KEY, 1)}
        store.retain(KEY, BestAndLast("min"), [Record(e, -e) for e in (1, 2)])
        store.collect(grace_s=0)
        self._save(store, OTHER_KEY, 1)
        self._save(store, KEY, 3)
        self.given_up = {(KEY, 1), (KEY, 2)}
        store.retain(KEY, BestAndLast("min", 0, 1), [Record(e, -e) for e in (1, 2, 3)])
        store.collect(grace_s=0)

    def _save(self, store: Store, key: str, epoch: int) -> None:
        store.save(key, epoch, make_state(epoch), {"epoch": epoch})
        self.acknowledged.add((key, epoch))

    def check(self, backend: Backend) -> None:
        """All that was acknowledged restores, and so does all that is visible."""
        store = Store.on(backend)
        keys = store.keys()
        there = {(key, epoch) for key in keys for epoch in store.epochs(key)}
        assert self.acknowledged - self.given_up <= there
        for key, epoch in there:
            assert_equal(store.restore(key, epoch), make_state(epoch))
            assert store.read(key, epoch).info == {"epoch": epoch}
        assert store.verify().problems == ()


def clean_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next collection, once the dead process's leases are over."""
    with monkeypatch.context() as patch:
        patch.setattr(lease, "time", later(DAY))
        Store.on(backend).collect(grace_s=0)
        Store.on(backend).collect(grace_s=0)


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
    assert after > 25
    story.check(inner)
    assert_no_garbage(inner)


@pytest.fixture
def system_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Arm a crash at the n-th system call that changes the disk; a file not synced is torn."""
    state: dict[str, Any] = {"left": None}

    def step() -> bool:
        if state["left"] is None:
            return False
        state["left"] -= 1
        return bool(state["left"] < 0)

    def wrap(name: str) -> None:
        call = getattr(os, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if step():
                if name == "fsync" and not os.path.isdir(f"/proc/self/fd/{args[0]}"):  # noqa: PTH112
                    os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
                raise CrashError
            return call(*args, **kwargs)

        monkeypatch.setattr(os, name, wrapped)

    for name in ("fsync", "link", "unlink", "mkdir"):
        wrap(name)

    def arm(after: int) -> None:
        state["left"] = after

    yield arm
    state["left"] = None


def test_crash_at_every_system_call(
    tmp_path: Path, system_calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every third call of the whole story, and every call of its first save.
    crashed = 0
    for after in [*range(40), *range(40, 10_000, 3)]:
        root = tmp_path / str(after)
        story = Story()
        system_calls(after)
        try:
            story.play(LocalBackend(root))
        except CrashError:
            crashed += 1
            system_calls(10**9)
            story.check(LocalBackend(root))
            for partial in (root / "tmp").iterdir():
                os.utime(partial, (0, 0))
            clean_up(LocalBackend(root), monkeypatch)
            story.check(LocalBackend(root))
            assert_no_garbage(LocalBackend(root))
        else:
            break
    assert crashed > 50


CHILD = """
import sys
import numpy as np
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store
store = Store.open(sys.argv[1])
epoch = max(store.epochs("ab" * 32), default=0)
while True:
    epoch += 1
    array = np.random.default_rng(epoch).normal(size=(300, 16))
    store.save("ab" * 32, epoch, {"m": Part({"x": array, "same": np.arange(9.0)})}, {"e": epoch})
    print(epoch, flush=True)
"""


def test_killed_while_saving(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    for kill in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "store")], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        acknowledged.add(int(child.stdout.readline()))
        time.sleep(0.01 + 0.037 * kill)
        child.kill()
        acknowledged |= {
            int(line)
            for line in child.stdout.read().splitlines(keepends=True)
            if line.endswith(b"\n")
        }
        child.wait()
        child.stdout.close()
    with Store.open(tmp_path / "store") as store:
        epochs = store.epochs(KEY)
        assert acknowledged <= set(epochs)
        assert epochs == list(range(1, len(epochs) + 1))
        for epoch in epochs:
            found = store.restore(KEY, epoch)["m"].tensors["x"]
            expected = np.random.default_rng(epoch).normal(size=(300, 16))
            assert found.tobytes() == expected.tobytes()
        assert store.verify().problems == ()


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

"""Writers, readers and a collector at once: every interleaving of two, and real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from store_tools import (
    KEY,
    OTHER_KEY,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    later,
    make_state,
    names,
)

from recsearch.errors import CheckpointNotFoundError, StoreError
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store, lease
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

DROP_1 = (BestAndLast("min", 0, 1), [Record(1, 0.0), Record(10, 0.0)])


@pytest.mark.parametrize("warm", [True, False])
def test_a_collection_between_any_two_operations_of_a_writer(warm: bool) -> None:
    for moment in range(200):
        inner = MemoryBackend()
        due: list[int] = []

        def before(number: int, inner: MemoryBackend = inner, due: list[int] = due) -> None:
            if due == [number]:
                due.clear()
                Store.on(inner).collect(grace_s=0)

        backend = WrappedBackend(inner, before)
        with Store.on(backend if warm else inner) as store:
            store.save(KEY, 1, make_state(1), {})
            store.retain(KEY, *DROP_1)
            # Its blobs are known to the writer, and garbage.
            writer = store if warm else Store.on(backend)
            due.append(backend.count + moment)
            writer.save(OTHER_KEY, 1, make_state(1), {})
            writer.close()
        if due:
            break
        with Store.on(inner) as reader:
            assert_equal(reader.restore(OTHER_KEY, 1), make_state(1))
            reader.collect(grace_s=0)
            assert_equal(reader.restore(OTHER_KEY, 1), make_state(1))
            assert_no_garbage(inner)
    assert moment >= 7


def test_a_save_between_any_two_operations_of_a_collection() -> None:
    for moment in range(200):
        inner = MemoryBackend()
        writer = Store.on(inner)
        writer.save(KEY, 1, make_state(1), {})
        writer.retain(KEY, *DROP_1)
        fired = []

        def before(number: int, moment: int = moment, writer: Store = writer) -> None:
            if number == moment:
                fired.append(writer.save(OTHER_KEY, 1, make_state(1), {}))  # noqa: B023

        collector = Store.on(WrappedBackend(inner, before))
        collector.collect(grace_s=0)
        collector.collect(grace_s=0)
        if not fired:
            break
        assert_equal(writer.restore(OTHER_KEY, 1), make_state(1))
        collector.collect(grace_s=0)
        assert_equal(writer.restore(OTHER_KEY, 1), make_state(1))
        assert_no_garbage(inner)
        writer.close()
    assert moment > 20


class Pause:
    """Stops whoever uses the backend before its operation ``at``, until told to go on."""

    def __init__(self, inner: MemoryBackend, at: int):
        self.backend = WrappedBackend(inner, self._before)
        self.reached, self.go = threading.Event(), threading.Event()
        self._at = at

    def _before(self, number: int) -> None:
        if number == self._at:
            self.reached.set()
            assert self.go.wait(10)

    def start(self, action: Callable[[], object]) -> threading.Thread:
        """Run ``action`` until the pause or its end."""

        def run() -> None:
            action()
            self.reached.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert self.reached.wait(10)
        return thread


def test_a_writer_that_overtakes_a_paused_collector_and_is_overtaken() -> None:
    # The collector stops before its n-th operation, the writer runs up to its m-th; then the
    # collector ends, and then the writer.
    outcomes = set()
    for n in range(7, 24):
        for m in range(13):
            inner = MemoryBackend()
            with Store.on(inner) as store:
                store.save(KEY, 1, make_state(1), {})
                store.retain(KEY, *DROP_1)
                store.collect(grace_s=600)
                inner.delete(Layout.tomb(*store_packs(inner))) if n % 2 else None
            collector, writer = Pause(inner, n), Pause(inner, m)
            collecting = collector.start(
                lambda c=collector: Store.on(c.backend).collect(grace_s=0)  # type: ignore[misc]
            )
            saving = writer.start(
                lambda w=writer: save_and_close(Store.on(w.backend))  # type: ignore[misc]
            )
            for side, thread in ((collector, collecting), (writer, saving)):
                side.go.set()
                thread.join(10)
            with Store.on(inner) as reader:
                assert_equal(reader.restore(OTHER_KEY, 1), make_state(1))
                reader.collect(grace_s=0)
                assert_equal(reader.restore(OTHER_KEY, 1), make_state(1))
                outcomes.add(len(reader.read(OTHER_KEY, 1).packs))
            assert_no_garbage(inner)


def store_packs(backend: MemoryBackend) -> list[str]:
    return [str(Layout.ulid_of(name)) for name in names(backend, Layout.PACKS)]


def save_and_close(store: Store) -> None:
    store.save(OTHER_KEY, 1, make_state(1), {})
    store.close()


@pytest.mark.parametrize("equal", [True, False])
def test_two_writers_of_one_epoch_in_every_order(equal: bool) -> None:
    for moment in range(100):
        inner = MemoryBackend()
        other = Store.on(inner)
        second: list[str] = []

        def before(number: int, moment: int = moment, other: Store = other) -> None:
            if number == moment:
                try:
                    other.save(KEY, 1, make_state(1 if equal else 2), {})
                    second.append("saved")  # noqa: B023
                except StoreError:
                    second.append("refused")  # noqa: B023

        store = Store.on(WrappedBackend(inner, before))
        try:
            store.save(KEY, 1, make_state(1), {})
            first = "saved"
        except StoreError:
            first = "refused"
        if not second:
            break
        assert len(names(inner, Layout.CHECKPOINTS)) == 1
        if equal:
            assert (first, second) == ("saved", ["saved"])
            assert_equal(other.restore(KEY, 1), make_state(1))
        else:
            assert {first, *second} == {"saved", "refused"}
            assert_equal(other.restore(KEY, 1), make_state(1 if first == "saved" else 2))
        store.close()
        other.close()
    assert moment > 8


def test_a_reader_of_a_dropped_checkpoint_is_told_so() -> None:
    inner = MemoryBackend()
    with Store.on(inner) as store:
        store.save(KEY, 1, {"m": Part({"x": np.arange(5.0)})}, {})
        manifest = store.read(KEY, 1)

        def before(number: int) -> None:
            if number == 3:
                store.retain(KEY, *DROP_1)
                store.collect(grace_s=0)

        reader = Store.on(WrappedBackend(inner, before))
        with pytest.raises(CheckpointNotFoundError, match="dropped while it was read"):
            reader.restore(KEY, 1)
        assert inner.head(manifest.ref) is None


def test_grace_keeps_packs_for_readers_that_began_before() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {})
        store.retain(KEY, *DROP_1)
        done = store.collect(grace_s=600)
        assert (done.tombstoned, done.swept_packs, done.waiting_packs) == (1, 0, 1)
        assert store.collect(grace_s=600).tombstoned == 0
        assert len(names(backend, Layout.PACKS)) == 1
        assert store.collect(grace_s=0).swept_packs == 1
        assert_no_garbage(backend)


def test_a_tombstoned_pack_is_not_reused_and_a_needed_one_is_spared() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {})
        old = store.read(KEY, 1).packs
        store.retain(KEY, *DROP_1)
        store.collect(grace_s=600)
        store.save(OTHER_KEY, 1, make_state(1), {})
        assert store.read(OTHER_KEY, 1).packs.isdisjoint(old)
        (needed,) = store.read(OTHER_KEY, 1).packs
        backend.put_create(Layout.tomb(needed), [])
        store.collect(grace_s=0)
        assert_no_garbage(backend)
        assert_equal(store.restore(OTHER_KEY, 1), make_state(1))


def test_dry_run_changes_nothing() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {})
        store.retain(KEY, *DROP_1)
        before = names(backend, "")
        done = store.collect(grace_s=0, dry_run=True)
        assert (done.unreferenced_packs, done.dry_run) == (1, True)
        assert done.unreferenced_bytes > 0
        assert names(backend, "") == before


def test_only_one_collects_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        owner = lease.Ownership(backend)
        with pytest.raises(StoreError, match=r"is collecting"):
            store.collect()
        monkeypatch.setattr(lease, "time", later(2 * lease.COLLECTOR_S))
        store.collect()
        assert names(backend, Layout.LEASES) == set()
        owner.release()


def test_a_suspended_collector_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    owner = lease.Ownership(backend)
    monkeypatch.setattr(lease, "COLLECTOR_S", 0.0)
    owner = lease.Ownership(MemoryBackend())
    with pytest.raises(StoreError, match="suspended"):
        owner.check()


def test_a_collector_renews_its_lease_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    owner = lease.Ownership(backend)
    first = names(backend, Layout.LEASES)
    monkeypatch.setattr(lease.Lease, "fresh", False)
    owner.check()
    second = names(backend, Layout.LEASES)
    assert len(second) == 1
    assert second != first
    owner.release()
    assert names(backend, Layout.LEASES) == set()


@pytest.mark.parametrize("collected", [False, True])
def test_a_very_late_commit_is_whole_or_refused(
    monkeypatch: pytest.MonkeyPatch, collected: bool
) -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        staged = store.stage(make_state(1))
        staged._future.result()
        monkeypatch.setattr(lease.Lease, "fresh", False)
        if collected:
            with monkeypatch.context() as patch:
                patch.setattr(lease, "time", later(2 * lease.PIN_S))
                patch.setattr(lease.Lease, "fresh", True)
                store.collect(grace_s=0)
            with pytest.raises(StoreError, match="stage it again"):
                staged.commit(KEY, 1, {})
            assert store.epochs(KEY) == []
        else:
            staged.commit(KEY, 1, {})
            assert_equal(store.restore(KEY, 1), make_state(1))
        assert names(backend, Layout.LEASES) == set()


WRITER = """
import sys
import numpy as np
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store, index
index.REFRESH_S = 0.0
store, key = Store.open(sys.argv[1]), sys.argv[2]
for epoch in range(1, 61):
    shared = np.random.default_rng(epoch // 2 % 3).normal(size=200)
    own = np.random.default_rng([int(key[:2], 16), epoch]).normal(size=50)
    store.save(key, epoch, {"m": Part({"shared": shared, "own": own})}, {})
    store.retain(key, BestAndLast("min", 0, 2), [Record(e, None) for e in range(1, epoch + 1)])
"""

COLLECTOR = """
import sys
from recsearch.errors import StoreDamagedError
from recsearch.store import Store
store = Store.open(sys.argv[1])
print("ready", flush=True)
swept = 0
while not sys.argv[2] in __import__("os").listdir(sys.argv[3]):
    swept += store.collect(grace_s=0).swept_packs
print(swept)
"""


def test_two_processes_write_while_one_collects(tmp_path: Path) -> None:
    root, signal = tmp_path / "store", tmp_path / "signal"
    signal.mkdir()
    Store.open(root).close()
    collector = subprocess.Popen(
        [sys.executable, "-c", COLLECTOR, str(root), "stop", str(signal)],
        stdout=subprocess.PIPE,
        text=True,
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(root), key]) for key in (KEY, OTHER_KEY)
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    (signal / "stop").touch()
    out, _ = collector.communicate()
    assert collector.returncode == 0
    assert int(out.split()[1]) > 0
    with Store.open(root) as store:
        for key in (KEY, OTHER_KEY):
            assert store.epochs(key) == [59, 60]
            for epoch in (59, 60):
                tensors = store.restore(key, epoch)["m"].tensors
                shared = np.random.default_rng(epoch // 2 % 3).normal(size=200)
                own = np.random.default_rng([int(key[:2], 16), epoch]).normal(size=50)
                assert tensors["shared"].tobytes() == shared.tobytes()
                assert tensors["own"].tobytes() == own.tobytes()
        store.collect(grace_s=0)
        assert store.verify().problems == ()
        assert_no_garbage(store._backend)

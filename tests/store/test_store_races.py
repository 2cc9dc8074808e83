"""Writers, readers and a collector at once: every interleaving of two, and real processes."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_tools import (
    KEY,
    OTHER_KEY,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    make_state,
)

from recsearch.errors import CheckpointNotFoundError, StoreError
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.backend import Backend
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


class Actor:
    """Runs an action in a thread, which stops before each of the given operations."""

    def __init__(self, inner: Backend, action: Callable[[Backend], object], stops: list[int]):
        self._stops = stops
        self._rested, self._go = threading.Semaphore(0), threading.Semaphore(0)
        backend = WrappedBackend(inner, self._before)

        def run() -> None:
            try:
                action(backend)
            finally:
                for _ in range(len(stops) + 1):
                    self._rested.release()

        self._thread = threading.Thread(target=run)

    def _before(self, number: int) -> None:
        if number in self._stops:
            self._rested.release()
            assert self._go.acquire(timeout=10)

    def proceed(self) -> None:
        """Run to the next stop, or to the end."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._go.release()
        assert self._rested.acquire(timeout=10)

    def finish(self) -> None:
        """Run to the end."""
        for _ in range(len(self._stops) + 1):
            self._go.release()
        self._thread.join(10)
        assert not self._thread.is_alive()


def collect_at_once(backend: Backend) -> None:
    Store.on(backend).collect(grace_s=0)


def save_equal_state(backend: Backend) -> None:
    with Store.on(backend) as store:
        store.save(OTHER_KEY, 1, make_state(1), {})


@pytest.mark.parametrize("marked", [False, True])
def test_a_writer_and_a_collector_overtake_each_other(marked: bool) -> None:
    # The collector runs up to its n-th operation, the writer up to its m-th, the collector up
    # to a later one, the writer to its end, and the collector to its end.
    reused = set()
    for n, m, step in itertools.product(range(4, 13), range(3, 11), (1, 3, 6, 9)):
        inner = MemoryBackend()
        with Store.on(inner) as store:
            store.save(KEY, 1, make_state(1), {})
            old = store.read(KEY, 1).packs
            store.retain(KEY, *DROP_1)
            if marked:
                store.collect(grace_s=600)
        collector = Actor(inner, collect_at_once, [n, n + step])
        writer = Actor(inner, save_equal_state, [m])
        for actor in (collector, writer, collector):
            actor.proceed()
        writer.finish()
        collector.finish()
        with Store.on(inner) as reader:
            assert_equal(reader.restore(OTHER_KEY, 1), make_state(1))
            reader.collect(grace_s=0)
            assert_equal(reader.restore(OTHER_KEY, 1), make_state(1))
            reused.add(reader.read(OTHER_KEY, 1).packs == old)
        assert_no_garbage(inner)
    assert reused == {False, True}


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
        assert other.epochs(KEY) == [1]
        if equal:
            assert (first, second) == ("saved", ["saved"])
            assert_equal(other.restore(KEY, 1), make_state(1))
        else:
            assert {first, *second} == {"saved", "refused"}
            assert_equal(other.restore(KEY, 1), make_state(1 if first == "saved" else 2))
        store.close()
        other.close()
    assert moment > 8


@pytest.mark.parametrize("writable", [True, False])
def test_a_reader_of_a_dropped_checkpoint_is_told_so(writable: bool) -> None:
    """Dropped and collected before any of its operations: it has all, or says that it is gone."""
    told = set()
    for moment in range(20):
        inner = MemoryBackend()
        with Store.on(inner) as store:
            store.save(KEY, 1, {"m": Part({"x": np.arange(5.0)})}, {})

            def before(number: int, moment: int = moment, store: Store = store) -> None:
                if number == moment:
                    store.retain(KEY, *DROP_1)
                    store.collect(grace_s=0)

            class Reader(WrappedBackend):
                def put_create(self, name: str, *args: Any, **options: Any) -> int:
                    if not writable:
                        raise StoreError("read-only")
                    return super().put_create(name, *args, **options)

            try:
                found = Store.on(Reader(inner, before)).restore(KEY, 1)
            except CheckpointNotFoundError as error:
                told.add("while it was read" if "while" in error.message else "not there")
            else:
                assert found["m"].tensors["x"].tolist() == [0, 1, 2, 3, 4]
                told.add("read")
    # Who can pin what it reads never loses it halfway.
    halfway = set() if writable else {"while it was read"}
    assert told == {"not there", "read"} | halfway


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

"""Writers, readers and a collector at once: every interleaving of two, and real processes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crash_tools
import numpy as np
import pytest
import race_driver
from store_tools import (
    KEY,
    OTHER_KEY,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    drop,
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


def line(step: int) -> dict[str, Part]:
    points = (1 + np.arange(400.0) / 2**20 + step * np.arange(400.0) / 2**23).astype("<f4")
    return {"m": Part({"points": points.reshape(50, 8)}), "n": Part({"same": np.arange(90)})}


def sparse(step: int) -> dict[str, Part]:
    table = np.zeros((50, 8))
    for number in range(1, step + 1):
        table[[number % 50, 7 * number % 50]] = number
    return {"m": Part({"table": table}), "n": Part({"same": np.arange(90)})}


@pytest.mark.parametrize("small", [True, False])
def test_a_collection_between_any_two_operations_of_a_track(
    monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    """All that the third checkpoint refers to is dropped and collected while it is written."""
    crash_tools.small_blocks(monkeypatch)
    state_of = line if small else sparse
    for moment in range(200):
        inner = MemoryBackend()
        due: list[int] = []

        def before(number: int, inner: MemoryBackend = inner, due: list[int] = due) -> None:
            if due and number >= due[0]:
                due.clear()
                with Store.on(inner) as other:
                    drop(other, 1, 2)
                    other.collect(grace_s=0, max_waste=0.0)
                    other.collect(grace_s=0, max_waste=0.0)

        backend = WrappedBackend(inner, before)
        with Store.on(backend) as store:
            track = store.track(codec="small" if small else "fast")
            for epoch in (1, 2):
                store.save(KEY, epoch, state_of(epoch), {}, track=track)
            store._saver._thread.submit(int).result()
            due.append(backend.count + moment)
            for epoch in (3, 4):
                store.save(KEY, epoch, state_of(epoch), {}, track=track)
                store._saver._thread.submit(int).result()
            fired = not due
            due.clear()
            track.close()
        with Store.on(inner) as reader:
            for _ in range(2):
                for epoch in (3, 4):
                    assert_equal(reader.restore(KEY, epoch), state_of(epoch))
                reader.collect(grace_s=0, max_waste=0.0)
            assert reader.verify().problems == ()
        assert_no_garbage(inner)
        if not fired:
            break
    assert moment >= 12


def half_garbage(epoch: int) -> dict[str, Part]:
    return {"m": Part({"own": np.full(300, epoch), "same": np.arange(200.0)})}


def go_on(store: Store) -> None:
    with store.track(after=store.read(KEY, 2)) as track:
        store.save(OTHER_KEY, 2, half_garbage(2), {}, track=track)


ACTIONS: dict[str, Callable[[Store], object]] = {
    "read": lambda store: assert_equal(store.restore(KEY, 2), half_garbage(2)),
    "drop": lambda store: drop(store, 2),
    "adopt": lambda store: store.adopt(KEY, 2, {"owner": "b"}),
    "save": lambda store: store.save(OTHER_KEY, 2, half_garbage(2), {}),
    "go on": go_on,
    "thin": lambda store: store.thin(KEY, 3, ("m", "same"), (2, "m", "same")),
}


@pytest.mark.parametrize("what", list(ACTIONS))
def test_anything_between_any_two_operations_of_a_repack(what: str) -> None:
    """The first pack holds what two epochs share; its other half is garbage when one is dropped."""
    for moment in range(200):
        inner = MemoryBackend()
        other, fired = Store.on(inner), []
        for epoch in (1, 2, 3):
            other.save(KEY, epoch, half_garbage(epoch), {"owner": "a"})
        drop(other, 1)

        def act(number: int, moment: int = moment, other: Store = other) -> None:
            if number == moment:
                fired.append(number)  # noqa: B023
                ACTIONS[what](other)

        with Store.on(WrappedBackend(inner, act)) as collector:
            done = collector.collect(grace_s=0, max_waste=0.0)
            assert done.repacked or what in ("drop", "go on")
        check_after(other, what if fired else "nothing")
        other.close()
        assert_no_garbage(inner)
        if not fired:
            break
    assert moment > 25


def check_after(store: Store, what: str) -> None:
    there = {(KEY, 3)} if what == "drop" else {(KEY, 2), (KEY, 3)}
    there |= {(OTHER_KEY, 2)} if what in ("save", "go on") else set()
    for _ in range(2):
        assert {(key, e) for key in store.keys() for e in store.epochs(key)} == there  # noqa: SIM118
        for key, epoch in there:
            state = store.restore(key, epoch, remake=lambda part, name, array: array)
            assert_equal(state, half_garbage(epoch))
        assert store.verify().problems == ()
        store.collect(grace_s=0, max_waste=0.0)
    if what == "adopt":
        assert drop(store, 2, owner="a") == [2]
        assert_equal(store.restore(KEY, 2), half_garbage(2))


@pytest.mark.parametrize("what", ["adopt", "go on", "thin"])
def test_a_collection_between_any_two_operations_of_who_relies_on_a_checkpoint(what: str) -> None:
    """Epoch 2 is dropped and collected meanwhile: what comes of it is whole, or is refused."""
    outcomes = set()
    for moment in range(100):
        inner = MemoryBackend()
        with Store.on(inner) as store:
            for epoch in (2, 3):
                store.save(KEY, epoch, {"m": Part({"same": np.arange(9.0) * epoch})}, {})
        fired: list[int] = []

        def before(number: int, moment: int = moment, inner: MemoryBackend = inner) -> None:
            if number == moment and not fired:  # noqa: B023
                fired.append(number)  # noqa: B023
                with Store.on(inner) as other:
                    drop(other, 2)
                    other.collect(grace_s=0)

        with Store.on(WrappedBackend(inner, before)) as store:
            try:
                RELYING[what](store)
                outcomes.add("done")
            except CheckpointNotFoundError:
                outcomes.add("refused")
        with Store.on(inner) as reader:
            for _ in range(2):
                for key in reader.keys():  # noqa: SIM118
                    for epoch in reader.epochs(key):
                        found = reader.restore(key, epoch, remake=lambda _, __, array: array * 1.5)
                        expected = {"m": Part({"same": np.arange(9.0) * epoch})}
                        assert_equal(found, expected)
                reader.collect(grace_s=0)
            assert reader.verify().problems == ()
        assert_no_garbage(inner)
        if not fired:
            break
    assert moment > 5
    assert outcomes == ({"done"} if what == "thin" else {"done", "refused"})


def go_on_from_2(store: Store) -> None:
    with store.track(after=store.read(KEY, 2)) as track:
        state = {"m": Part({"same": np.arange(9.0) * 2})}
        store.save(OTHER_KEY, 2, state, {}, track=track)


RELYING: dict[str, Callable[[Store], object]] = {
    "adopt": lambda store: store.adopt(KEY, 2, {"owner": "b"}),
    "go on": go_on_from_2,
    "thin": lambda store: store.thin(KEY, 3, ("m", "same"), (2, "m", "same")),
}


def test_many_processes_write_read_and_collect_at_once(tmp_path: Path) -> None:
    """Eight writers, two readers, one collector; benchmarks/store runs the same for longer."""
    raced = race_driver.race(tmp_path, 600)
    assert raced.commits == 600
    assert (raced.lost, raced.dangling, raced.garbage, raced.wrong) == (0, 0, 0, 0)
    assert raced.swept > 0
    assert raced.reads > 0
    with Store.open(tmp_path / "store") as store:
        assert len(store.keys()) == 8
        for key in store.keys():  # noqa: SIM118
            assert len(store.epochs(key)) == race_driver.KEPT
        assert_no_garbage(store._backend)

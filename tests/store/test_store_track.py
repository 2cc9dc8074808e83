"""A trainer's successive states: whatever fails or happens in between, each restores exactly."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from store_tools import (
    KEY,
    OTHER_KEY,
    any_bits,
    assert_equal,
    assert_no_garbage,
    changed,
    drop,
    names,
)

from recsearch.errors import StoreError
from recsearch.state import Part
from recsearch.store import Store, lease, series
from recsearch.store.backend import Buffer
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend
from recsearch.store.saver import Memory, Saver


class Walk:
    """Successive states of one trainer: two tables, of which some rows change at a time."""

    def __init__(self, seed: int = 0, rows: int = 500):
        self.rng = np.random.default_rng(seed)
        self.tables = {name: any_bits(self.rng, "<f4", (rows, 8)) for name in "ab"}
        self.told: list[dict[str, Part]] = []

    def step(self, count: int = 20, *, hinted: bool = True) -> dict[str, Part]:
        """Change ``count`` rows of each table in place; the state, hinted or not."""
        touched = {}
        for name, table in self.tables.items():
            ids = self.rng.choice(len(table), count, replace=False)
            table[:] = changed(self.rng, table, ids)
            touched[name] = ids
        self.told.append({"m": Part({n: t.copy() for n, t in self.tables.items()})})
        return {"m": Part(self.tables, touched=touched if hinted else {})}

    def check(self, store: Store, epoch: int, number: int | None = None, key: str = KEY) -> None:
        assert_equal(store.restore(key, epoch), self.told[(number or epoch) - 1])


class FailingBackend(MemoryBackend):
    """Refuses the writes whose numbers are in ``failing``; only some names are counted."""

    def __init__(self, *counted: str) -> None:
        super().__init__()
        self.failing: set[int] = set()
        self.writes = 0
        self._counted = counted or ("",)

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        self.writes += name.startswith(self._counted)
        if name.startswith(self._counted) and self.writes in self.failing:
            raise StoreError(f"cannot write {name}: the medium is full")
        return super().put_create(name, chunks, durable=durable)

    def fail_next(self, *numbers: int) -> None:
        self.failing = {self.writes + number for number in numbers}


def collect(backend: MemoryBackend) -> None:
    with Store.on(backend) as store:
        store.collect(grace_s=0)
        store.collect(grace_s=0)


@pytest.mark.parametrize("codec", ["fast", "small"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_what_follows_a_failed_save_restores_exactly(codec, number: int) -> None:
    """Whether pin, pack, index or manifest cannot be written; hints of the lost state are lost."""
    backend, walk = FailingBackend(), Walk()
    with Store.on(backend) as store, store.track(codec=codec) as track:
        for _ in (1, 2):
            store.save(KEY, len(walk.told) + 1, walk.step(), {}, track=track)
        store._saver._thread.submit(int).result()  # what is written behind does not count
        backend.fail_next(number)
        with pytest.raises(StoreError, match="medium is full"):
            store.save(KEY, 3, walk.step(), {}, track=track)
        for epoch in (4, 5, 6):
            store.save(KEY, epoch, walk.step(), {}, track=track)
        for epoch in (1, 2, 4, 5, 6):
            walk.check(store, epoch)
        assert store.read(KEY, 6).parts["m"].tensors["a"].patches
        assert store.verify().problems == ()
    drop(store, 1, 2, 4, 5)
    collect(backend)
    walk.check(store, 6)
    assert_no_garbage(backend)


def test_states_that_were_staged_before_the_failure_was_known_are_refused() -> None:
    """The rows of the second are changes of a state that nobody has."""
    backend, walk = FailingBackend(), Walk()
    with Store.on(backend) as store, store.track() as track:
        store.save(KEY, 1, walk.step(), {}, track=track)
        gate = threading.Event()
        store._saver._thread.submit(gate.wait)
        backend.fail_next(2)
        staged = [track.stage(walk.step()) for _ in range(3)]
        gate.set()
        for number, one in enumerate(staged, 2):
            with pytest.raises(StoreError, match=r"full|could not be written; stage it again"):
                one.commit(KEY, number, {})
            one.abandon()
        for epoch in (5, 6):
            store.save(KEY, epoch, walk.step(), {}, track=track)
        assert store.epochs(KEY) == [1, 5, 6]
        for epoch in (1, 5, 6):
            walk.check(store, epoch)


def test_a_failure_behind_a_checkpoint_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are rewritten for later can be left as they are."""
    monkeypatch.setattr(series, "MAX_PATCHES", 3)
    backend, walk = FailingBackend(Layout.PACKS, Layout.LEASES), Walk()
    rebase, failed = Saver.rebase, []

    def failing(self: Saver, memory: Memory) -> None:
        before = backend.writes
        if len(walk.told) < 10:
            backend.fail_next(1 + len(walk.told) % 2)
        try:
            rebase(self, memory)
        finally:
            failed.append(backend.writes - before)
            backend.fail_next()

    monkeypatch.setattr(Saver, "rebase", failing)
    with Store.on(backend) as store, store.track() as track:
        for epoch in range(1, 20):
            store.save(KEY, epoch, walk.step(), {}, track=track)
            store._saver._thread.submit(int).result()
            assert len(names(backend, Layout.LEASES)) == 1
        for epoch in range(1, 20):
            walk.check(store, epoch)
        patches = [len(store.read(KEY, e).parts["m"].tensors["a"].patches) for e in range(1, 20)]
    assert {1, 2} <= set(failed[:10])
    assert max(patches[:10]) > 6
    assert max(patches[11:]) <= 3


@pytest.mark.parametrize("codec", ["fast", "small"])
def test_an_abandoned_state_is_still_what_the_next_one_is_a_change_of(codec) -> None:
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store, store.track(codec=codec) as track:
        store.save(KEY, 1, walk.step(), {}, track=track)
        for _ in (2, 3):
            track.stage(walk.step()).abandon()
            collect(backend)
        store.save(KEY, 4, walk.step(), {}, track=track)
        collect(backend)
        walk.check(store, 4)
        assert len(store.read(KEY, 4).parts["m"].tensors["a"].patches) == 3
        drop(store, 1)
    collect(backend)
    walk.check(store, 4)
    assert_no_garbage(backend)


def test_two_tracks_do_not_know_each_other() -> None:
    backend, walks = MemoryBackend(), (Walk(1), Walk(2))
    with Store.on(backend) as store, store.track() as one, store.track(codec="small") as two:
        for epoch in range(1, 6):
            for key, walk, track in zip((KEY, OTHER_KEY), walks, (one, two), strict=True):
                store.save(key, epoch, walk.step(), {}, track=track)
        drop(store, 1, 2, 3, 4)
        collect(backend)
        walks[0].check(store, 5)
        for epoch in range(1, 6):
            walks[1].check(store, epoch, key=OTHER_KEY)


def test_an_array_that_is_left_out_for_a_while_is_stored_when_it_returns() -> None:
    """Nothing keeps its blocks meanwhile: they may have been collected."""
    backend, walk = MemoryBackend(), Walk()
    extra = any_bits(np.random.default_rng(9), "<f8", (50, 3))
    with Store.on(backend) as store, store.track() as track:
        for epoch in range(1, 8):
            with_it = epoch in (1, 5, 6)
            part = Part({"x": extra}, touched={"x": [1]} if epoch == 6 else {})
            state = {**walk.step(400), **({"n": part} if with_it else {})}
            if epoch == 6:
                extra[1] += 1
            store.save(KEY, epoch, state, {}, track=track)
            told = {"n": Part({"x": extra.copy()})} if with_it else {}
            walk.told[-1] |= told
            drop(store, epoch - 1)
            collect(backend)
            walk.check(store, epoch)


@pytest.mark.parametrize("codec", ["fast", "small"])
def test_a_table_may_grow_and_change_its_dtype(codec) -> None:
    rng, states = np.random.default_rng(0), []
    with Store.on(MemoryBackend()) as store, store.track(codec=codec) as track:
        for epoch in range(1, 13):
            dtype, rows = (("<f4", 60), ("<f8", 60), ("<f4", 90), ("<f4", 60))[(epoch - 1) // 3]
            if epoch % 3 == 1:
                table = any_bits(rng, dtype, (rows, 4))
            table = changed(rng, table, np.array([3, 5]))
            states.append({"m": Part({"x": table})})
            part = Part({"x": table}, touched={"x": [5, 3]})
            store.save(KEY, epoch, {"m": part}, {}, track=track)
        for epoch, state in enumerate(states, 1):
            assert_equal(store.restore(KEY, epoch), state)
            patches = store.read(KEY, epoch).parts["m"].tensors["x"].patches
            assert len(patches) == (epoch - 1) % 3


@pytest.mark.parametrize("small_first", [True, False])
def test_the_codec_may_change_when_a_trial_goes_on(small_first: bool) -> None:
    backend, walk = MemoryBackend(), Walk()
    codecs = ("small", "fast") if small_first else ("fast", "small")
    with Store.on(backend) as store:
        after = None
        for first, codec in zip(range(1, 13, 3), codecs * 2, strict=True):
            with store.track(codec=codec, after=after) as track:
                for epoch in range(first, first + 3):
                    state = walk.step(20 if epoch % 2 else 400)
                    store.save(KEY, epoch, state, {}, track=track)
            after = store.read(KEY)
        drop(store, *range(1, 10))
        collect(backend)
        for epoch in (10, 11, 12):
            walk.check(store, epoch)


def test_a_resumed_trainer_stores_only_what_changes() -> None:
    backend, walk = MemoryBackend(), Walk(rows=5000)
    with Store.on(backend) as store:
        with store.track() as track:
            for epoch in (1, 2):
                first = store.save(KEY, epoch, walk.step(), {}, track=track)
        with store.track(after=store.read(KEY, 2)) as track:
            for epoch, hinted in ((3, True), (4, False)):
                saved = store.save(KEY, epoch, walk.step(hinted=hinted), {}, track=track)
                assert saved.stored_bytes < 1.5 * first.stored_bytes < 0.05 * first.logical_bytes
                assert len(store.read(KEY, epoch).parts["m"].tensors["a"].patches) == epoch - 1
        for epoch in (1, 2, 3, 4):
            walk.check(store, epoch)


def test_another_trial_may_go_on_from_a_checkpoint() -> None:
    """As in population based training: the clone adds its own rows to shared blocks."""
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store, store.track() as track:
        for epoch in (1, 2):
            store.save(KEY, epoch, walk.step(), {}, track=track)
        with store.track(after=store.read(KEY, 2)) as clone:
            drop(store, 1, 2)
            collect(backend)
            store.save(OTHER_KEY, 3, walk.step(), {}, track=clone)
    collect(backend)
    walk.check(store, 3, key=OTHER_KEY)
    assert store.epochs(KEY) == []
    assert_no_garbage(backend)


def test_a_trainer_that_goes_on_from_what_is_gone_stores_everything() -> None:
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store, store.track() as track:
        store.save(KEY, 1, walk.step(), {}, track=track)
        gone = store.read(KEY, 1)
        track.close()
        drop(store, 1)
        collect(backend)
        with store.track(after=gone) as late:
            store.save(KEY, 2, walk.step(), {}, track=late)
        walk.check(store, 2)
        drop(store, 2)
    collect(backend)
    assert_no_garbage(backend)


def test_a_trainer_that_goes_on_from_what_is_damaged_stores_everything() -> None:
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store:
        store.save(KEY, 1, walk.step(), {})
        (pack,) = names(backend, Layout.PACKS)
        data, when = backend._objects[pack]
        backend._objects[pack] = (bytes([data[0] ^ 1]) + data[1:], when)
        with store.track(after=store.read(KEY, 1)) as track:
            store.save(KEY, 2, walk.step(), {}, track=track)
        walk.check(store, 2)


@pytest.mark.parametrize("hinted", [True, False])
def test_a_trainer_whose_pin_has_expired_relies_on_nothing(
    monkeypatch: pytest.MonkeyPatch, hinted: bool
) -> None:
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store, store.track() as track:
        for epoch in (1, 2):
            store.save(KEY, epoch, walk.step(hinted=hinted), {}, track=track)
        store._saver._thread.submit(int).result()
        drop(store, 1, 2)
        with monkeypatch.context() as patch:
            patch.setattr(lease.Lease, "fresh", False)
            for pin in names(backend, Layout.LEASES):
                backend.delete(pin)
            collect(backend)
            staged = track.stage(walk.step(hinted=hinted))
            staged._future.result()
        staged.commit(KEY, 3, {})
        walk.check(store, 3)
        store.save(KEY, 4, walk.step(hinted=hinted), {}, track=track)
        collect(backend)
        walk.check(store, 4)


def test_a_pin_ages_by_whichever_clock_went_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock stands still while the machine sleeps; the other may be set back."""
    now = {"monotonic": 100.0, "time": 1e9}
    for clock in now:
        monkeypatch.setattr(lease.time, clock, lambda clock=clock: now[clock])
    pins = {clock: lease.pin(MemoryBackend(), []) for clock in now}
    assert all(pin.fresh and not pin.expired for pin in pins.values())
    for clock in now:
        was = dict(now)
        now["time"] -= 1e6
        now[clock] = was[clock] + 0.6 * lease.PIN_S
        assert not pins[clock].fresh
        assert not pins[clock].expired
        now[clock] = was[clock] + lease.PIN_S
        assert pins[clock].expired
        now.update(was)


def test_a_closed_track_begins_anew() -> None:
    """It has forgotten what it cannot protect any more."""
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store:
        track = store.track()
        store.save(KEY, 1, walk.step(), {}, track=track)
        track.close()
        store._saver._thread.submit(int).result()
        assert names(backend, Layout.LEASES) == set()
        drop(store, 1)
        collect(backend)
        store.save(KEY, 2, walk.step(), {}, track=track)
        track.close()
        track.close()
        walk.check(store, 2)


@pytest.mark.parametrize("commit_late", [True, False])
def test_a_store_may_be_closed_before_its_track(commit_late: bool) -> None:
    backend, walk = MemoryBackend(), Walk()
    store = Store.on(backend)
    track = store.track()
    store.save(KEY, 1, walk.step(), {}, track=track)
    staged = track.stage(walk.step())
    if not commit_late:
        staged.commit(KEY, 2, {})
    store.close()
    if commit_late:
        staged.commit(KEY, 2, {})
    track.close()
    assert names(backend, Layout.LEASES) == set()
    for epoch in (1, 2):
        walk.check(Store.on(backend), epoch)
    with pytest.raises(StoreError, match="closed"):
        track.stage(walk.step())


def test_a_forked_child_leaves_the_pin_of_its_parent(tmp_path: Path) -> None:
    walk = Walk()
    with Store.open(tmp_path) as store, store.track() as track:
        for epoch in (1, 2):
            store.save(KEY, epoch, walk.step(), {}, track=track)
        store._saver._thread.submit(int).result()
        pins = names(store._backend, Layout.LEASES)
        state = walk.step()
        child = os.fork()
        if child == 0:
            try:
                for epoch in (3, 4):
                    store.save(OTHER_KEY, epoch, state, {}, track=track)
                track.close()
                store.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert names(store._backend, Layout.LEASES) == pins
        store.save(KEY, 3, state, {}, track=track)
        for epoch in (1, 2, 3):
            walk.check(store, epoch)
        for epoch in (3, 4):
            walk.check(store, epoch, 3, OTHER_KEY)


def test_constant_parts_have_packs_of_their_own_also_in_a_track() -> None:
    backend, walk = MemoryBackend(), Walk()
    vocabulary = {"v": Part({"ids": np.arange(300)}, constant=True)}
    with Store.on(backend) as store, store.track() as track:
        for epoch in (1, 2, 3):
            store.save(KEY, epoch, {**walk.step(400, hinted=False), **vocabulary}, {}, track=track)
        assert len(names(backend, Layout.PACKS)) == 4
        drop(store, 1, 2)
        collect(backend)
        assert len(names(backend, Layout.PACKS)) == 2
        assert_equal(store.restore(KEY, 3, ["v"]), vocabulary)


def test_a_long_wait_between_staging_and_commit_changes_nothing() -> None:
    """Several states on their way at once are committed in any order."""
    backend, walk = MemoryBackend(), Walk()
    with Store.on(backend) as store, store.track() as track:
        staged = [track.stage(walk.step()) for _ in range(4)]
        for epoch in (3, 1, 4, 2):
            staged[epoch - 1].commit(KEY, epoch, {})
            collect(backend)
        for epoch in (1, 2, 3, 4):
            walk.check(store, epoch)
    collect(backend)
    assert names(backend, Layout.LEASES) == set()

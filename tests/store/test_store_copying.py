"""Copies between stores: complete, exact, resumable, and safe from collections on both sides."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from store_tools import (
    KEY,
    OTHER_KEY,
    CrashError,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    crashing,
    make_state,
    names,
)

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.state import Part, State
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.backend import Backend
from recsearch.store.copying import Copied
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

EPOCHS = range(1, 6)


def states() -> dict[int, State]:
    """Differences, extrapolations, row patches, shared and constant arrays."""
    rng = np.random.default_rng(0)
    table, dense = rng.normal(size=(600, 8)), np.linspace(0, 1, 4000)
    found = {}
    for epoch in EPOCHS:
        table = table.copy()
        table[rng.integers(0, 600, 9)] += 1
        model = {"table": table, "dense": dense * (1 + 0.001 * epoch), "same": dense}
        constant = Part({"ids": np.arange(600)}, constant=True)
        found[epoch] = {"model": Part(model, {"epoch": epoch}), "vocabulary": constant}
    return found


STATES = states()


def fill(backend: Backend) -> Store:
    store = Store.on(backend)
    with store.track(codec="small") as track:
        for epoch, state in STATES.items():
            store.save(KEY, epoch, state, {"owner": "run/1", "epoch": epoch}, track=track)
    store.adopt(KEY, 2, {"owner": "other/7"})
    store.pin(KEY, 3, "paper", "cited")
    store.save(OTHER_KEY, 1, make_state(1), {})
    return store


def check(target: Backend) -> None:
    copy = Store.on(target)
    assert copy.epochs(KEY) == list(EPOCHS)
    for epoch, state in STATES.items():
        assert_equal(copy.restore(KEY, epoch), state)
    infos = [(m.epoch, m.info.get("owner")) for m in copy.manifests(KEY)]
    mine = [(epoch, "run/1") for epoch in EPOCHS]
    assert sorted(infos) == sorted([*mine, (2, "other/7"), (3, "pin:paper")])
    assert copy.pins()["paper"].info["reason"] == "cited"
    assert copy.verify("restore").problems == ()


def test_a_copy_is_exact_and_made_once() -> None:
    source, target = MemoryBackend(), MemoryBackend()
    store, copy = fill(source), Store.on(target)
    seen: list[int] = []
    done = store.copy_to(copy, KEY, progress=lambda manifest: seen.append(manifest.epoch))
    assert (done.copied, done.present) == (7, 0)
    assert seen == [1, 2, 2, 3, 3, 4, 5]
    check(target)
    assert copy.keys() == [KEY]
    before = names(target, "")
    assert store.copy_to(copy, KEY) == Copied(0, 7, 0)
    assert names(target, "") == before
    assert store.copy_to(copy).copied == 1  # the other trial
    assert_no_garbage(target)
    # What is shared or a difference in the one store is so in the other.
    assert sum(e.size for e in target.list(Layout.PACKS)) <= sum(
        e.size for e in source.list(Layout.PACKS)
    )


def test_one_epoch_is_copied_with_all_that_it_needs() -> None:
    store, target = fill(MemoryBackend()), MemoryBackend()
    assert store.copy_to(Store.on(target), KEY, 4).copied == 1
    assert_equal(Store.on(target).restore(KEY, 4), STATES[4])
    assert store.copy_to(Store.on(target), KEY).copied == 6
    check(target)


def test_arrays_that_are_computed_stay_so() -> None:
    source, target = MemoryBackend(), MemoryBackend()
    store = Store.on(source)
    for epoch in (1, 2):
        store.save(KEY, epoch, make_state(epoch), {})
    assert store.thin(KEY, 2, ("model", "bias"), (1, "model", "items"))
    store.copy_to(Store.on(target), KEY, 2)
    bias = make_state(2)["model"].tensors["bias"]
    found = Store.on(target).restore(KEY, 2, remake=lambda *_: bias)
    assert_equal(found, make_state(2))


def test_a_copy_that_stops_after_any_operation_goes_on() -> None:
    source = MemoryBackend()
    store = fill(source)
    for moment in range(200):
        target = MemoryBackend()
        Store.on(target)
        try:
            store.copy_to(Store.on(crashing(target, moment)), KEY)
            ended = True
        except CrashError:
            ended = False
        half = Store.on(target)
        for manifest in half.manifests():
            assert_equal(half.restore(KEY, manifest.epoch), STATES[manifest.epoch])
        there = len(list(half.manifests()))
        done = store.copy_to(half, KEY)
        assert (done.copied, done.present) == (7 - there, there)
        check(target)
        if ended:
            break
    assert ended
    assert moment > 30


def test_another_state_for_the_same_epoch_is_refused() -> None:
    store, target = fill(MemoryBackend()), MemoryBackend()
    copy = Store.on(target)
    for state in (make_state(5), STATES[1]):
        copy.save(KEY, 2, state, {"owner": "run/1"})
        with pytest.raises(StoreError, match="has another content; it was left as it is"):
            store.copy_to(copy, KEY)
        assert_equal(copy.restore(KEY, 2), state)
        copy.drop(copy.read(KEY, 2))
    tensors = {**STATES[4]["model"].tensors, "dense": STATES[2]["model"].tensors["dense"]}
    copy.save(KEY, 4, {**STATES[4], "model": Part(tensors, {"epoch": 4})}, {"owner": "run/1"})
    with pytest.raises(StoreError, match="has another content; it was left as it is"):
        store.copy_to(copy, KEY, 4)
    # Patches hide that an array differs until theirs and ours can be read.
    table = np.array(STATES[2]["model"].tensors["table"])
    table[0, 0] += 1
    model = Part({**STATES[2]["model"].tensors, "table": table}, {"epoch": 2})
    with copy.track(codec="small") as track:
        copy.save(OTHER_KEY, 1, STATES[1], {}, track=track)
        copy.save(KEY, 2, {**STATES[2], "model": model}, {"owner": "x"}, track=track)
    assert copy.read(KEY, 2).parts["model"].tensors["table"].hash is None
    with pytest.raises(StoreError, match="another content"):
        store.copy_to(copy, KEY, 2)


def test_damage_of_the_source_is_named_and_does_not_spread(tmp_path: Path) -> None:
    store = fill_local(tmp_path / "a")
    (pack,) = store.read(OTHER_KEY, 1).packs
    path = tmp_path / "a" / Layout.pack(pack)
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    with Store.open(tmp_path / "b") as target:
        with pytest.raises(StoreDamagedError, match="cannot be restored from"):
            Store.open(tmp_path / "a").copy_to(target, OTHER_KEY)
        assert target.keys() == []


def fill_local(path: Path) -> Store:
    store = Store.open(path)
    store.save(OTHER_KEY, 1, make_state(1), {})
    return store


class Lying(MemoryBackend):
    """Stores packs with one bit turned over."""

    def put_create(self, name, chunks, *, durable=True):  # type: ignore[no-untyped-def]
        data = bytearray(b"".join(bytes(chunk) for chunk in chunks))
        if name.startswith(Layout.PACKS):
            data[5] ^= 1
        return super().put_create(name, [bytes(data)], durable=durable)


def test_what_is_copied_is_read_back_before_it_counts() -> None:
    store, target = fill(MemoryBackend()), Lying()
    with pytest.raises(StoreDamagedError, match="does not read back as it was written"):
        store.copy_to(Store.on(target), KEY)
    assert names(target, Layout.CHECKPOINTS) == set()


DROP = BestAndLast("min", 0, 1), [Record(epoch, 0.0) for epoch in EPOCHS]


def sweep(backend: Backend) -> None:
    """Drop all epochs but the last and what is pinned, and collect without any grace."""
    store = Store.on(backend)
    store.retain(KEY, *DROP)
    for _ in range(2):
        store.collect(grace_s=0)


def at(moment: int, backend: Backend) -> WrappedBackend:
    return WrappedBackend(backend, lambda number: sweep(backend) if number == moment else None)


def test_the_source_is_collected_between_any_two_operations() -> None:
    for moment in itertools.count():
        source, target = MemoryBackend(), MemoryBackend()
        fill(source)
        wrapped = at(moment, source)
        Store.on(wrapped).copy_to(Store.on(target), KEY)
        copy = Store.on(target)
        assert {3, 5} <= set(copy.epochs(KEY))
        for epoch in copy.epochs(KEY):
            assert_equal(copy.restore(KEY, epoch), STATES[epoch])
        if wrapped.count <= moment:
            break
    assert moment > 50


def test_the_target_is_collected_between_any_two_operations() -> None:
    """It has packs that the copy refers to, and what needed these is dropped."""
    source, before = MemoryBackend(), MemoryBackend()
    store = fill(source)
    for epoch in (1, 2, 4):
        store.copy_to(Store.on(before), KEY, epoch)
    for moment in itertools.count():
        target = MemoryBackend()
        for entry in before.list(""):
            target.put_create(entry.name, [before.get(entry.name)])
        wrapped = at(moment, target)
        store.copy_to(Store.on(wrapped), KEY)
        assert Store.on(target).verify("restore").problems == ()
        for epoch in (3, 5):
            assert_equal(Store.on(target).restore(KEY, epoch), STATES[epoch])
        if wrapped.count <= moment:
            break
    assert moment > 50


def test_a_block_that_is_encoded_otherwise_there_is_not_mistaken_for_this_one() -> None:
    store, target = fill(MemoryBackend()), MemoryBackend()
    copy = Store.on(target)
    for epoch, state in STATES.items():
        copy.save(OTHER_KEY, epoch, state, {})
    store.copy_to(copy, KEY)
    check(target)

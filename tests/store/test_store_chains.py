"""Differences on top of each other: bounded, protected, and told from what was really stored."""

from __future__ import annotations

import numpy as np
import pytest
from store_tools import KEY, OTHER_KEY, assert_equal, drop, names

from recsearch.state import Part
from recsearch.store import Store, index, series
from recsearch.store.codec import EXTRAPOLATED
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

THIRD_KEY = "ef" * 32


def line(step: float, rows: int = 3000) -> dict[str, Part]:
    """Points that move along straight lines: extrapolation tells the next state."""
    rng = np.random.default_rng(5)
    start, speed = 1 + rng.random((rows, 8)) / 2, rng.random((rows, 8)) / 10
    return {"m": Part({"x": (start + step * speed).astype("<f4")})}


def collect(backend: MemoryBackend) -> None:
    with Store.on(backend) as store:
        store.collect(grace_s=0)
        store.collect(grace_s=0)


def chain_of(store: Store, key: str, epoch: int) -> list[str]:
    (chain,) = store.read(key, epoch).parts["m"].tensors["x"].blocks
    return [store._source.blob(place).codec for place in chain]


def test_differences_are_bounded_and_need_nothing_else() -> None:
    """Every epoch restores from its own chain, whatever else has been dropped."""
    backend = MemoryBackend()
    epochs = range(1, 2 * series.MAX_CHAIN + 6)
    with Store.on(backend) as store:
        with store.track(codec="small") as track:
            for epoch in epochs:
                store.save(KEY, epoch, line(epoch), {}, track=track)
        chains = [chain_of(store, KEY, epoch) for epoch in epochs]
        assert max(len(chain) for chain in chains) == series.MAX_CHAIN + 1
        assert sum(len(chain) == 1 for chain in chains) == 3
        assert sum(chain[0] == EXTRAPOLATED for chain in chains) > series.MAX_CHAIN
        sizes = [
            store._source.blob(store.read(KEY, e).parts["m"].tensors["x"].blocks[0][0]).stored
            for e in (1, 3)
        ]
        assert sizes[1] < 0.3 * sizes[0]
        for kept in (epochs[-1], epochs[-2], series.MAX_CHAIN + 1):
            copy = MemoryBackend()
            copy._objects = dict(backend._objects)
            with Store.on(copy) as other:
                drop(other, *(e for e in epochs if e != kept))
                collect(copy)
                assert other.epochs(KEY) == [kept]
                assert_equal(other.restore(KEY, kept), line(kept))
                assert other.verify().problems == ()


def fresh_store(backend: MemoryBackend) -> Store:
    """A process whose index is as it is now."""
    store = Store.on(backend)
    store._writer()._index.refresh()
    return store


def test_an_extrapolated_block_is_reused_only_over_the_blocks_it_was_told_from() -> None:
    """Another process has stored its parent whole: that one has nothing behind it."""
    backend = MemoryBackend()
    writer = fresh_store(backend)
    with Store.on(backend) as other:
        other.save(OTHER_KEY, 1, line(2), {})
    with writer.track(codec="small") as track:
        for epoch in (1, 2, 3):
            writer.save(KEY, epoch, line(epoch), {}, track=track)
    assert chain_of(writer, KEY, 3)[0] == EXTRAPOLATED
    writer.close()
    for order in (False, True):
        backend._objects = dict(sorted(backend._objects.items(), reverse=order))
        with Store.on(backend) as reader:
            reader.save(THIRD_KEY, 1 + order, line(3), {})
            assert_equal(reader.restore(THIRD_KEY, 1 + order), line(3))


def test_blocks_that_are_differences_to_each_other_are_not_followed_for_ever() -> None:
    """One process has stored B over A, the other one A over B."""
    backend = MemoryBackend()
    stores = [fresh_store(backend) for _ in range(2)]
    for store, key, steps in zip(stores, (KEY, OTHER_KEY), ((1, 2), (2, 1)), strict=True):
        with store.track(codec="small") as track:
            for epoch, step in enumerate(steps, 1):
                store.save(key, epoch, line(step), {}, track=track)
        assert len(chain_of(store, key, 2)) == 2
        store.close()
    packs = sorted(names(backend, Layout.PACKS))
    assert len(packs) == 4
    with Store.on(backend) as reader:
        known = reader._writer()._index
        blobs = [reader._source.tables.of(str(Layout.ulid_of(p)))[0] for p in packs]
        for blob in sorted(blobs, key=lambda b: bool(b.over)):
            known.add(blob.place.pack, [blob])
        known._read = 1e18
        for epoch, step in enumerate((1, 2, 1), 1):
            reader.save(THIRD_KEY, epoch, line(step), {})
            assert_equal(reader.restore(THIRD_KEY, epoch), line(step))


def test_what_a_difference_is_over_is_protected_until_the_commit() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store, store.track(codec="small") as track:
        for epoch in (1, 2):
            store.save(KEY, epoch, line(epoch), {}, track=track)
        staged = [track.stage(line(epoch)) for epoch in (3, 4, 5)]
        for one in staged:
            one._future.result()
        drop(store, 1, 2)
        staged[0].abandon()
        staged[1].abandon()
        collect(backend)
        staged[2].commit(KEY, 5, {})
        assert len(chain_of(store, KEY, 5)) == 5
        assert_equal(store.restore(KEY, 5), line(5))
        drop(store, 5)
        collect(backend)
        store.save(KEY, 6, line(6), {}, track=track)
        assert_equal(store.restore(KEY, 6), line(6))


def test_what_a_block_extrapolates_from_is_what_was_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A patched block is not its blob, and a block that was found elsewhere has another past."""
    backend = MemoryBackend()
    one, two = Store.on(backend), Store.on(backend)
    with one.track(codec="small") as track, two.track(codec="small") as other:
        one.save(KEY, 1, line(0), {}, track=track)
        for epoch, step in enumerate((0, 2), 1):
            two.save(OTHER_KEY, epoch, line(step), {}, track=other)
        patched = line(0)
        patched["m"].tensors["x"][:5] += 1e-3
        one.save(KEY, 2, patched, {}, track=track)
        monkeypatch.setattr(index, "REFRESH_S", 0.0)
        for epoch, step in ((3, 2), (4, 3), (5, 4), (6, 5)):
            one.save(KEY, epoch, line(step), {}, track=track)
        assert one.read(KEY, 3).parts == two.read(OTHER_KEY, 2).parts, "found, not written"
        for epoch, step in ((1, 0), (3, 2), (4, 3), (5, 4), (6, 5)):
            assert_equal(one.restore(KEY, epoch), line(step))
        assert_equal(one.restore(KEY, 2), patched)
        assert chain_of(one, KEY, 6)[0] == EXTRAPOLATED
    one.close()
    two.close()

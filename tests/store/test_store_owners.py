"""Constant parts, and checkpoints that several owners keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from store_tools import (
    KEY,
    WrappedBackend,
    assert_equal,
    assert_no_garbage,
    make_state,
    names,
)

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, StoreError
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend
from recsearch.store.reader import Source

LAST = BestAndLast("min", 0, 1)


def constant_state(seed: int) -> dict[str, Part]:
    state = make_state(seed)
    return {**state, "vocabulary": replace(state["vocabulary"], constant=True)}


def test_dropping_an_epoch_frees_all_that_is_its_own() -> None:
    """The first epoch wrote the vocabulary too; that stays, the rest of the epoch goes."""
    backend = MemoryBackend()
    with Store.on(backend) as store:
        for epoch in (1, 2, 3):
            store.save(KEY, epoch, constant_state(epoch), {})
        assert len(names(backend, Layout.PACKS)) == 4, "one for the vocabulary, one per epoch"
        store.retain(KEY, LAST, [Record(epoch, 1.0) for epoch in (1, 2, 3)])
        assert store.collect(grace_s=0).swept_packs == 2
        assert len(names(backend, Layout.PACKS)) == 2
        assert_equal(store.restore(KEY, 3), constant_state(3))
        assert_no_garbage(backend)


def test_a_constant_part_is_stored_once_for_all_trials() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        for number in range(5):
            store.save(f"{number:064x}", 1, constant_state(number), {})
    assert len(names(backend, Layout.PACKS)) == 6


def drop_as(store: Store, owner: str, epoch: int = 1) -> list[int]:
    return store.retain(KEY, LAST, [Record(epoch, 1.0), Record(9, 1.0)], owner=owner)


def test_an_adopted_checkpoint_outlives_its_first_owner() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {"owner": "a", "note": "first"})
        before = names(backend, Layout.PACKS)
        store.adopt(KEY, 1, {"owner": "b"})
        assert names(backend, Layout.PACKS) == before, "no array is copied"
        assert drop_as(store, "a") == [1]
        store.collect(grace_s=0)
        assert_equal(store.restore(KEY, 1), make_state(1))
        assert store.read(KEY, 1).info == {"owner": "b"}
        assert drop_as(store, "b") == [1]
        store.collect(grace_s=0)
        assert store.epochs(KEY) == []
        assert names(backend, Layout.PACKS) == set()
        assert_no_garbage(backend)


def test_adopting_twice_or_saving_again_adds_nothing() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {"owner": "a"})
        first = store.adopt(KEY, 1, {"owner": "b"})
        assert store.adopt(KEY, 1, {"owner": "b"}) == first
        assert store.save(KEY, 1, make_state(1), {"owner": "a"}).stored_bytes == 0
        assert len(names(backend, Layout.CHECKPOINTS)) == 2


def test_equal_saves_of_two_owners_are_kept_by_both() -> None:
    with Store.on(MemoryBackend()) as store:
        for owner in ("a", "b"):
            store.save(KEY, 1, make_state(1), {"owner": owner})
        assert drop_as(store, "a") == [1]
        assert_equal(store.restore(KEY, 1), make_state(1))


def table_of(epoch: int) -> dict[str, Part]:
    table = np.arange(800.0).reshape(100, 8)
    table[epoch] = -epoch
    return {"m": Part({"table": table})}


def saved_as_patches(backend: MemoryBackend, epochs: int = 3) -> Store:
    store = Store.on(backend)
    with store.track() as track:
        for epoch in range(1, epochs + 1):
            store.save(KEY, epoch, table_of(epoch), {"owner": "a"}, track=track)
    assert store.read(KEY, epochs).parts["m"].tensors["table"].patches
    return store


def test_equal_states_are_equal_however_they_are_stored() -> None:
    """One has patches and no hash, the other one is whole: they are read and compared."""
    backend = MemoryBackend()
    with saved_as_patches(backend) as store:
        with pytest.raises(StoreError, match="another content"):
            store.save(KEY, 3, table_of(4), {"owner": "b"})
        assert store.save(KEY, 3, table_of(3), {"owner": "a"}).ref == store.read(KEY, 3).ref
        store.save(KEY, 3, table_of(3), {"owner": "b"})
        assert drop_as(store, "a", 3) == [3]
        assert_equal(store.restore(KEY, 3), table_of(3))
        with pytest.raises(StoreError, match="another content"), store.track() as track:
            store.save(KEY, 8, table_of(7), {}, track=track)
            store.save(KEY, 3, table_of(8), {}, track=track)


@pytest.mark.parametrize("collected", [True, False])
def test_a_state_that_cannot_be_compared_is_not_replaced(collected: bool) -> None:
    """Its patches are gone while they are compared, with their checkpoint or without."""
    backend = MemoryBackend()
    with saved_as_patches(backend) as store:
        (patch,) = {p.pack for p in store.read(KEY, 3).parts["m"].tensors["table"].patches[1:]}
        staged = store.stage(table_of(3))
        written = staged._future.result()
        assert written.parts["m"].tensors["table"].hash

        def before(number: int) -> None:
            if backend.head(Layout.pack(patch)) is not None and written:
                backend.delete(Layout.pack(patch))
                if collected:
                    backend.delete(store.read(KEY, 3).ref)

        staged._source = Source(WrappedBackend(backend, before))
        if collected:
            staged.commit(KEY, 3, {"owner": "b"})
            assert_equal(store.restore(KEY, 3), table_of(3))
        else:
            with pytest.raises(StoreDamagedError, match="no such pack"):
                staged.commit(KEY, 3, {"owner": "b"})
            assert [m.info["owner"] for m in store.manifests(KEY) if m.epoch == 3] == ["a"]
        staged.abandon()


def test_what_is_not_there_cannot_be_adopted() -> None:
    with Store.on(MemoryBackend()) as store, pytest.raises(CheckpointNotFoundError):
        store.adopt(KEY, 1, {"owner": "b"})


def test_a_checkpoint_that_is_being_collected_cannot_be_adopted() -> None:
    """The collector marked the pack before the adopter pinned it: one of the two gives way."""
    backend = MemoryBackend()
    with Store.on(backend) as store:
        store.save(KEY, 1, make_state(1), {"owner": "a"})
        manifest = store.read(KEY, 1)
        for pack in manifest.packs:
            backend.put_create(Layout.tomb(pack), [])
        with pytest.raises(CheckpointNotFoundError, match="being collected"):
            store.adopt(KEY, 1, {"owner": "b"})
        assert names(backend, Layout.LEASES) == set()

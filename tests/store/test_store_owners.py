"""Constant parts, and checkpoints that several owners keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_tools import KEY, assert_equal, assert_no_garbage, make_state, names

from recsearch.errors import CheckpointNotFoundError
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

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


def drop_as(store: Store, owner: str) -> list[int]:
    return store.retain(KEY, LAST, [Record(1, 1.0), Record(9, 1.0)], owner=owner)


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

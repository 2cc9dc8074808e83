"""Collection by itself: grace, tombstones, ownership, and very late commits."""

from __future__ import annotations

import pytest
from store_tools import (
    KEY,
    OTHER_KEY,
    assert_equal,
    assert_no_garbage,
    later,
    make_state,
    names,
)

from recsearch.errors import StoreError
from recsearch.store import BestAndLast, Record, Store, lease
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

DROP_1 = (BestAndLast("min", 0, 1), [Record(1, 0.0), Record(10, 0.0)])


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

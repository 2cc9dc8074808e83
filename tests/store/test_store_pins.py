"""Pins: what is pinned stays, restores, and has one meaning."""

from __future__ import annotations

import pytest
from store_tools import KEY, OTHER_KEY, CrashError, assert_equal, crashing, make_state

from recsearch.errors import CheckpointNotFoundError, UsageError
from recsearch.store import BestAndLast, Record, Store, catalog
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

LAST = BestAndLast("min", 0, 1), [Record(epoch, 0.0) for epoch in (1, 2, 3)]


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    store = Store.on(backend)
    for epoch in (1, 2, 3):
        store.save(KEY, epoch, make_state(epoch), {"owner": "run/1", "note": epoch})
    return backend


def test_a_pin_outlives_every_owner(backend: MemoryBackend) -> None:
    store = Store.on(backend)
    store.pin(KEY, 1, "first", "for the paper")
    assert store.retain(KEY, *LAST) == [1, 2]  # the manifest of its trial goes
    assert store.retain(KEY, *LAST, owner="pin:first") == []
    for _ in range(2):
        store.collect(grace_s=0)
    assert store.epochs(KEY) == [1, 3]
    assert_equal(store.restore(KEY, 1), make_state(1))
    assert store.read(KEY, 1).info == {
        "owner": "pin:first",
        "retention": "all",
        "reason": "for the paper",
        "note": 1,
    }
    assert store.unpin("first").epoch == 1
    assert store.epochs(KEY) == [3]
    assert store.pins() == {}


def test_the_trial_keeps_what_is_unpinned(backend: MemoryBackend) -> None:
    store = Store.on(backend)
    store.pin(KEY, 2, "second")
    store.unpin("second")
    assert store.epochs(KEY) == [1, 2, 3]


def test_a_name_means_one_checkpoint(backend: MemoryBackend) -> None:
    store = Store.on(backend)
    assert store.pin(KEY, 1, "a") == store.pin(KEY, 1, "a", "another reason changes nothing")
    store.pin(KEY, 1, "b")
    with pytest.raises(UsageError, match=f"a is the pin of {KEY[:12]}:1 already"):
        store.pin(KEY, 2, "a")
    assert {name: pin.epoch for name, pin in store.pins().items()} == {"a": 1, "b": 1}
    for name in ("", "a/b", "-a", "a b", "x" * 101):
        with pytest.raises(UsageError, match="cannot be the name of a pin"):
            store.pin(KEY, 1, name)
    with pytest.raises(CheckpointNotFoundError):
        store.pin(OTHER_KEY, 1, "c")
    with pytest.raises(UsageError, match="pins are: a, b"):
        store.unpin("c")


def test_pins_are_found_with_and_without_a_catalog(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_MANY", 1)
    store = Store.on(backend)
    store.pin(KEY, 3, "third")
    store.collect(grace_s=0)
    assert list(backend.list(Layout.CATALOG))
    assert list(Store.on(backend).pins()) == ["third"]
    assert Store.on(backend).unpin("third").epoch == 3
    assert Store.on(backend).pins() == {}


def test_a_damaged_pin_hides_no_other(backend: MemoryBackend) -> None:
    store = Store.on(backend)
    store.pin(KEY, 1, "a")
    ref = store.pin(KEY, 2, "b")
    backend.delete(ref)
    backend.put_create(ref, [b"torn"])
    assert list(Store.on(backend).pins()) == ["a"]


def test_own_bytes_are_those_that_dropping_frees(backend: MemoryBackend) -> None:
    store = Store.on(backend)
    items = make_state(1)["model"].tensors
    own = sum(array.nbytes for array in items.values())
    anatomy = store.dissect(store.read(KEY, 1))
    assert anatomy.own_bytes == own  # the vocabulary is shared
    assert anatomy.stored_bytes > own
    store.adopt(KEY, 1, {"owner": "other/1"})
    assert store.dissect(store.read(KEY, 1)).own_bytes == own
    first, second = list(store.manifests(KEY))[:2]
    assert store.freed_by([first]) == 0
    assert store.freed_by([first, second]) == own
    everything = list(store.manifests())
    packs = sum(e.size for e in backend.list(Layout.PACKS))
    assert 0.8 * packs < store.freed_by(everything) < packs


def test_pinning_is_all_or_nothing(backend: MemoryBackend) -> None:
    for moment in range(20):
        copy = MemoryBackend()
        for entry in backend.list(""):
            copy.put_create(entry.name, [backend.get(entry.name)])
        try:
            Store.on(crashing(copy, moment)).pin(KEY, 1, "a")
            acknowledged = True
        except CrashError:
            acknowledged = False
        pins = Store.on(copy).pins()
        assert list(pins) == ["a"] if acknowledged else set(pins) <= {"a"}
        if acknowledged:
            break
    assert acknowledged

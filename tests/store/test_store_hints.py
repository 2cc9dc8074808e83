"""Segments and catalogs: they save reading, and nothing depends on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from store_tools import WrappedBackend, make_state, names

from recsearch.state import Part
from recsearch.store import Store, catalog, collect
from recsearch.store.backend import Backend
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend
from recsearch.store.segment import Segment


def key(number: int) -> str:
    return f"{number:064x}"


def info(number: int) -> dict[str, object]:
    row = {"train_s": 2.0, "eval_s": 0.5}
    owner = f"run-{number % 2}/{number}"
    return {"owner": owner, "model": "als", "retention": "best+last", "history": [row]}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A store of 20 trials with two epochs each, whose hints have been merged."""
    monkeypatch.setattr(collect, "MAX_INDEX_FILES", 4)
    monkeypatch.setattr(catalog, "_MANY", 4)
    backend = MemoryBackend()
    with Store.on(backend) as store:
        for number in range(20):
            for epoch in (1, 2):
                store.save(key(number), epoch, make_state(2 * number + epoch), info(number))
        store.collect(grace_s=0)
    return backend


def counting(backend: Backend) -> tuple[WrappedBackend, Counter[str]]:
    counts: Counter[str] = Counter()

    class Counting(WrappedBackend):
        def get(self, name: str) -> bytes:
            counts[name.split("/")[0]] += 1
            return super().get(name)

        def get_range(self, name: str, start: int, length: int) -> bytes:
            counts[name.split("/")[0]] += 1
            return super().get_range(name, start, length)

    return Counting(backend, lambda number: None), counts


def test_many_files_become_one(backend: Backend) -> None:
    assert {name.rpartition(".")[2] for name in names(backend, Layout.INDEX)} == {"seg"}
    assert len(names(backend, Layout.INDEX)) == len(names(backend, Layout.CATALOG)) == 1


def test_measuring_and_collecting_read_no_manifest_again(backend: Backend) -> None:
    wrapped, counts = counting(backend)
    store = Store.on(wrapped)
    usage = store.du()
    store.collect(grace_s=0)
    assert (counts["ckpt"], counts["packs"]) == (0, 0)
    assert (usage.checkpoints, usage.seconds) == (40, 100.0)
    assert {name: share.checkpoints for name, share in usage.groups["run"].items()} == {
        "run-0": 20,
        "run-1": 20,
    }
    assert usage.groups["algorithm"].keys() == {"als"}
    assert usage.groups["policy"].keys() == {"best+last"}


@pytest.mark.parametrize("harm", ["lost", "damaged"])
@pytest.mark.parametrize("prefix", [Layout.INDEX, Layout.CATALOG])
def test_without_hints_everything_is_the_same(backend: Backend, prefix: str, harm: str) -> None:
    expected = Store.on(backend).du()
    for name in names(backend, prefix):
        data = bytearray(backend.get(name))
        backend.delete(name)
        if harm == "damaged":
            data[len(data) // 2] ^= 4
            backend.put_create(name, [bytes(data)])
    store = Store.on(backend)
    found = store.du()
    assert (found.keys, found.groups) == (expected.keys, expected.groups)
    assert found.unreferenced_bytes == expected.unreferenced_bytes == 0
    assert store.collect(grace_s=0).unreferenced_packs == 0
    assert store.verify("restore").checkpoints == 40
    saved = store.save(key(99), 1, make_state(7), {})
    assert saved.stored_bytes > 0


def test_what_a_merged_index_knows_is_not_stored_again(backend: Backend) -> None:
    wrapped, counts = counting(backend)
    with Store.on(wrapped) as store:
        saved = store.save(key(99), 1, make_state(11), {})
        assert saved.stored_bytes < 2_000
        assert counts["index"] == 1
        store.save(key(98), 1, {"m": Part({"new": np.arange(5000.0)})}, {})
        store.collect(grace_s=0)
        assert_restored(store, 11)


def assert_restored(store: Store, seed: int) -> None:
    found = store.restore(key(99), 1)["model"].tensors["items"]
    assert found.tobytes() == make_state(seed)["model"].tensors["items"].tobytes()


def test_merging_again_forgets_packs_that_are_gone(backend: Backend) -> None:
    from recsearch.store import BestAndLast, Record

    with Store.on(backend) as store:
        for number in range(15):
            store.retain(key(number), BestAndLast("min", 0, 0), [Record(1, None), Record(2, None)])
        for number in range(100, 110):
            store.save(key(number), 1, make_state(number), info(number))
        store.collect(grace_s=0)
        for number in range(110, 120):
            store.save(key(number), 1, make_state(number), info(number))
        store.collect(grace_s=0)
        (name,) = names(backend, Layout.INDEX)
        packs = {Layout.ulid_of(pack) for pack in names(backend, Layout.PACKS)}
        assert set(Segment.decode(backend.get(name)).packs) == packs
        assert store.du().checkpoints == 10 + 20


def test_a_segment_finds_every_name_and_no_other(tmp_path: Path) -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        for number in range(30):
            store.save(key(number), 1, make_state(number), {})
        segments = [
            Segment.of({ulid: list(store._source.tables.of(ulid).values())})
            for name in sorted(names(backend, Layout.PACKS))
            if (ulid := Layout.ulid_of(name)) is not None
        ]
        live = {ulid for segment in segments[5:] for ulid in segment.packs}
        merged = Segment.decode(Segment.merge(segments, live).encode())
        for name in sorted(names(backend, Layout.PACKS)):
            for blob in store._source.tables.of(str(Layout.ulid_of(name))).values():
                kept = blob.place.pack in live
                assert merged.find(blob.name) == ([blob.place] if kept else [])
        assert merged.find(b"\0" * 32) == merged.find(b"\xff" * 32) == []


def test_a_lost_index_is_written_anew_for_all_packs(backend: Backend) -> None:
    with Store.on(backend) as store:
        for name in names(backend, Layout.INDEX):
            backend.delete(name)
        assert store.collect(grace_s=0).indexes_rebuilt == len(names(backend, Layout.PACKS))
    (name,) = names(backend, Layout.INDEX)
    assert len(Segment.decode(backend.get(name)).packs) == len(names(backend, Layout.PACKS))

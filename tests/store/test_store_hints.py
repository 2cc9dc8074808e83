"""Segments and catalogs: they save reading, and nothing depends on them."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_tools import WrappedBackend, drop, make_state, names

from recsearch.errors import StoreError
from recsearch.state import Part
from recsearch.store import Store, catalog, collect, index
from recsearch.store.backend import Backend
from recsearch.store.bulk import outgrown
from recsearch.store.index import BlobIndex
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend
from recsearch.store.segment import Segment
from recsearch.store.wire import from_json


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


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60))
def test_there_are_few_files_and_no_entry_is_written_often(batches: list[int]) -> None:
    files: dict[str, list[int]] = {}
    written: Counter[int] = Counter()
    count = 0
    for number, size in enumerate(batches):
        fresh = list(range(count, count + size))
        count += size
        merged = outgrown({name: len(entries) for name, entries in files.items()}, len(fresh))
        for name in merged:
            fresh += files.pop(name)
        files[str(number)] = fresh
        written.update(fresh)
        assert sorted(entry for entries in files.values() for entry in entries) == list(
            range(count)
        )
        assert len(files) <= 1 + math.log2(count)
    assert max(written.values()) <= 2 + math.log2(count)


def test_the_newest_copy_that_is_left_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "MAX_INDEX_FILES", 0)
    monkeypatch.setattr(index, "REFRESH_S", 0.0)
    backend = MemoryBackend()
    copies = []
    for number in range(3):
        with Store.on(backend) as store:
            monkeypatch.setattr(store._writer()._index, "_read", math.inf)  # it knows of none
            store.save(key(number), 1, {"m": Part({"x": np.arange(999.0)})}, {})
            copies += store.read(key(number), 1).packs
            if number != 1:
                store.collect(grace_s=0)  # two segments: {0}, {1, 2}
    known = BlobIndex(backend)
    name = Store.on(backend)._source.tables.of(copies[0])[0].name
    for expected in sorted(copies, reverse=True):
        known.refresh()
        (blob,) = known.find(name, 999 * 8, patch=False) or ()
        assert blob.place.pack == expected
        backend.delete(Layout.pack(expected))
        known = BlobIndex(backend)
    known.refresh()
    assert known.find(name, 999 * 8, patch=False) is None


def test_what_has_been_merged_is_remembered_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "REFRESH_S", 0.0)
    with Store.on(backend) as store:
        known = store._writer()._index
        for number in range(200, 206):
            store.save(key(number), 1, make_state(number), {})
        assert len(known._blobs) > 6
        store.collect(grace_s=0)
        store.save(key(300), 1, make_state(300), {})
        assert len(known._packs) == 1
        again = store.save(key(301), 1, make_state(203), {})
        assert again.stored_bytes == store.read(key(301), 1).size


def test_a_collector_is_asked_to_go_on_while_it_reads_manifests(backend: Backend) -> None:
    for name in names(backend, Layout.CATALOG):
        backend.delete(name)
    asked = []
    known = catalog.Catalog(backend)
    known.refresh(lambda: asked.append(len(known.rows)))
    assert asked
    assert len(known.rows) == 40

    def stop() -> None:
        raise StoreError("suspended")

    with pytest.raises(StoreError, match="suspended"):
        catalog.Catalog(backend).refresh(stop)


def test_a_process_that_runs_for_long_forgets_packs_that_are_gone(backend: Backend) -> None:
    with Store.on(backend) as store:
        state = {}
        for epoch in range(1, 200):
            state[epoch] = np.random.default_rng(epoch).normal(size=3)
            store.save(key(99), epoch, {"m": Part({"x": state[epoch]})}, info(99))
            store.collect(grace_s=0)
            if epoch > 2:
                drop(store, epoch - 2, key=key(99))
        store.collect(grace_s=0)
        known = store._catalog
        assert len(known.packs) < 150
        assert {known.packs[n] for row in known.rows.values() for n in row.places[:, 0]} == {
            Layout.ulid_of(name) for name in names(backend, Layout.PACKS)
        }
        assert store.du() == Store.on(backend).du()
        assert store.restore(key(99), 199)["m"].tensors["x"].tobytes() == state[199].tobytes()


def test_figures_come_back_from_a_catalog(backend: Backend) -> None:
    row = {"run": "r", "trial": 1, "train_s": 3.0, "eval_s": 1.0}
    about = {
        "owner": "r/1",
        "run": "r",
        "trial": 1,
        "search": {"name": "als-ml1m"},
        "objective": "rmse",
        "metrics": {"rmse": 0.5},
        "history": [row | {"save_s": 0.5}, row | {"save_s": 0.25, "trial": 2}, row],
    }
    with Store.on(backend) as store:
        store.save(key(99), 3, make_state(1), about)
        for number in range(100, 104):
            store.save(key(number), 1, make_state(number), {})
        store.collect(grace_s=0)
        ref = store.read(key(99), 3).ref
    fresh = catalog.Catalog(backend)
    fresh.refresh()
    found = fresh.rows[ref]
    assert (found.value, found.seconds, found.save_seconds) == (0.5, 4.0, 0.5)
    assert from_json(found.label) == {
        "owner": "r/1",
        "run": "r",
        "trial": "1",
        "search": "als-ml1m",
        "objective": "rmse",
    }
    others = [row.value for name, row in fresh.rows.items() if name != ref]
    assert all(map(math.isnan, others))


def test_foreign_files_beside_hints_stay(backend: Backend) -> None:
    foreign = ["index/notes.txt", "index/01ARZ3NDEKTSV4RRFFQ69G5FAV.txt", "catalog/README"]
    for name in foreign:
        backend.put_create(name, [b"mine"])
    with Store.on(backend) as store:
        for number in range(100, 110):
            store.save(key(number), 1, make_state(number), info(number))
        store.collect(grace_s=0)
        store.collect(grace_s=0)
    assert [backend.get(name) for name in foreign] == [b"mine"] * 3

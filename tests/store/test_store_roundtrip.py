"""Saving and restoring: bit for bit, each block once, and nothing replaced."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from store_tools import KEY, OTHER_KEY, assert_equal, make_state, names

from recsearch.errors import CheckpointNotFoundError, StoreDamagedError, StoreError
from recsearch.state import Part
from recsearch.store import Manifest, PartEntry, Store, TensorEntry
from recsearch.store.backend import Buffer
from recsearch.store.codec import difference, hash_bytes, shuffle
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.manifest import encode_manifest
from recsearch.store.memory import MemoryBackend
from recsearch.store.pack import Encoded, write_pack
from recsearch.store.saver import Saver

DTYPES = st.sampled_from(
    ["?", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<U1", "<U7"]
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def new_store() -> Store:
    return Store.on(MemoryBackend())


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), ARRAYS, max_size=3), st.dictionaries(st.text(), JSON, max_size=3))
def test_any_state_comes_back_bit_for_bit(tensors: dict[str, np.ndarray], values: Any) -> None:
    state = {"part": Part(tensors, values), "empty": Part({})}
    with new_store() as store:
        store.save(KEY, 1, state, values)
        assert_equal(store.restore(KEY, 1), state)
        assert store.read(KEY).info == values
        assert store.verify().problems == ()


def test_a_large_tensor_is_cut_and_unchanged_blocks_are_not_written_again(tmp_path: Path) -> None:
    tensor = np.random.default_rng(1).normal(size=(40_000, 32))
    with Store.open(tmp_path) as store:
        first = store.save(KEY, 1, {"model": Part({"items": tensor})}, {})
        changed = tensor.copy()
        changed[17, 3] += 1
        second = store.save(KEY, 2, {"model": Part({"items": changed})}, {})
        assert len(store.read(KEY, 1).places) == 3
        assert second.stored_bytes < 0.45 * first.stored_bytes
        assert_equal(store.restore(KEY, 1), {"model": Part({"items": tensor})})
        assert_equal(store.restore(KEY, 2), {"model": Part({"items": changed})})


class GatedBackend(MemoryBackend):
    """Writes wait until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        assert self.gate.wait(10)
        return super().put_create(name, chunks, durable=durable)


def test_arrays_are_copied_at_once() -> None:
    backend = GatedBackend()
    array = np.arange(1000.0)
    with Store.on(backend) as store:
        backend.gate.clear()
        first = store.stage({"model": Part({"x": np.zeros(3)})})
        staged = store.stage({"model": Part({"x": array})})
        array[:] = -1
        backend.gate.set()
        first.abandon()
        staged.commit(KEY, 1, {})
        assert store.restore(KEY, 1)["model"].tensors["x"].tolist() == list(range(1000))


def test_layout_of_the_source_does_not_matter() -> None:
    base = np.arange(600.0).reshape(20, 30)
    with new_store() as store:
        for epoch, array in enumerate([base, base.copy(order="F"), np.repeat(base, 2, 1)[:, ::2]]):
            store.save(KEY, epoch + 1, {"model": Part({"x": array})}, {})
        assert len(names(store._backend, Layout.PACKS)) == 1


def test_restored_arrays_are_writable_and_parts_can_be_chosen() -> None:
    with new_store() as store:
        store.save(KEY, 1, make_state(1), {})
        part = store.restore(KEY, 1, ["model"])
        assert list(part) == ["model"]
        part["model"].tensors["bias"][0] = 7
        assert_equal(store.restore(KEY, 1), make_state(1))
        with pytest.raises(CheckpointNotFoundError, match="model, vocabulary"):
            store.restore(KEY, 1, ["users"])


def test_what_all_trials_share_is_stored_once_even_by_another_process(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        first = store.save(KEY, 1, make_state(1), {})
    with Store.open(tmp_path) as store:
        again = store.save(OTHER_KEY, 1, make_state(1), {})
        assert again.stored_bytes < first.stored_bytes / 2
        assert len(names(store._backend, Layout.PACKS)) == 1
        assert again.logical_bytes == sum(
            a.nbytes for p in make_state(1).values() for a in p.tensors.values()
        )


def test_a_second_equal_commit_changes_nothing_and_another_is_refused() -> None:
    with new_store() as store:
        first = store.save(KEY, 1, make_state(1), {"note": 1})
        again = store.save(KEY, 1, make_state(1), {"note": 2})
        assert (again.ref, again.stored_bytes) == (first.ref, 0)
        assert store.read(KEY, 1).info == {"note": 1}
        with pytest.raises(StoreError, match="already stored with another content"):
            store.save(KEY, 1, make_state(2), {})
        assert_equal(store.restore(KEY, 1), make_state(1))
        assert names(store._backend, Layout.LEASES) == set()


@pytest.mark.parametrize("forged", ["content", "link", "length"])
def test_a_blob_that_is_not_what_its_name_says_is_refused(forged: str) -> None:
    """Its stored bytes match their hash, but they are those of another block."""
    rng = np.random.default_rng(0)
    base, block = (rng.normal(size=500).astype("<f4").view(np.uint8) for _ in range(2))
    other = {"content": base[::-1].copy(), "link": block, "length": block[:-4].copy()}[forged]
    name, dtype = hash_bytes(block.data), np.dtype("<f4")
    data = shuffle(difference(other, base[: len(other)], dtype), 4)
    over = hash_bytes((base if forged != "link" else block).data)
    encoded = [
        Encoded(hash_bytes(base.data), len(base), "raw", "<f4", (base.data,)),
        Encoded(name, len(other), "delta", "<f4", (data,), over),
    ]
    backend = MemoryBackend()
    with Store.on(backend) as store:
        blobs, _ = write_pack(backend, new_ulid(), encoded)
        chain = (blobs[1].place, blobs[0].place)
        tensor = TensorEntry("x", "<f4", (500,), name, 500, (chain,))
        where = Layout.manifest(KEY, 1, new_ulid())
        part = {"m": PartEntry({"x": tensor}, {})}
        found = Manifest(KEY, 1, where.ref, "2026-01-01T00:00:00+00:00", {}, part)
        backend.put_create(where.ref, [encode_manifest(found)])
        words = {"content": "raw bytes do not match its name"}.get(forged, "does not fit the blobs")
        with pytest.raises(StoreDamagedError, match=words):
            store.restore(KEY, 1)
        with pytest.raises(StoreDamagedError, match=words):
            store.read_rows(KEY, 1, "m", "x", [3])
        assert {p.checkpoints for p in store.verify("restore").problems} == {((KEY, 1, None),)}


def test_abandoned_states_leave_no_checkpoint_and_no_lease() -> None:
    with new_store() as store:
        staged = store.stage(make_state(1))
        staged.abandon()
        staged.abandon()
        with pytest.raises(StoreError, match="abandoned"):
            staged.commit(KEY, 1, {})
        store.close()
        assert store.epochs(KEY) == []
        assert names(store._backend, Layout.LEASES) == set()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([object()]), "dtype '|O'"),
        (np.zeros(2, ">f4"), "dtype '>f4'"),
        (np.zeros(2, "c8"), "dtype '<c8'"),
        (np.zeros(2, "M8[s]"), "dtype '<M8"),
        (np.zeros(2, "S3"), "dtype '|S3'"),
        (np.zeros(2, [("a", "f4")]), "dtype '|V4'"),
        (np.ma.masked_array([1, 2], [0, 1]), "MaskedArray"),
        ([1, 2], "list"),
    ],
)
def test_what_cannot_come_back_exactly_is_refused(array: Any, words: str) -> None:
    with new_store() as store, pytest.raises(StoreError) as error:
        store.save(KEY, 1, {"model": Part({"items": array})}, {})
    assert "'items' of part 'model'" in error.value.message
    assert words in error.value.message


@pytest.mark.parametrize(
    ("info", "where"),
    [({"a": [{1: 2}]}, "info.a[0]"), ({"a": {"b": b"x"}}, "info.a.b"), ({"s": {1}}, "info.s")],
)
def test_info_without_a_json_form_is_refused(info: dict[str, Any], where: str) -> None:
    with new_store() as store, pytest.raises(StoreError) as error:
        store.save(KEY, 1, make_state(1), info)
    assert error.value.message.startswith(where)


@pytest.mark.parametrize(
    ("key", "epoch"), [("../" * 20, 1), ("AB" * 32, 1), (KEY, 0), (KEY, 10**6), (KEY, True)]
)
def test_bad_addresses_are_refused(key: str, epoch: int) -> None:
    with new_store() as store, pytest.raises(StoreError, match=r"trial key|epoch"):
        store.save(key, epoch, make_state(1), {})


def test_what_is_missing_is_answered_with_what_is_there() -> None:
    with new_store() as store:
        assert store.epochs(KEY) == []
        for epoch in (1, 2, 3, 7):
            store.save(KEY, epoch, make_state(epoch), {})
        assert store.epochs(KEY) == [1, 2, 3, 7]
        assert store.read(KEY).epoch == 7
        assert store.keys() == [KEY]
        with pytest.raises(CheckpointNotFoundError, match=r"1-3, 7"):
            store.restore(KEY, 4)
        with pytest.raises(CheckpointNotFoundError, match=r"none; 1 other"):
            store.read(OTHER_KEY)


def test_a_store_is_opened_not_pickled() -> None:
    with new_store() as store, pytest.raises(TypeError, match=r"Store\.open"):
        pickle.dumps(store)


def test_a_closed_store_says_so() -> None:
    store = new_store()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.stage(make_state(1))


def test_a_forked_child_saves_with_a_thread_of_its_own(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save(KEY, 1, make_state(1), {})
        child = os.fork()
        if child == 0:
            try:
                store.save(KEY, 2, make_state(2), {})
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert_equal(store.restore(KEY, 2), make_state(2))


def test_staging_waits_while_too_much_is_in_flight() -> None:
    backend = GatedBackend()
    with Store.on(backend) as store:
        store._saver, store._saver_pid = Saver(store._source, max_bytes=1000), os.getpid()
        backend.gate.clear()
        state = {"model": Part({"x": np.zeros(100)})}
        store.stage(state)
        second = threading.Thread(target=store.stage, args=(state,))
        second.start()
        second.join(0.1)
        assert second.is_alive()
        backend.gate.set()
        second.join(10)
        assert not second.is_alive()


def test_a_directory_that_holds_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("\\end")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        Store.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_store_is_made_where_none_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        Store.open(tmp_path / "store", create=False)
    assert not (tmp_path / "store").exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    text = (tmp_path / "FORMAT").read_text()
    (tmp_path / "FORMAT").write_text(text.replace('"version": 2', '"version": 3'))
    with pytest.raises(StoreError, match="another version"):
        Store.open(tmp_path)


def test_a_lost_index_is_rebuilt_exactly(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save(KEY, 1, make_state(1), {})
        (index,) = (tmp_path / "index").iterdir()
        before = index.read_bytes()
        index.unlink()
        assert store.collect().indexes_rebuilt == 1
        assert index.read_bytes() == before


def test_usage_adds_up(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        sizes = [store.save(KEY, epoch, make_state(epoch), {}) for epoch in (1, 2)]
        usage = store.du()
        on_disk = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
        assert usage.stored_bytes == on_disk - (tmp_path / "FORMAT").stat().st_size
        assert usage.stored_bytes == sum(saved.stored_bytes for saved in sizes)
        assert usage.logical_bytes == sum(saved.logical_bytes for saved in sizes)
        assert (usage.packs, usage.checkpoints, usage.unreferenced_bytes) == (2, 2, 0)
        second = store.read(KEY, 2)
        (own,) = second.packs - store.read(KEY, 1).packs
        (tmp_path / second.ref).unlink()
        assert store.du().unreferenced_bytes == (tmp_path / Layout.pack(own)).stat().st_size
        (tmp_path / store.read(KEY, 1).ref).unlink()
        assert store.du().keys == {}

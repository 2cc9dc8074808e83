"""Repacking: what is needed is copied, what is not goes, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_tools import KEY, OTHER_KEY, names

from recsearch.errors import StoreDamagedError
from recsearch.state import Part, State
from recsearch.store import Store
from recsearch.store.layout import Layout
from recsearch.store.local import LocalBackend
from recsearch.store.memory import MemoryBackend

BIG, SMALL = 40_000, 5_000


def array(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def state(seed: int) -> State:
    """A large array that is the epoch's own, and a small one that epochs 2 n and 2 n + 1 share."""
    return {"m": Part({"big": array(seed, BIG), "small": array(1000 + seed // 2, SMALL)})}


def fill(store: Store, epochs: int = 8) -> None:
    for epoch in range(1, epochs + 1):
        store.save(KEY, epoch, state(epoch), {"epoch": epoch})


def drop(store: Store, *epochs: int) -> None:
    from recsearch.store import BestAndLast, Record

    store.retain(KEY, BestAndLast("min", 0, 0), [Record(epoch, None) for epoch in epochs])


def assert_restores(store: Store, *epochs: int) -> None:
    assert store.epochs(KEY) == list(epochs)
    for epoch in epochs:
        tensors = store.restore(KEY, epoch)["m"].tensors
        assert tensors["big"].tobytes() == array(epoch, BIG).tobytes()
        assert tensors["small"].tobytes() == array(1000 + epoch // 2, SMALL).tobytes()
        assert store.read(KEY, epoch).info == {"epoch": epoch}


def test_what_remains_after_dropping_is_at_most_a_tenth_more_than_is_needed() -> None:
    store = Store.on(MemoryBackend())
    fill(store)
    drop(store, 2, 4, 6)
    # The packs of 2, 4 and 6 hold the small arrays that 3, 5 and 7 need too.
    needed = 5 * BIG + 5 * SMALL
    assert store.du().stored_bytes > needed + 3 * BIG
    done = store.collect(grace_s=0)
    assert len(done.repacked) == done.swept_packs == 3
    assert done.rewritten == tuple(f"{KEY[:12]}:{epoch}" for epoch in (3, 5, 7))
    assert 3 * SMALL <= done.repacked_bytes < 3 * SMALL + 1_000
    usage = store.du()
    assert usage.stored_bytes < 1.1 * needed
    assert usage.unreferenced_bytes == 0
    assert_restores(store, 1, 3, 5, 7, 8)
    assert store.verify("restore").problems == ()
    again = store.collect(grace_s=0)
    assert (again.repacked, again.swept_packs) == ((), 0)


def test_little_waste_is_let_be() -> None:
    store = Store.on(MemoryBackend())
    fill(store, 40)
    drop(store, 2)
    done = store.collect(grace_s=0)
    assert done.dead_bytes == BIG
    assert done.dead_bytes < 0.1 * done.live_bytes
    assert done.repacked == ()
    assert store.du().unreferenced_bytes == BIG
    assert store.collect(grace_s=0, max_waste=0.01).dead_bytes == BIG
    assert store.du().unreferenced_bytes == 0


def test_a_dry_run_tells_names_and_changes_nothing() -> None:
    backend = MemoryBackend()
    store = Store.on(backend)
    fill(store)
    drop(store, 1, 2, 4)
    before = {prefix: names(backend, prefix) for prefix in ("", "packs/", "ckpt/", "tomb/")}
    plan = store.collect(grace_s=0, dry_run=True)
    assert {prefix: names(backend, prefix) for prefix in before} == before
    done = store.collect(grace_s=0)
    assert plan.repacked == done.repacked
    assert plan.dead_bytes == done.dead_bytes == 2 * BIG
    assert_restores(store, 3, 5, 6, 7, 8)


def test_packs_in_use_are_not_rewritten() -> None:
    store = Store.on(MemoryBackend())
    fill(store)
    drop(store, 2, 4, 6)
    with store.hold(KEY, 3) as manifest:
        done = store.collect(grace_s=0)
        assert not manifest.packs & set(done.repacked)
    assert_restores(store, 1, 3, 5, 7, 8)
    store.collect(grace_s=0)
    assert store.du().unreferenced_bytes == 0


def test_readers_and_trainers_in_between_find_everything() -> None:
    backend = MemoryBackend()
    store, reader, writer = (Store.on(backend) for _ in range(3))
    fill(writer)
    drop(store, 2, 4, 6)
    with writer.track() as track:
        writer.save(OTHER_KEY, 1, state(3), {}, track=track)  # refers to what is about to move
        store.collect(grace_s=0)
        store.collect(grace_s=0)
        writer.save(OTHER_KEY, 2, state(5), {}, track=track)
    assert reader.restore(KEY, 3)["m"].tensors["big"].tobytes() == array(3, BIG).tobytes()
    for epoch, seed in ((1, 3), (2, 5)):
        found = writer.restore(OTHER_KEY, epoch)["m"].tensors["small"]
        assert found.tobytes() == array(1000 + seed // 2, SMALL).tobytes()
    assert store.verify("restore").problems == ()


def test_differences_and_patches_survive_repacking() -> None:
    store = Store.on(MemoryBackend())
    rng = np.random.default_rng(0)
    dense, sparse = rng.normal(size=(600, 16)), rng.normal(size=(2000, 8)).astype(np.float32)
    truth = {}
    with store.track(codec="small") as track:
        for epoch in range(1, 12):
            dense = dense + 1e-6 * rng.normal(size=dense.shape)
            sparse[rng.integers(0, 2000, 20)] += np.float32(1)
            truth[epoch] = (dense.copy(), sparse.copy())
            parts = {"m": Part({"dense": dense, "sparse": sparse})}
            store.save(KEY, epoch, parts, {}, track=track)
    drop(store, 2, 3, 5, 6, 9)
    for _ in range(2):
        store.collect(grace_s=0, max_waste=0)
    for epoch in (1, 4, 7, 8, 10, 11):
        tensors = store.restore(KEY, epoch)["m"].tensors
        assert tensors["dense"].tobytes() == truth[epoch][0].tobytes()
        assert tensors["sparse"].tobytes() == truth[epoch][1].tobytes()
    assert store.verify("restore").problems == ()


def test_a_damaged_blob_is_not_copied_and_its_pack_stays(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        fill(store)
        drop(store, 2, 4, 6)
        path = tmp_path / Layout.pack(sorted(store.read(KEY, 3).packs)[0])
        data = bytearray(path.read_bytes())
        data[BIG + 10] ^= 1  # in the small array that epoch 3 needs
        path.write_bytes(data)
    with Store.on(LocalBackend(tmp_path)) as store:
        store.collect(grace_s=0)
        assert path.exists()
        with pytest.raises(StoreDamagedError):
            store.restore(KEY, 3)
        assert store.restore(KEY, 5)["m"].tensors["big"].tobytes() == array(5, BIG).tobytes()

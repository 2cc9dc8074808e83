"""Repacking: what is needed is copied, what is not goes, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from damage_tools import copy_of
from store_tools import (
    KEY,
    OTHER_KEY,
    CrashError,
    WrappedBackend,
    assert_no_garbage,
    crashing,
    drop,
    later,
    names,
)

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.state import Part, State
from recsearch.store import Store, lease, repack
from recsearch.store.backend import Backend, Buffer
from recsearch.store.codec import EXTRAPOLATED
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


def assert_restores(store: Store, *epochs: int) -> None:
    assert store.epochs(KEY) == list(epochs)
    for epoch in epochs:
        tensors = store.restore(KEY, epoch)["m"].tensors
        assert tensors["big"].tobytes() == array(epoch, BIG).tobytes()
        assert tensors["small"].tobytes() == array(1000 + epoch // 2, SMALL).tobytes()
        assert store.read(KEY, epoch).info["epoch"] == epoch


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
        assert store.collect(grace_s=0).rewritten == (f"{KEY[:12]}:5", f"{KEY[:12]}:7")
        assert path.exists()
        with pytest.raises(StoreDamagedError):
            store.restore(KEY, 3)
        assert store.restore(KEY, 5)["m"].tensors["big"].tobytes() == array(5, BIG).tobytes()


def test_extrapolated_blobs_keep_both_blobs_that_they_are_over() -> None:
    backend = MemoryBackend()
    truth = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    step = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32) / 1000
    with Store.on(backend) as store, store.track(codec="small") as track:
        for epoch in range(1, 9):
            truth = truth + step
            own = array(epoch, BIG)
            store.save(KEY, epoch, {"m": Part({"x": truth, "own": own})}, {}, track=track)
    with Store.on(backend) as store:
        drop(store, *range(1, 8))
        places = store.read(KEY, 8).places
        assert EXTRAPOLATED in {store._source.blob(place).codec for place in places}
        assert store.collect(grace_s=0).repacked
    with Store.on(backend) as store:  # which remembers no table
        assert store.restore(KEY, 8)["m"].tensors["x"].tobytes() == truth.tobytes()
        assert store.verify("restore").problems == ()
    assert_no_garbage(backend)


def test_a_crash_while_moving_leaves_one_manifest_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    base = MemoryBackend()
    with Store.on(base) as store:
        fill(store)
        drop(store, 2, 4, 6)
    doubles = 0
    for after in range(1000):
        backend = copy_of(base)
        try:
            Store.on(crashing(backend, after)).collect(grace_s=0)
            break
        except CrashError:
            store = Store.on(backend)
            assert_restores(store, 1, 3, 5, 7, 8)
            twins = len(names(backend, Layout.CHECKPOINTS)) - 5
            doubles += twins
            # Whoever moves them may still be at work, as far as its pin tells.
            with monkeypatch.context() as patch:
                patch.setattr(lease, "time", later(lease.COLLECTOR_S + 1))
                assert store.collect(grace_s=0).twins == 0
            with monkeypatch.context() as patch:
                patch.setattr(lease, "time", later(2 * lease.PIN_S))
                assert store.collect(grace_s=0, max_waste=0).twins == twins
                store.collect(grace_s=0, max_waste=0)
            assert_restores(store, 1, 3, 5, 7, 8)
            assert len(names(backend, Layout.CHECKPOINTS)) == 5
            assert store.du().unreferenced_bytes == 0
            assert_no_garbage(backend)
    assert doubles == 3
    assert after > 25


def test_manifests_of_different_owners_are_no_twins() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        fill(store, 2)
        store.adopt(KEY, 1, {"owner": "a/1"})
        store.pin(KEY, 1, "good")
        assert store.collect(grace_s=0).twins == 0
        assert len(names(backend, Layout.CHECKPOINTS)) == 4


Meanwhile = Callable[[Store], None]


def equal_state(store: Store) -> None:
    """Refers to what is about to move, or stores it anew."""
    store.save(OTHER_KEY, 1, state(3), {})


def adopting(store: Store) -> None:
    store.adopt(KEY, 3, {"epoch": 3, "owner": "a/1"})


def dropping(store: Store) -> None:
    drop(store, 3)


def dropping_by_manifest(store: Store) -> None:
    store.drop(store.read(KEY, 3))


def restoring(store: Store) -> None:
    with store.hold(KEY, 3):
        assert store.collect(grace_s=0, dry_run=True).packs
        found = store.restore(KEY, 3)["m"].tensors["small"]
    assert found.tobytes() == array(1001, SMALL).tobytes()


def copying(store: Store) -> None:
    other = Store.on(MemoryBackend())
    store.copy_to(other)
    assert_restores(other, 1, 3, 5, 7, 8)
    other.close()


def collecting_too(store: Store) -> None:
    """The first one has been suspended for so long that its lease is over."""
    for name in names(store._backend, Layout.LEASES):
        if name.endswith(".gc"):
            store._backend.delete(name)
    store.collect(grace_s=0, max_waste=9)


ACTIONS = (
    *(equal_state, adopting, dropping, dropping_by_manifest),
    *(restoring, copying, collecting_too),
)


@pytest.mark.parametrize("action", ACTIONS)
def test_others_at_work_between_any_two_operations(action: Meanwhile) -> None:
    base = MemoryBackend()
    with Store.on(base) as store:
        fill(store)
        drop(store, 2, 4, 6)
    kept = (1, 5, 7, 8) if action in (dropping, dropping_by_manifest) else (1, 3, 5, 7, 8)
    for moment in range(1000):
        backend = copy_of(base)
        writer = Store.on(backend)
        done = []

        def before(number: int, moment: int = moment, writer: Store = writer) -> None:
            if number == moment and not done:  # noqa: B023
                done.append(number)  # noqa: B023
                action(writer)

        store = Store.on(WrappedBackend(backend, before))
        store.collect(grace_s=0)
        if not done:
            break
        assert_restores(writer, *kept)
        for _ in range(2):
            Store.on(backend).collect(grace_s=0, max_waste=0)
        assert_restores(writer, *kept)
        for epoch in writer.epochs(OTHER_KEY):
            found = writer.restore(OTHER_KEY, epoch)["m"].tensors["small"]
            assert found.tobytes() == array(1001, SMALL).tobytes()
        assert writer.du().unreferenced_bytes == 0
        assert_no_garbage(backend)
        writer.close()
    assert moment > 60


def test_a_collection_between_any_two_operations_of_an_adoption_or_a_drop() -> None:
    base = MemoryBackend()
    with Store.on(base) as store:
        fill(store)
        drop(store, 2, 4, 6)
    for action in (adopting, dropping, dropping_by_manifest, restoring, copying):
        for moment in range(1000):
            backend = copy_of(base)
            done = []

            def before(number: int, moment: int = moment, backend: Backend = backend) -> None:
                if number == moment and not done:  # noqa: B023
                    done.append(number)  # noqa: B023
                    Store.on(backend).collect(grace_s=0)

            with Store.on(WrappedBackend(backend, before)) as writer:
                action(writer)
            if not done:
                break
            with Store.on(backend) as store:
                dropped = action in (dropping, dropping_by_manifest)
                assert_restores(store, 1, *(() if dropped else (3,)), 5, 7, 8)
                owners = {m.info.get("owner") for m in store.manifests(KEY)}
                assert ("a/1" in owners) is (action is adopting)
        assert moment > 2


def test_what_several_trials_need_is_kept_apart() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        shared = {"shared": array(1, SMALL)}
        for number in range(6):
            key = f"{number:02x}" * 32
            own = {"own": array(100 + number, SMALL)}
            store.save(key, 1, {"m": Part(shared | own | {"dead": array(number, BIG)})}, {})
            store.save(key, 2, {"m": Part(shared | own)}, {})
            drop(store, 1, key=key)
        assert len(store.collect(grace_s=0).repacked) == 6
        (packs,) = {frozenset(store.read(f"{n:02x}" * 32, 2).packs) for n in range(6)}
        assert sorted(len(store._source.tables.of(pack)) for pack in packs) == [1, 6]
        store.collect(grace_s=0)
    assert_no_garbage(backend)


def test_the_least_alive_go_first_and_only_as_many_as_needed() -> None:
    with Store.on(MemoryBackend()) as store:
        sizes = {1: 4_000, 2: 20_000, 3: 8_000, 4: 70_000}
        for epoch, live in sizes.items():
            arrays = {"live": array(epoch, live), "dead": array(100 + epoch, 20_000)}
            store.save(KEY, epoch, {"m": Part(arrays)}, {})
            store.save(OTHER_KEY, epoch, {"m": Part({"live": array(epoch, live)})}, {})
        packs = {epoch: store.read(OTHER_KEY, epoch).packs.pop() for epoch in sizes}
        drop(store, *sizes)
        # 80,000 bytes are dead and 102,000 alive.
        done = store.collect(grace_s=0, max_waste=0.5)
        assert set(done.repacked) == {packs[1], packs[3]}
        assert done.repacked_bytes < 12_000 + 1_000
        assert done.rewritten == (f"{OTHER_KEY[:12]}:1", f"{OTHER_KEY[:12]}:3")
        assert (done.live_bytes, done.dead_bytes) == (102_000, 80_000)
        assert store.du().unreferenced_bytes == 40_000


def test_large_packs_are_cut_and_manifests_follow_round_by_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repack, "PACK_BYTES", 2 * SMALL)
    monkeypatch.setattr(repack, "ROUND", 1)
    backend = MemoryBackend()
    with Store.on(backend) as store:
        arrays = {f"a{number}": array(number, SMALL) for number in range(7)}
        store.save(KEY, 1, {"m": Part(arrays | {"dead": array(99, BIG)})}, {})
        store.save(KEY, 2, {"m": Part(arrays)}, {})
        drop(store, 1)
        done = store.collect(grace_s=0)
        assert len(done.repacked) == 1
        assert done.rewritten == (f"{KEY[:12]}:2",)
        assert len(store.read(KEY, 2).packs) == 4
        found = store.restore(KEY, 2)["m"].tensors
        assert all(found[name].tobytes() == given.tobytes() for name, given in arrays.items())
    assert_no_garbage(backend)


def test_two_copies_of_a_blob_become_one() -> None:
    backend = MemoryBackend()
    one, two = Store.on(backend), Store.on(backend)
    with one, two:
        for store in (one, two):
            store._writer()._index.refresh()
        for store, key in ((one, KEY), (two, OTHER_KEY)):
            tensors = {"same": array(7, BIG), "dead": array(int(key[:2], 16), BIG)}
            store.save(key, 1, {"m": Part(tensors)}, {})
            store.save(key, 2, {"m": Part({"same": array(7, BIG)})}, {})
            drop(store, 1, key=key)
        assert one.du().codecs == {
            "raw": {"blobs": 2, "raw_bytes": 2 * BIG, "stored_bytes": 2 * BIG}
        }
        one.collect(grace_s=0)
        assert one.du().codecs["raw"]["blobs"] == 1
        assert one.read(KEY, 2).packs == one.read(OTHER_KEY, 2).packs


class FullBackend(WrappedBackend):
    """Has no room for packs."""

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        if name.startswith(Layout.PACKS):
            raise StoreError(f"cannot write {name}: No space left on device")
        return super().put_create(name, chunks, durable=durable)


def test_on_a_full_disk_garbage_goes_although_nothing_can_be_copied() -> None:
    backend = MemoryBackend()
    with Store.on(backend) as store:
        fill(store)
        drop(store, 1, 2, 4)
    full = Store.on(FullBackend(backend, lambda _: None))
    before = len(names(backend, Layout.PACKS))
    with pytest.raises(StoreError, match="No space left"):
        full.collect(grace_s=0)
    assert len(names(backend, Layout.PACKS)) == before - 1
    assert_restores(full, 3, 5, 6, 7, 8)
    with Store.on(backend) as store:
        assert store.collect(grace_s=0).repacked
        assert_restores(store, 3, 5, 6, 7, 8)
    assert_no_garbage(backend)


def test_many_packs_at_once(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        fill(store, 40)
        drop(store, *range(2, 40, 2))
        done = store.collect(grace_s=0, max_waste=0)
        assert len(done.repacked) == len(done.rewritten) == done.swept_packs == 19
        assert_restores(store, *range(1, 40, 2), 40)
        assert len(names(store._backend, Layout.PACKS)) == 40 - 19 + 1
        assert store.verify("restore").problems == ()
    assert_no_garbage(LocalBackend(tmp_path))

"""How bytes are attributed: every number by construction."""

from __future__ import annotations

import numpy as np
import pytest
from store_tools import KEY, OTHER_KEY, drop, names

from recsearch.errors import StoreDamagedError
from recsearch.state import Part
from recsearch.store import Store
from recsearch.store.layout import Layout
from recsearch.store.memory import MemoryBackend

SHARED, OWN = 6_000, 1_000


def noise(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def info(trial: int, epoch: int) -> dict[str, object]:
    rows = [
        {"epoch": e, "run": "r", "trial": trial, "train_s": 4.0, "eval_s": 0.5, "save_s": 0.25}
        for e in range(1, epoch + 1)
    ]
    del rows[-1]["save_s"]  # not known before it is saved
    return {
        "owner": f"r/{trial}",
        "run": "r",
        "trial": trial,
        "model": ("als", "sgd")[trial % 2],
        "retention": ("last", "all")[trial // 2],
        "objective": "rmse",
        "metrics": {"rmse": 1 / epoch},
        "history": rows,
    }


@pytest.fixture
def store() -> Store:
    """Trials 0, 1 and 2 with epochs 1 and 2: an array that all share, and one of each epoch."""
    store = Store.on(MemoryBackend())
    for trial in range(3):
        for epoch in (1, 2):
            own = noise(10 * trial + epoch, OWN)
            state = {"m": Part({"shared": noise(99, SHARED), "own": own})}
            store.save(key(trial), epoch, state, info(trial, epoch))
    return store


def key(trial: int) -> str:
    return f"{trial:02x}" * 32


def manifests(store: Store, trial: int) -> int:
    return sum(manifest.size for manifest in store.manifests(key(trial)))


def test_each_blob_counts_once_for_each_share(store: Store) -> None:
    usage = store.du()
    sizes = [manifests(store, trial) for trial in range(3)]
    backend = store._backend
    assert usage.stored_bytes == sum(
        entry.size
        for prefix in (Layout.PACKS, Layout.INDEX, Layout.CHECKPOINTS)
        for entry in backend.list(prefix)
    )
    assert (usage.checkpoints, usage.epochs, usage.packs) == (6, 6, 6)
    assert usage.logical_bytes == 6 * (SHARED + OWN)
    for trial in range(3):
        share = usage.keys[key(trial)]
        assert (share.checkpoints, share.epochs) == (2, 2)
        assert share.logical_bytes == 2 * (SHARED + OWN)
        assert share.stored_bytes == SHARED + 2 * OWN + sizes[trial]
        assert share.ratio == share.stored_bytes / share.logical_bytes
        assert (share.seconds, share.save_seconds) == (9.0, 0.25)
    assert usage.groups["algorithm"].keys() == {"als", "sgd"}
    als = usage.groups["algorithm"]["als"]
    assert als.stored_bytes == SHARED + 4 * OWN + sizes[0] + sizes[2]
    assert (als.seconds, als.save_seconds) == (18.0, 0.5)
    assert usage.groups["policy"]["last"].stored_bytes == SHARED + 4 * OWN + sizes[0] + sizes[1]
    assert usage.groups["run"].keys() == {"r"}
    assert usage.groups["run"]["r"].stored_bytes == SHARED + 6 * OWN + sum(sizes)
    assert (usage.seconds, usage.save_seconds) == (27.0, 0.75)
    raw = SHARED + 6 * OWN
    assert usage.codecs == {"raw": {"blobs": 7, "raw_bytes": raw, "stored_bytes": raw}}


def test_another_owner_is_another_checkpoint_of_the_same_epoch(store: Store) -> None:
    before = store.du()
    store.pin(key(0), 2, "good")
    usage = store.du()
    assert (usage.checkpoints, usage.epochs) == (7, 6)
    assert usage.logical_bytes == before.logical_bytes + SHARED + OWN
    assert usage.keys[key(0)].epochs == 2
    assert usage.groups["run"]["pin:good"].epochs == 1
    assert usage.save_seconds == before.save_seconds, "a pin saves nothing"
    assert usage.codecs == before.codecs


def test_codecs_are_told_apart() -> None:
    with Store.on(MemoryBackend()) as store, store.track(codec="small") as track:
        walk, noisy = np.arange(3000.0), noise(1, 5000)
        for epoch in (1, 2, 3):
            walk = walk + 1e-9
            noisy[[7, epoch]] += 1
            store.save(KEY, epoch, {"m": Part({"walk": walk, "noisy": noisy})}, {}, track=track)
        codecs = store.du().codecs
        assert codecs["raw"]["raw_bytes"] == codecs["raw"]["stored_bytes"] == 5000
        assert codecs["rows-delta"]["blobs"] == 2
        assert codecs["shuffle+zstd1"]["blobs"] == 1
        assert codecs["shuffle+zstd1"]["raw_bytes"] == walk.nbytes
        differences = sum(
            codecs.get(name, {"blobs": 0})["blobs"] for name in ("delta", "extrapolate")
        )
        assert differences == 2
        packs = sum(entry.size for entry in store._backend.list(Layout.PACKS))
        assert 0.8 * packs < sum(codec["stored_bytes"] for codec in codecs.values()) < packs


def test_unreferenced_bytes_are_whole_packs_and_blobs_in_others(store: Store) -> None:
    backend = store._backend
    (pack,) = store.read(key(0), 2).packs - store.read(key(0), 1).packs
    size = backend.head(Layout.pack(pack)).size  # type: ignore[union-attr]
    drop(store, 1, 2, key=key(0))
    # Its first pack holds what the others share.
    assert store.du().unreferenced_bytes == size + OWN
    done = store.collect(grace_s=0, dry_run=True)
    assert (done.dead_bytes, done.live_bytes) == (OWN, SHARED + 4 * OWN)
    store.collect(grace_s=0, max_waste=0)
    assert store.du().unreferenced_bytes == 0


def test_an_empty_store_and_one_without_info() -> None:
    with Store.on(MemoryBackend()) as store:
        usage = store.du()
        assert (usage.checkpoints, usage.stored_bytes, usage.ratio) == (0, 0, 0.0)
        assert (usage.keys, usage.codecs) == ({}, {})
        odd = {"history": [3, {"train_s": "long"}], "metrics": [], "objective": {}, "owner": 5}
        store.save(KEY, 1, {"m": Part({"x": noise(1, OWN)})}, odd)
        store.save(OTHER_KEY, 1, {"m": Part({"none": noise(1, 0)})}, {})
        usage = store.du()
        assert usage.groups["run"]["none"].checkpoints == 2
        assert (usage.seconds, usage.save_seconds) == (0.0, 0.0)
        assert usage.keys[OTHER_KEY].logical_bytes == 0


def test_a_damaged_manifest_is_told(store: Store) -> None:
    backend = store._backend
    ref = store.read(key(0), 1).ref
    data = bytearray(backend.get(ref))
    data[50] ^= 1
    backend.delete(ref)
    backend.put_create(ref, [bytes(data)])
    with pytest.raises(StoreDamagedError, match="damaged"):
        store.du()
    assert ref in names(backend, Layout.CHECKPOINTS)

"""Damage is found, named, and never restored; a full disk leaves nothing behind."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from store_tools import KEY, assert_equal, files, make_state

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.state import Part
from recsearch.store import Store

ZEROS = {"m": Part({"zeros": np.zeros(1000), "n": np.arange(700)})}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "store") as store:
        for epoch in (1, 2, 3):
            store.save(KEY, epoch, make_state(epoch), {"epoch": epoch})
        store.save(KEY, 4, ZEROS, {})
    return tmp_path / "store"


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def lost_epochs(store: Store) -> set[int]:
    """The epochs that do not restore; none may restore wrongly."""
    lost = set()
    for epoch in (1, 2, 3):
        try:
            assert_equal(store.restore(KEY, epoch), make_state(epoch))
            assert store.read(KEY, epoch).info == {"epoch": epoch}
        except StoreDamagedError:
            lost.add(epoch)
    try:
        assert_equal(store.restore(KEY, 4), ZEROS)
    except StoreDamagedError:
        lost.add(4)
    return lost


def reported(store: Store) -> set[int]:
    problems = store.verify().problems
    assert problems
    return {hit.epoch for problem in problems for hit in problem.checkpoints}


def test_every_bit_flip_is_found(root: Path) -> None:
    rng = np.random.default_rng(5)
    targets = [path for path in files(root) if path.suffix in (".pack", ".man", ".idx")]
    assert len(targets) == 12
    with Store.open(root) as store:
        for _ in range(200):
            path = targets[rng.integers(len(targets))]
            bit = int(rng.integers(8 * path.stat().st_size))
            flip(path, bit)
            assert reported(store) == lost_epochs(store), f"{path.name} bit {bit}"
            flip(path, bit)
        assert store.verify().problems == ()
        assert lost_epochs(store) == set()


def test_truncated_and_missing_files_are_found(root: Path) -> None:
    with Store.open(root) as store:
        for path in files(root):
            if path.suffix not in (".pack", ".man", ".idx"):
                continue
            data = path.read_bytes()
            for length in (0, 5, len(data) // 2, len(data) - 1):
                path.write_bytes(data[:length])
                assert reported(store) == lost_epochs(store), (path, length)
            path.write_bytes(data)
            if path.suffix == ".pack":
                path.unlink()
                quick = store.verify(data=False).problems
                hits = {hit.epoch for problem in quick for hit in problem.checkpoints}
                assert hits == reported(store) == lost_epochs(store) != set()
                path.write_bytes(data)
        assert store.verify().problems == ()


def test_the_error_names_blob_pack_checkpoint_and_nearest_intact_epoch(root: Path) -> None:
    with Store.open(root) as store:
        manifest = store.read(KEY, 3)
        ref = manifest.parts["model"].tensors["items"].blobs[0]
        (pack,) = [p for p in files(root) if p.name == f"{ref.pack}.pack"]
        flip(pack, 8 * ref.offset + 3)
        with pytest.raises(StoreDamagedError) as error:
            store.restore(KEY, 3)
        for word in (ref.name.hex()[:12], ref.pack, f"{KEY[:12]}:3", "nearest intact epoch is 2"):
            assert word in error.value.message
        assert_equal(
            store.restore(KEY, 3, ["vocabulary"]), {"vocabulary": make_state(3)["vocabulary"]}
        )
        (problem,) = store.verify().problems
        assert problem.kind == "blob"
        assert problem.checkpoints == ((KEY, 3, 2),)
        assert store.verify(data=False).problems == ()


def test_damage_to_a_shared_blob_names_all_that_share_it(root: Path) -> None:
    with Store.open(root) as store:
        ref = store.read(KEY, 1).parts["vocabulary"].tensors["ids"].blobs[0]
        (pack,) = [p for p in files(root) if p.name == f"{ref.pack}.pack"]
        flip(pack, 8 * ref.offset + 3)
        (problem,) = store.verify().problems
        assert problem.checkpoints == ((KEY, 1, 4), (KEY, 2, 4), (KEY, 3, 4))


def test_a_damaged_manifest_names_the_nearest_intact_epoch(root: Path) -> None:
    with Store.open(root) as store:
        flip(root / store.read(KEY, 2).ref, 500)
        with pytest.raises(StoreDamagedError, match="nearest intact epoch is 1"):
            store.restore(KEY, 2)


def test_a_manifest_under_another_name_is_refused(root: Path) -> None:
    with Store.open(root) as store:
        second, third = (root / store.read(KEY, epoch).ref for epoch in (2, 3))
        third.write_bytes(second.read_bytes())
        with pytest.raises(StoreDamagedError, match="it is that of"):
            store.read(KEY, 3)


def test_a_damaged_index_costs_nothing(root: Path) -> None:
    for path in (root / "index").iterdir():
        flip(path, 99)
    with Store.open(root) as store:
        saved = store.save(KEY, 9, make_state(1), {})
        assert len(store.read(KEY, 9).packs) == 1
        assert saved.stored_bytes < 1500
        problems = store.verify().problems
        assert {problem.kind for problem in problems} == {"index"}


@pytest.mark.parametrize("name", ["fsync", "link", "mkdir"])
def test_a_full_disk_is_reported_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files(root)
    with Store.open(root) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(StoreError, match=r"cannot write /.*: No space left") as error:
                store.save("ef" * 32, 1, make_state(7), {})
            assert error.value.hint is not None
        # With some names the pack's directory exists already, and only the manifest's is
        # refused: then the pack is garbage for the next collection.
        store.collect(grace_s=0)
        assert files(root) == before
        assert_after_recovery(store)


def assert_after_recovery(store: Store) -> None:
    store.save("ef" * 32, 1, make_state(7), {})
    assert_equal(store.restore("ef" * 32, 1), make_state(7))
    assert store.verify().problems == ()


def test_a_write_that_fails_half_way_leaves_nothing(root: Path) -> None:
    before = files(root)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    state = {"m": Part({"x": np.random.default_rng(0).integers(0, 256, 2**20, np.uint8)})}
    with Store.open(root) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, limits[1]))
        try:
            with pytest.raises(StoreError, match=r"cannot write .*\.pack: File too large"):
                store.save("ef" * 32, 1, state, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert files(root) == before
        assert_after_recovery(store)


def test_a_commit_that_failed_may_be_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store.open(root) as store:
        staged = store.stage(make_state(8))
        staged._future.result()
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", full)
            with pytest.raises(StoreError, match=r"\.man: No space left"):
                staged.commit(KEY, 8, {})
        assert 8 not in store.epochs(KEY)
        staged.commit(KEY, 8, {})
        assert_equal(store.restore(KEY, 8), make_state(8))

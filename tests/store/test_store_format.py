"""Stores that older versions have written always load, and can be continued."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import make_fixture as fixture
import numpy as np
import pytest
from store_tools import KEY, OTHER_KEY, assert_equal, assert_no_garbage, drop, make_state

from recsearch.errors import CheckpointNotFoundError
from recsearch.state import Part
from recsearch.store import Store
from recsearch.store.codec import BLOCK_CODECS
from recsearch.store.patch import PATCH_CODECS

FIXTURES = Path(__file__).parent / "fixtures"
KEYS = (fixture.SMALL, fixture.FAST)


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[int], Path]:
    def copied(version: int) -> Path:
        target = tmp_path / "store"
        shutil.copytree(FIXTURES / f"format-{version}", target)
        return target

    return copied


def first_state(seed: int) -> dict[str, Part]:
    """What format 1 was given."""
    rng = np.random.default_rng(seed)
    state = make_state(seed)
    odd = {
        "empty": np.empty((0, 3), np.float32),
        "scalar": np.array(seed, np.int64),
        "flags": rng.random(9) < 0.5,
        "half": rng.normal(size=(5, 2)).astype(np.float16),
    }
    vocabulary = replace(state["vocabulary"], constant=True)
    return {**state, "vocabulary": vocabulary, "odd": Part(odd)}


def first_info(epoch: int) -> dict[str, object]:
    return {
        "epoch": epoch,
        "owner": "old/1",
        "metrics": {"RMSE": 1 / epoch},
        "objective": "RMSE",
    }


def check_first(store: Store, epochs: tuple[int, ...] = (1, 2, 3)) -> None:
    for epoch in epochs:
        assert_equal(store.restore(KEY, epoch), first_state(epoch))
        assert store.read(KEY, epoch).info == first_info(epoch)
        rows = [39, 0, 7, 7]
        items = first_state(epoch)["model"].tensors["items"]
        found = store.read_rows(KEY, epoch, "model", "items", rows)
        assert found.tobytes() == items[rows].tobytes()
    assert_equal(store.restore(OTHER_KEY, 1), first_state(1))
    assert store.read(OTHER_KEY, 1).info == {"epoch": 1, "owner": "old/2"}
    assert store.verify().problems == ()


def test_format_1_loads(copy: Callable[[int], Path]) -> None:
    with Store.open(copy(1), create=False) as store:
        assert store.keys() == [KEY, OTHER_KEY]
        assert store.epochs(KEY) == [1, 2, 3]
        check_first(store)
        usage = store.du()
        assert (usage.packs, usage.checkpoints) == (4, 4)


def test_format_1_is_continued_collected_and_verified(copy: Callable[[int], Path]) -> None:
    with Store.open(copy(1)) as store:
        again = store.save(OTHER_KEY, 2, first_state(2), {"owner": "new"})
        assert again.stored_bytes == store.read(OTHER_KEY, 2).size, "all its blocks are known"
        assert store.save(KEY, 3, first_state(3), first_info(3)).stored_bytes == 0
        states = {}
        for codec, first in (("fast", 4), ("small", 6)):
            with store.track(codec=codec, after=store.read(KEY, 3)) as track:
                for epoch in (first, first + 1):
                    states[epoch] = first_state(3)
                    states[epoch]["model"].tensors["items"][[3, epoch]] += 1
                    store.save(KEY, epoch, states[epoch], {}, track=track)
        for epoch in states:
            assert store.read(KEY, epoch).parts["model"].tensors["items"].patches
        check_first(store)
        store.adopt(KEY, 1, {"owner": "pin:one", "retention": "all"})
        assert drop(store, 1, owner="old/1") == [1]
        assert drop(store, 2) == [2]
    with Store.open(store.url) as store:
        store.collect(grace_s=0)
        store.collect(grace_s=0)
        assert_no_garbage(store._backend)
        check_first(store, (3,))
        assert_equal(store.restore(KEY, 1), first_state(1))
        assert_equal(store.restore(OTHER_KEY, 2), first_state(2))
        for epoch, state in states.items():
            assert_equal(store.restore(KEY, epoch), state)


def remake(part: str, name: str, array: np.ndarray) -> np.ndarray:
    assert (part, name) == fixture.USERS
    return fixture.users_from(array)


def check_second(store: Store) -> None:
    for key in KEYS:
        assert store.epochs(key) == list(range(1, fixture.EPOCHS + 1))
        for epoch in store.epochs(key):
            found = store.restore(key, epoch, remake=remake)
            assert_equal(found, fixture.known_state(key, epoch))
            if epoch != 2 or key != fixture.SMALL:
                assert store.read(key, epoch).info == fixture.known_info(key, epoch)
    assert store.verify().problems == ()


def test_format_2_loads(copy: Callable[[int], Path]) -> None:
    root = copy(2)
    assert sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) < 60_000
    with Store.open(root, create=False) as store:
        check_second(store)
        manifests = [store.read(k, e) for k in KEYS for e in store.epochs(k)]
        codecs = {store._source.blob(place).codec for m in manifests for place in m.places}
        assert codecs == {*BLOCK_CODECS, *PATCH_CODECS}
        tensors = [tensor for m in manifests for _, tensor in m.tensors]
        assert max(len(tensor.blocks) for tensor in tensors) > 3
        assert max(len(chain) for tensor in tensors for chain in tensor.blocks) > 3
        assert any(
            0 < min(t.since) < len(t.patches) or max(t.since) > 0 for t in tensors if t.since
        )
        with pytest.raises(CheckpointNotFoundError, match=r"dense/users .* is not stored"):
            store.restore(fixture.SMALL, 3)


def test_format_2_is_continued_collected_and_verified(copy: Callable[[int], Path]) -> None:
    last = fixture.EPOCHS
    with Store.open(copy(2)) as store:
        for key, codec in ((fixture.SMALL, "small"), (fixture.FAST, "fast")):
            with store.track(codec=codec, after=store.read(key, last)) as track:
                for epoch in (last + 1, last + 2):
                    state = fixture.known_state(key, epoch)
                    store.save(key, epoch, state, {}, track=track)
                    assert_equal(store.restore(key, epoch), state)
            drop(store, 1, 2, 4, key=key)
    with Store.open(store.url) as store:
        store.collect(grace_s=0)
        store.collect(grace_s=0)
        assert_no_garbage(store._backend)
        assert store.epochs(fixture.FAST) == [3, last, last + 1, last + 2]
        assert store.epochs(fixture.SMALL) == [2, 3, last, last + 1, last + 2], "2 is pinned"
        for key in KEYS:
            for epoch in store.epochs(key):
                found = store.restore(key, epoch, remake=remake)
                assert_equal(found, fixture.known_state(key, epoch))
        assert store.verify().problems == ()


def test_the_fixture_can_be_written_anew(tmp_path: Path) -> None:
    fixture.write(tmp_path / "store")
    with Store.open(tmp_path / "store") as store, Store.open(FIXTURES / "format-2") as committed:
        check_second(store)
        for key in KEYS:
            for epoch in store.epochs(key):
                mine, theirs = store.read(key, epoch), committed.read(key, epoch)
                hashes = [[t.hash for _, t in one.tensors] for one in (mine, theirs)]
                assert hashes[0] == hashes[1]

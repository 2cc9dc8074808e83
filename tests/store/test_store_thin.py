"""An array that the model can compute again is not stored: its hash proves the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_tools import KEY

from recsearch.errors import CheckpointNotFoundError, VerificationError
from recsearch.state import Part
from recsearch.store import Store

ROWS = 3000
USERS, ITEMS = ("users", "P"), ("model", "Q")


def items(epoch: int) -> np.ndarray:
    return np.random.default_rng(epoch).normal(size=(ROWS, 16)).astype(np.float32)


def users_of(q: np.ndarray) -> np.ndarray:
    return np.cos(q) * np.float32(3)


def remake(part: str, name: str, q: np.ndarray) -> np.ndarray:
    assert (part, name) == USERS
    return users_of(q)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Epochs 1 to 4; the users of each epoch come from the items of the one before."""
    store = Store.open(tmp_path / "store")
    for epoch in range(1, 5):
        state = {
            "model": Part({"Q": items(epoch)}),
            "users": Part({"P": users_of(items(epoch - 1))}),
        }
        store.save(KEY, epoch, state, {"owner": "run/1", "epoch": epoch})
    return store


def test_a_thinned_array_is_computed_again_and_frees_its_bytes(store: Store) -> None:
    before = store.du().stored_bytes
    for epoch in (2, 3):
        assert store.thin(KEY, epoch, USERS, (epoch - 1, *ITEMS), owner="run/1") == 1
    for epoch in (1, 2, 3, 4):
        found = store.restore(KEY, epoch, remake=remake)
        assert found["users"].tensors["P"].tobytes() == users_of(items(epoch - 1)).tobytes()
        assert found["model"].tensors["Q"].tobytes() == items(epoch).tobytes()
        assert store.read(KEY, epoch).info == {"owner": "run/1", "epoch": epoch}
    store.collect(grace_s=0)
    store.collect(grace_s=0)
    assert before - store.du().stored_bytes > 1.9 * items(1).nbytes
    assert store.verify().problems == ()
    assert store.restore(KEY, 3, remake=remake)["users"].tensors["P"].shape == (ROWS, 16)


def test_without_a_model_only_the_other_parts_restore(store: Store) -> None:
    store.thin(KEY, 2, USERS, (1, *ITEMS))
    with pytest.raises(CheckpointNotFoundError, match=r"users/P .* is not stored"):
        store.restore(KEY, 2)
    assert store.restore(KEY, 2, ["model"])["model"].tensors["Q"].tobytes() == items(2).tobytes()


def test_another_result_is_refused(store: Store) -> None:
    store.thin(KEY, 2, USERS, (1, *ITEMS))
    with pytest.raises(VerificationError, match="another result"):
        store.restore(KEY, 2, remake=lambda part, name, q: users_of(q) + np.float32(1e-6))


def test_the_source_stays_when_its_own_epoch_is_dropped(store: Store) -> None:
    store.thin(KEY, 2, USERS, (1, *ITEMS))
    from recsearch.store import BestAndLast, Record

    store.retain(KEY, BestAndLast("min", 0, 1), [Record(1, 1.0), Record(4, 0.5)])
    store.collect(grace_s=0)
    store.collect(grace_s=0)
    found = store.restore(KEY, 2, remake=remake)
    assert found["users"].tensors["P"].tobytes() == users_of(items(1)).tobytes()


def test_other_owners_and_absent_sources_are_left_alone(store: Store) -> None:
    assert store.thin(KEY, 2, USERS, (1, *ITEMS), owner="run/2") == 0
    assert store.thin(KEY, 2, USERS, (9, *ITEMS)) == 0
    assert store.thin(KEY, 9, USERS, (1, *ITEMS)) == 0
    assert store.thin(KEY, 2, ("users", "other"), (1, *ITEMS)) == 0
    assert store.restore(KEY, 2)["users"].tensors["P"].tobytes() == users_of(items(1)).tobytes()
    store.adopt(KEY, 2, {"owner": "pin:keep", "retention": "all"})
    assert store.thin(KEY, 2, USERS, (1, *ITEMS), owner="run/1") == 1
    kept = [store.read(KEY, 2).info["owner"], store.restore(KEY, 2, remake=remake)]
    assert kept[0] in ("run/1", "pin:keep")

"""Trials whose checkpoints are damaged, or whose disk is full: nothing is lost, and it is said."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from search_tools import damage, plan, planted_split
from test_trial import run

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.models import resolve
from recsearch.store import Store
from recsearch.store.local import LocalBackend
from recsearch.trial import run_trial
from recsearch.verification import same_arrays


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "trained"
    log.touch()
    monkeypatch.setenv("PLANTED_LOG", str(log))
    return log


DAMAGE = [
    ("all", [(5, "weights")], 4, "epoch 5 is damaged and set aside in the store, continuing "
     "from epoch 4"),
    ("all", [(5, "manifest")], 4, "epoch 5 is damaged"),
    ("all", [(4, "weights"), (5, "manifest")], 3, "epochs 4, 5 are damaged"),
    ("all", [(5, "manifest"), (2, "weights")], 1, "epochs 2, 5 are damaged"),
    ("all", [(2, "manifest")], 1, "epoch 2 is damaged"),
    ("all", [(5, "ids")], 0, "epochs 1, 2, 3, 4, 5 are damaged and set aside in the store, "
     "training starts over"),
    ("best+last", [(5, "weights")], 3, "continuing from epoch 3"),
    ("best+last", [(5, "manifest")], 3, "continuing from epoch 3"),
    ("best+last", [(3, "manifest")], 0, "epoch 3 is damaged and set aside in the store, "
     "training starts over"),
    ("best:2+last", [(5, "manifest")], 3, "continuing from epoch 3"),
    ("best:3+last", [(5, "weights")], 4, "continuing from epoch 4"),
    ("every:2+last", [(5, "weights")], 4, "continuing from epoch 4"),
    ("last", [(5, "weights"), (3, "weights")], 0, "epochs 3, 5 are damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("retention", "damaged", "base", "note"), DAMAGE)
def test_a_trial_goes_on_from_the_nearest_earlier_epoch_that_is_intact(
    tmp_path: Path,
    trained: Path,
    retention: str,
    damaged: list[tuple[int, str]],
    base: int,
    note: str,
) -> None:
    what = plan(retention=retention, best_epoch=3, max_epochs=7, size=3000)
    straight = Store.open(tmp_path / "straight")
    expected = run(what, straight)
    with Store.open(tmp_path / "store") as store:
        run(what, store, epochs=5)
        for epoch, kind in damaged:
            damage(store, what.key, epoch, kind)
    trained.write_text("")
    with Store.open(tmp_path / "store") as store:
        resumed = run(what, store)
        assert note in (resumed[0].note or "")
        assert not any(result.note for result in resumed[1:])
        epochs = [int(line.split()[1]) for line in trained.read_text().splitlines()]
        assert epochs == list(range(base + 1, 8))
        assert [r.epoch for r in resumed] == [1, 2, 3, 4, 5, 6, 7]
        assert [r.metrics for r in resumed] == [r.metrics for r in expected]
        assert store.epochs(what.key) == straight.epochs(what.key)
        for epoch in store.epochs(what.key):
            assert same_arrays(store.restore(what.key, epoch), straight.restore(what.key, epoch))
        store.collect(grace_s=0)
        assert not any(problem.checkpoints for problem in store.verify().problems)
        store.repair()
        assert not store.verify().problems
        lost = [e.name for e in store._backend.list("lost/")]
        assert len(lost) >= len(damaged), "set aside, not deleted"


def test_what_a_lost_epoch_had_displaced_need_not_be_trained_again(
    tmp_path: Path, trained: Path
) -> None:
    """Epoch 3 was among the best two, until epoch 5 was better; that is lost and will be again."""
    what = plan(retention="best:2+last", best_epoch=9, max_epochs=7, size=100)
    with Store.open(tmp_path / "store") as store:
        run(what, store, epochs=5)
        assert store.epochs(what.key) == [4, 5]
        damage(store, what.key, 5, "weights")
    trained.write_text("")
    with Store.open(tmp_path / "store") as store:
        run(what, store)
        assert [line.split()[1] for line in trained.read_text().splitlines()] == ["5", "6", "7"]
        assert store.epochs(what.key) == [6, 7]


def test_over_damage_another_objective_still_gets_a_restorable_best(tmp_path: Path) -> None:
    """The run before kept epochs 4 and 5, of which 5 is lost; by this objective 1 is the best."""
    with Store.open(tmp_path / "store") as store:
        first = plan(run_id="run-a", size=100)
        run(first, store, epochs=5)
        damage(store, first.key, 5, "manifest")
    with Store.open(tmp_path / "store") as store:
        what = plan(run_id="run-b", objective="RecipRank", size=100)
        values = [result.metrics["RecipRank"] for result in run(what, store)]
        store.restore(what.key, values.index(max(values)) + 1)


def test_another_trial_is_not_built_on_a_shared_array_that_is_damaged(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        first = plan(retention="all", max_epochs=2, size=100)
        run(first, store)
        damage(store, first.key, 2, "ids")
    with Store.open(tmp_path / "store") as store:
        second = plan(retention="all", max_epochs=2, size=100, level=2.0)
        assert not any(result.note for result in run(second, store))
        for epoch in (1, 2):
            store.restore(second.key, epoch)


def test_a_damaged_twin_of_an_epoch_that_is_being_trained_gives_way(tmp_path: Path) -> None:
    """Another run of the same trial, some epochs ahead, is damaged after we looked."""
    with Store.open(tmp_path / "store") as store:
        ours = plan(run_id="run-b", retention="all", max_epochs=3, size=100)
        trial = run_trial(ours, resolve("planted:Planted"), planted_split(), store)
        assert next(trial).epoch == 1
        run(plan(run_id="run-a", retention="all", max_epochs=3, size=100), store)
        damage(store, ours.key, 2, "manifest")
        assert [result.epoch for result in trial] == [2, 3]
        store.restore(ours.key, 2)


def test_damage_that_cannot_be_set_aside_is_an_error_not_an_endless_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "store")
    what = plan(retention="all", size=100)
    run(what, store, epochs=3)
    damage(store, what.key, 3, "weights")
    monkeypatch.setattr(store, "quarantine", lambda key, epoch: [])
    with pytest.raises(StoreDamagedError):
        run(what, store)


@pytest.mark.parametrize("retention", ["all", "best+last"])
def test_a_full_disk_at_any_write_is_an_error_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retention: str
) -> None:
    what = plan(retention=retention, best_epoch=2, max_epochs=4, size=500)
    with Store.open(tmp_path / "straight") as straight:
        expected = run(what, straight)
        kept = {epoch: straight.restore(what.key, epoch) for epoch in straight.epochs(what.key)}
    write, left = LocalBackend._write, 0

    def failing(path: Path, chunks: Iterable[bytes], *, durable: bool) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            chunk = next(iter(chunks), b"")
            path.write_bytes(bytes(chunk)[: len(chunk) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, chunks, durable=durable)

    for writes in range(200):
        store = Store.open(tmp_path / f"store-{writes}")
        left = writes
        monkeypatch.setattr(LocalBackend, "_write", staticmethod(failing))
        reported = []
        try:
            with store:
                trial = run_trial(what, resolve("planted:Planted"), planted_split(), store)
                reported += [result.epoch for result in trial]
        except StoreError as error:
            assert "No space left on device" in error.message
            assert error.exit_code == 1
        monkeypatch.setattr(LocalBackend, "_write", staticmethod(write))
        with Store.open(tmp_path / f"store-{writes}") as again:
            assert not [p for p in again.verify().problems if p.kind != "index"]
            resumed = run(what, again)
            assert [r.metrics for r in resumed] == [r.metrics for r in expected]
            assert not any(result.note for result in resumed)
            for epoch, state in kept.items():
                assert same_arrays(again.restore(what.key, epoch), state)
        if left >= 0:
            break
    assert left >= 0, "the last round had room enough"
    assert writes > 8

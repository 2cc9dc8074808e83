"""What a search keeps of its trials, and how it stays below its quota. No Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsearch.errors import StoreError
from recsearch.evaluation import parse
from recsearch.plan import owner_of
from recsearch.record import Record
from recsearch.state import Part
from recsearch.store import Store
from recsearch.store.holdings import Holdings
from recsearch.store.layout import Layout
from recsearch.store.retention import parse_retention
from recsearch.tuning import housekeeping
from recsearch.tuning.housekeeping import Housekeeper

RUN = "run-a"
ROWS = 10_000
"""One checkpoint is 40 kB of its own arrays and about 1 kB of manifest."""
IDS = np.random.default_rng(1).random(1000)
"""All checkpoints share 8 kB."""


def key(number: int) -> str:
    return f"{number:064x}"


class Bench:
    """A store, a record that goes with it, and a housekeeper over both."""

    def __init__(self, root: Path):
        self.store = Store.open(root)
        self.record = Record(parse("RMSE"))

    def keeper(self, retention: str, quota: int | None = None) -> Housekeeper:
        self.retention = retention
        rules = parse_retention(retention, "min")
        return Housekeeper(self.store, self.record, rules, RUN, quota)

    def event(self, kind: str, /, **values: Any) -> None:
        self.record.apply({"event": kind, "time": "2026-01-01T00:00:00.000Z", **values})

    def trial(self, number: int, *values: float, end: str | None = "done") -> None:
        """All its epochs are there, as a worker leaves them that keeps everything."""
        self.event("suggested", trial=number, params={}, config={}, key=key(number), origin="tpe")
        self.event("started", trial=number)
        for value in values:
            self.epoch(number, value)
        if end is not None:
            self.end(number, end)

    def epoch(self, number: int, value: float) -> None:
        epoch = len(self.record.trials[number].epochs) + 1
        rng = np.random.default_rng([number, epoch])
        state = {
            "model": Part({"w": rng.random(ROWS, np.float32)}),
            "vocabulary": Part({"ids": IDS}, constant=True),
        }
        info = {"owner": owner_of(RUN, number), "retention": self.retention}
        saved = self.store.save(key(number), epoch, state, info)
        self.event(
            "epoch", trial=number, epoch=epoch, metrics={"RMSE": value},
            stored_bytes=saved.stored_bytes,
        )  # fmt: skip

    def end(self, number: int, kind: str = "done") -> None:
        more = {"done": {"reason": "plateau"}, "pruned": {"rule": "asha"},
                "error": {"kind": "ValueError", "message": "planted"}}[kind]  # fmt: skip
        epochs = len(self.record.trials[number].epochs)
        self.event(kind, trial=number, epoch=epochs, **more)

    @property
    def there(self) -> dict[int, list[int]]:
        return {n: self.store.epochs(key(n)) for n in sorted(self.record.trials)}

    @property
    def disk(self) -> int:
        prefixes = (Layout.PACKS, Layout.CHECKPOINTS)
        return sum(e.size for prefix in prefixes for e in self.store._backend.list(prefix))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "store")
    yield made
    made.store.close()


def test_without_a_narrower_rule_nothing_is_touched(bench: Bench) -> None:
    keeper = bench.keeper("all")
    bench.trial(1, 3, 1, 2)
    bench.trial(2, 4, 5, end="pruned")
    keeper.tick()
    keeper.finish()
    assert bench.there == {1: [1, 2, 3], 2: [1, 2]}
    assert keeper.problem is None


def test_a_trial_is_judged_again_when_the_best_epoch_moves_away(bench: Bench) -> None:
    keeper = bench.keeper("best:9+last, pruned:none")
    bench.trial(1, 3, 1, end="pruned")
    bench.trial(2, 5, 4)
    keeper.tick()
    assert bench.there == {1: [2], 2: [1, 2]}, "the best of all, although it is pruned"
    bench.trial(3, 0.5)
    keeper.tick()
    assert bench.there == {1: [], 2: [1, 2], 3: [1]}


def test_ended_trials_outside_the_best_keep_their_best_epoch_alone(bench: Bench) -> None:
    keeper = bench.keeper("best:9+last, topk-trials:1, pruned:none")
    bench.trial(1, 3, 1, 2)
    keeper.tick()
    assert bench.there == {1: [1, 2, 3]}
    bench.trial(2, 5, 4, end="pruned")
    bench.trial(3, 8, 7, 9, end="error")
    bench.trial(4, 6, 7, end=None)
    keeper.tick()
    assert bench.there == {1: [1, 2, 3], 2: [], 3: [2], 4: [1, 2]}
    bench.epoch(4, 0.5)
    bench.end(4)
    keeper.tick()
    assert bench.there == {1: [2], 2: [], 3: [2], 4: [1, 2, 3]}, "trial 4 is the best now"


def test_the_best_epoch_of_the_run_outlives_every_rule_until_another_one_is_best(
    bench: Bench,
) -> None:
    keeper = bench.keeper("none")
    bench.trial(1, 3, 2, 4)
    keeper.tick()
    assert bench.there == {1: [2]}
    bench.trial(2, 3, 1, 5, end=None)
    keeper.tick()
    assert bench.there == {1: [], 2: [1, 2, 3]}
    bench.end(2)
    keeper.finish()
    assert bench.there == {1: [], 2: [2]}
    restored = bench.store.restore(key(2), 2)
    assert restored["model"].tensors["w"].shape == (ROWS,)


def test_a_full_quota_drops_the_least_wanted_first(bench: Bench) -> None:
    keeper = bench.keeper("best+last", quota=400_000)
    bench.trial(1, 3, 1, 2)  # the best
    bench.trial(2, 7, 8)
    keeper.tick()
    assert bench.there == {1: [1, 2, 3], 2: [1, 2]}, "210 kB fit"
    bench.trial(3, 9, 4, 6, end=None)
    bench.trial(4, 5, 6, end="pruned")
    keeper.tick()
    assert bench.there == {1: [1, 2, 3], 2: [1], 3: [1, 2, 3], 4: [1, 2]}
    bench.trial(5, 2, 3, 9, 9, end=None)
    keeper.tick()
    assert bench.there == {1: [2], 2: [], 3: [1, 2, 3], 4: [1], 5: [1, 2, 3, 4]}
    assert bench.disk < 400_000, "what was dropped has been freed"


def test_a_quota_full_of_what_must_stay_ends_the_search(bench: Bench) -> None:
    keeper = bench.keeper("best+last", quota=130_000)
    bench.trial(1, 3, 1)
    bench.trial(2, 5, 4, end=None)
    bench.trial(3, 9, 8)
    pinned = {"owner": "pin:mine", "retention": "all"}
    bench.store.adopt(key(1), 1, pinned)
    with pytest.raises(StoreError, match=r"hold 16\d\.\d kB, more than its quota of 130\.0 kB"):
        bench.epoch(2, 6)
        keeper.tick()
    assert bench.there == {1: [1, 2], 2: [1, 2, 3], 3: []}
    assert bench.disk < 5 * 45_000, "freed before the end"
    assert bench.store.read(key(1), 1).info == pinned
    with pytest.raises(StoreError) as caught:
        keeper.tick()
    assert caught.value.exit_code == 1
    assert "--quota" in str(caught.value)
    assert "continue from" in caught.value.message
    bench.keeper("best+last", quota=200_000).tick()


def test_retention_all_and_a_quota_too_small_lose_nothing(bench: Bench) -> None:
    keeper = bench.keeper("all", quota=100_000)
    bench.trial(1, 3, 1)
    keeper.tick()
    bench.trial(2, 3, 1)
    with pytest.raises(StoreError, match="retention all keeps every epoch"):
        keeper.tick()
    assert bench.there == {1: [1, 2], 2: [1, 2]}
    keeper.finish()
    assert keeper.problem is not None
    assert "retention all" in keeper.problem


def test_a_trial_that_is_being_written_is_not_counted_twice(bench: Bench) -> None:
    """A worker may have committed an epoch and not yet dropped the one before."""
    keeper = bench.keeper("best+last", quota=100_000)
    bench.trial(1, 3, 1, end=None)
    ahead = {"model": Part({"w": np.random.default_rng(9).random(ROWS, np.float32)})}
    bench.store.save(key(1), 3, ahead, {"owner": owner_of(RUN, 1)})
    keeper.tick()


def test_other_runs_are_neither_counted_nor_touched(bench: Bench) -> None:
    keeper = bench.keeper("none", quota=100_000)
    bench.trial(1, 3, 1, 2, end=None)
    for epoch in (1, 2, 3):
        bench.store.adopt(key(1), epoch, {"owner": "run-b/7"})
    for epoch in range(1, 9):
        state = {"model": Part({"w": np.random.default_rng(epoch).random(ROWS, np.float32)})}
        bench.store.save(key(8), epoch, state, {"owner": "run-b/8"})
    bench.end(1)
    keeper.tick()
    owners = {e: bench.store.read(key(1), e).info["owner"] for e in bench.store.epochs(key(1))}
    assert owners == {1: "run-b/7", 2: owner_of(RUN, 1), 3: "run-b/7"}
    assert len(bench.store.epochs(key(8))) == 8


def test_garbage_is_collected_before_it_exceeds_the_quota(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = 500_000
    keeper = bench.keeper("best+last", quota=quota)
    bench.trial(1, 50, end=None)
    most = 0
    for value in range(49, 9, -1):
        bench.epoch(1, value)
        epochs = bench.store.epochs(key(1))
        bench.store.retain(
            key(1), parse_retention("last", "min").epochs,
            [housekeeping.Judged(e, None) for e in epochs], owner=owner_of(RUN, 1),
        )  # fmt: skip
        keeper.tick()
        most = max(most, bench.disk)
    assert 45_000 < most < quota, "1.6 MB were written"
    monkeypatch.setattr(housekeeping, "LITTER", 1e9)
    for value in range(9, 0, -1):
        bench.epoch(1, value)
        keeper.tick()
    assert bench.disk > most


def test_a_collection_that_cannot_be_done_is_told_and_is_no_reason_to_stop(bench: Bench) -> None:
    keeper = bench.keeper("none")
    bench.trial(1, 3, 1)
    name = next(e.name for e in bench.store._backend.list(Layout.CHECKPOINTS))
    path = Path(bench.store.url) / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    keeper.finish()
    assert keeper.problem is not None
    assert keeper.problem.startswith("dropped checkpoints not freed: ")


def test_holdings_equal_a_count_from_scratch_whatever_comes_and_goes(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    holdings = Holdings(bench.store)
    bench.keeper("best+last")
    for number in (1, 2, 3):
        bench.trial(number, end=None)
    for step in range(60):
        number = int(rng.integers(1, 4))
        owner = owner_of(RUN, number)
        epochs = sorted(holdings.epochs(key(number), owner))
        if epochs and rng.random() < 0.4:
            gone = [housekeeping.Judged(int(rng.choice(epochs)), None)]
            bench.store.retain(key(number), housekeeping.NOTHING, gone, owner=owner)
        else:
            bench.epoch(number, float(step))
        count = len(bench.record.trials[number].epochs)
        holdings.update(key(number), owner, count)
        fresh = Holdings(bench.store)
        for trial in bench.record.trials.values():
            fresh.update(trial.key, owner_of(RUN, trial.number), len(trial.epochs))
        assert holdings.total == fresh.total
        assert holdings.epochs(key(number), owner) == set(bench.store.epochs(key(number)))
    logical = sum(len(epochs) for epochs in bench.there.values()) * 4 * ROWS
    assert logical + 8000 < holdings.total < 1.05 * logical + 8000, "the vocabulary counts once"
    for number in (1, 2, 3):
        every = [housekeeping.Judged(e, None) for e in bench.store.epochs(key(number))]
        bench.store.retain(key(number), housekeeping.NOTHING, every)
        holdings.update(key(number), owner_of(RUN, number), 99)
    assert holdings.total == 0

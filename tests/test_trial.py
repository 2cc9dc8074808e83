from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_tools import plan, planted_split

from recsearch.models import resolve
from recsearch.plan import TrialPlan, trial_key
from recsearch.stopping import Plateau
from recsearch.store import BestAndLast, Record, Store
from recsearch.trial import EpochResult, NonFiniteObjectiveError, run_trial
from recsearch.verification import same_arrays


def run(what: TrialPlan, store: Store, model: str = "planted:Planted", epochs: int | None = None
        ) -> list[EpochResult]:  # fmt: skip
    trial = run_trial(what, resolve(model), planted_split(), store)
    return list(islice(trial, epochs))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "trained"
    log.touch()
    monkeypatch.setenv("PLANTED_LOG", str(log))
    return log


def test_epochs_carry_their_own_metrics(store: Store) -> None:
    results = run(plan(level=1.0, best_epoch=4), store)
    assert [result.epoch for result in results] == [1, 2, 3, 4, 5, 6]
    values = [result.metrics["RMSE"] for result in results]
    assert values == pytest.approx([1.3, 1.2, 1.1, 1.0, 1.1, 1.2], abs=1e-6)
    assert [result.finished for result in results] == [None] * 5 + ["max_epochs"]
    assert not any(result.cached for result in results)


@pytest.mark.parametrize(
    ("model", "objective", "best"),
    [("planted:Planted", "RMSE", 4), ("planted:PlantedRank", "RecipRank", 4)],
)
def test_b22_b28_best_and_last_stay_in_both_directions(
    store: Store, model: str, objective: str, best: int
) -> None:
    what = plan(model, objective=objective, best_epoch=best)
    results = run(what, store, model)
    values = [result.metrics[objective] for result in results]
    top = min(values) if objective == "RMSE" else max(values)
    assert values.index(top) + 1 == best
    assert store.epochs(what.key) == [best, 6]
    manifest = store.read(what.key, best)
    assert manifest.info["metrics"][objective] == top
    assert manifest.info["config"] == what.config


def test_every_epoch_is_committed_before_it_is_reported(store: Store) -> None:
    what = plan(retention="all")
    trial = run_trial(what, resolve("planted:Planted"), planted_split(), store)
    for result in trial:
        assert store.epochs(what.key)[-1] == result.epoch
    assert store.epochs(what.key) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("stopped_after", range(6))
def test_b14_a_stopped_trial_continues_and_equals_a_straight_one_bit_for_bit(
    tmp_path: Path, trained: Path, stopped_after: int
) -> None:
    straight, other = Store.open(tmp_path / "a"), Store.open(tmp_path / "b")
    what = plan(retention="all")
    expected = run(what, straight)
    trained.write_text("")
    run(what, other, epochs=stopped_after)
    resumed = run(what, other)
    assert [r.metrics for r in resumed] == [r.metrics for r in expected]
    assert [r.finished for r in resumed] == [r.finished for r in expected]
    epochs = [int(line.split()[1]) for line in trained.read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5, 6], "no finished epoch is trained again"
    for epoch in range(1, 7):
        assert same_arrays(straight.restore(what.key, epoch), other.restore(what.key, epoch))


def test_an_equal_trial_of_another_run_is_not_trained(store: Store, trained: Path) -> None:
    first = run(plan(run_id="run-a"), store)
    trained.write_text("")
    second = run(plan(run_id="run-b", number=9), store)
    assert trained.read_text() == ""
    assert all(result.cached for result in second)
    assert [r.metrics for r in second] == [r.metrics for r in first]


def test_more_epochs_continue_a_cached_trial(store: Store, trained: Path) -> None:
    run(plan(run_id="run-a", max_epochs=3), store)
    trained.write_text("")
    longer = run(plan(run_id="run-b", max_epochs=5), store)
    assert [result.cached for result in longer] == [True] * 3 + [False] * 2
    assert [line.split()[1] for line in trained.read_text().splitlines()] == ["4", "5"]


def test_fewer_epochs_end_a_cached_trial_where_they_would(store: Store) -> None:
    run(plan(run_id="run-a"), store)
    shorter = run(plan(run_id="run-b", max_epochs=2), store)
    assert [result.finished for result in shorter] == [None, "max_epochs"]


def test_a_run_never_drops_what_another_run_keeps(store: Store) -> None:
    run(plan(run_id="run-a", max_epochs=4, best_epoch=2), store)
    what = plan(run_id="run-b", max_epochs=6, best_epoch=2)
    run(what, store)
    assert {2, 4} <= set(store.epochs(what.key))


def test_the_stop_rule_ends_a_trial_and_names_itself(store: Store) -> None:
    what = plan(max_epochs=30, best_epoch=2, stop=Plateau(patience=3, grace=3))
    results = run(what, store)
    assert results[-1].finished == "plateau"
    assert results[-1].epoch == 5
    assert store.epochs(what.key) == [2, 5]


def test_a_one_shot_trial_has_one_epoch(store: Store) -> None:
    results = run(plan(max_epochs=1), store)
    assert [result.finished for result in results] == ["one_shot"]


def test_a_diverged_objective_is_an_error_and_earlier_epochs_stay(store: Store) -> None:
    what = plan(level=1.0, slope=1e39, best_epoch=1)
    family, split = resolve("planted:Planted"), planted_split()
    results = run_trial(what, family, split, store)
    assert next(results).epoch == 1
    with pytest.raises(NonFiniteObjectiveError, match="after epoch 2"), np.errstate(all="ignore"):
        next(results)
    assert store.epochs(what.key) == [1]


def test_a_failing_epoch_raises_what_the_model_raised(store: Store) -> None:
    what = plan(fail_at=3)
    trial = run_trial(what, resolve("planted:Planted"), planted_split(), store)
    assert [next(trial).epoch, next(trial).epoch] == [1, 2]
    with pytest.raises(ValueError, match="planted failure"):
        next(trial)
    assert store.epochs(what.key) == [2]


def test_b3_the_key_is_the_content_of_the_trial() -> None:
    family, split = resolve("planted:Planted"), planted_split()
    config = family.complete({})
    base = trial_key(family, config, split, 1, ("RMSE",))
    assert base == trial_key(family, dict(reversed(config.items())), split, 1, ("RMSE",))
    assert len(base) == 64
    others = {
        trial_key(family, {**config, "level": 2.0}, split, 1, ("RMSE",)),
        trial_key(family, config, replace(split, split_id="6" * 64), 1, ("RMSE",)),
        trial_key(family, config, replace(split, part=1), 1, ("RMSE",)),
        trial_key(family, config, split, 2, ("RMSE",)),
        trial_key(family, config, split, 1, ("RMSE", "MAE")),
        trial_key(resolve("planted:PlantedRank"), config, split, 1, ("RMSE",)),
    }
    assert len(others | {base}) == 7


def test_a_checkpoint_stays_while_any_trial_keeps_it(store: Store) -> None:
    """A goes on after B was served from it, and B's best is the epoch that A would now drop."""
    first = run_trial(
        plan(run_id="run-a", best_epoch=9, max_epochs=6),
        resolve("planted:Planted"), planted_split(), store,
    )  # fmt: skip
    for _ in range(3):
        next(first)
    short = plan(run_id="run-b", best_epoch=9, max_epochs=3)
    served = run(short, store)
    assert all(result.cached for result in served)
    list(first)
    assert {3, 6} <= set(store.epochs(short.key))
    store.restore(short.key, 3)


def test_side_by_side_twins_each_keep_their_own(store: Store) -> None:
    family, split = resolve("planted:Planted"), planted_split()
    plans = [plan(run_id="run-a", max_epochs=4), plan(run_id="run-b", max_epochs=4)]
    twins = [run_trial(what, family, split, store) for what in plans]
    for results in zip(*twins, strict=True):
        assert results[0].metrics == results[1].metrics
    store.retain(
        plans[1].key, plans[1].policy, [Record(e, 1.0) for e in range(1, 9)], owner=plans[1].owner
    )
    assert store.epochs(plans[0].key) == [4]


def test_another_objective_gets_a_restorable_best_of_its_own(store: Store, trained: Path) -> None:
    """The run before kept epochs 4 and 6; by this objective epoch 1 is the best."""
    run(plan(run_id="run-a"), store)
    trained.write_text("")
    what = plan(run_id="run-b", objective="RecipRank")
    results = run(what, store)
    values = [result.metrics["RecipRank"] for result in results]
    best = values.index(max(values)) + 1
    store.restore(what.key, best)
    assert {4, 6} <= set(store.epochs(what.key)), "what the first run kept"


def test_retention_all_is_honoured_after_a_run_that_kept_less(store: Store, trained: Path) -> None:
    run(plan(run_id="run-a"), store)
    trained.write_text("")
    what = plan(run_id="run-b", retention="all")
    run(what, store)
    assert store.epochs(what.key) == [1, 2, 3, 4, 5, 6]
    assert [line.split()[1] for line in trained.read_text().splitlines()] == list("123456")


def test_equal_trials_of_one_run_are_cached_and_keep_their_own(store: Store, trained: Path) -> None:
    run(plan(number=1), store)
    trained.write_text("")
    again = run(plan(number=2), store)
    assert trained.read_text() == ""
    assert all(result.cached for result in again)


def test_a_dropped_checkpoint_is_trained_again_not_an_error(store: Store, trained: Path) -> None:
    what = plan(run_id="run-a", max_epochs=4)
    run(what, store)
    store.retain(what.key, BestAndLast("max"), [Record(4, 1.0), Record(9, 2.0)])
    trained.write_text("")
    results = run(plan(run_id="run-b", max_epochs=4), store)
    assert [result.epoch for result in results] == [1, 2, 3, 4]
    assert trained.read_text() != ""


def test_a_policy_that_names_neither_best_nor_last_keeps_both_while_training(store: Store) -> None:
    what = plan(retention="every:4, pruned:none", best_epoch=2, max_epochs=7)
    trial = run_trial(what, resolve("planted:Planted"), planted_split(), store)
    there = [store.epochs(what.key) for _ in trial]
    assert there == [[1], [2], [2, 3], [2, 4], [2, 4, 5], [2, 4, 6], [2, 4, 7]]


def test_epochs_that_all_stay_are_stored_as_differences(tmp_path: Path) -> None:
    """The planted array of 64 floats differs little from epoch to epoch, the random one wholly."""
    sizes = {}
    for retention in ("all", "best:99+last"):
        with Store.open(tmp_path / retention) as store:
            what = plan(retention=retention, max_epochs=6, size=20_000)
            results = run(what, store)
            sizes[retention] = sum(result.stored_bytes for result in results)
            assert store.epochs(what.key) == [1, 2, 3, 4, 5, 6]
    assert sizes["all"] < 0.97 * sizes["best:99+last"]


def test_the_next_epoch_of_a_resumed_trial_is_stored_as_a_change_of_the_restored_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = plan(retention="all", max_epochs=4)
    bases = []
    track = store.track

    def spy(**options: Any) -> Any:
        bases.append(options["after"] and options["after"].epoch)
        return track(**options)

    monkeypatch.setattr(store, "track", spy)
    run(what, store, epochs=2)
    run(what, store)
    assert bases == [None, 2]

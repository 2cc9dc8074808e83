"""Trials with several validation folds: the mean decides, and every fold is resumed by itself."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_tools import damage, fold_plan, plan, planted_folds, planted_split

from recsearch.errors import UsageError
from recsearch.folds import mean_metrics, merged_row, std_metrics
from recsearch.models import resolve
from recsearch.plan import TrialPlan
from recsearch.stopping import Plateau
from recsearch.store import Store
from recsearch.store.staged import Staged
from recsearch.trial import EpochResult, NonFiniteObjectiveError, run_trial
from recsearch.verification import same_arrays

FAMILY = "planted:PlantedFolds"
EPOCHS = 5
APART: dict[str, Any] = {"shift": 1, "spread": 0.5, "best_epoch": 2, "max_epochs": EPOCHS}
"""Folds 0, 1, 2 are best at epochs 2, 3, 4; their mean is at epoch 3."""


def run(what: TrialPlan, store: Store, folds: int = 3, epochs: int | None = None
        ) -> list[EpochResult]:  # fmt: skip
    return list(islice(run_trial(what, resolve(FAMILY), planted_folds(folds), store), epochs))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    # In memory: nothing here is about disks, and these are many trials.
    return Store.open(f"memory://{tmp_path.name}")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[tuple[int, int]]]:
    """(fold, epoch) of every epoch that was trained since the last call."""
    log = tmp_path / "trained"
    log.touch()
    monkeypatch.setenv("PLANTED_LOG", str(log))

    def read() -> list[tuple[int, int]]:
        rows = [line.split() for line in log.read_text().splitlines()]
        log.write_text("")
        return [(int(fold), int(epoch)) for _, epoch, fold in rows]

    return read


def every(folds: int = 3, epochs: int = EPOCHS) -> list[tuple[int, int]]:
    return [(fold, epoch) for epoch in range(1, epochs + 1) for fold in range(folds)]


class Killed(BaseException):
    """As a kill: nothing that the program itself catches."""


def kill_after(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, count: int) -> None:
    """Die once a method has returned for the ``count``-th time."""
    original, calls = getattr(owner, method), Counter[str]()

    def dying(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        calls[method] += 1
        if calls[method] == count:
            raise Killed
        return result

    monkeypatch.setattr(owner, method, dying)


def test_an_epoch_is_the_mean_over_the_folds(store: Store) -> None:
    results = run(fold_plan(**APART), store)
    # RMSE of fold f at epoch e: 1 + 0.5 f + 0.1 |e - 2 - f|.
    by_hand = [(1.1 + 1.7 + 2.3), (1.0 + 1.6 + 2.2), (1.1 + 1.5 + 2.1), (1.2 + 1.6 + 2.0),
               (1.3 + 1.7 + 2.1)]  # fmt: skip
    means = [result.metrics["RMSE"] for result in results]
    assert means == pytest.approx([total / 3 for total in by_hand], abs=1e-6)
    folds = results[0].folds
    assert folds is not None
    assert [fold["RMSE"] for fold in folds] == pytest.approx([1.1, 1.7, 2.3], abs=1e-6)
    assert [result.finished for result in results] == [None] * 4 + ["max_epochs"]


def test_what_stays_is_decided_by_the_mean_in_every_fold(store: Store) -> None:
    what = fold_plan(**APART)
    trial = run_trial(what, resolve(FAMILY), planted_folds(), store)
    there = [[store.epochs(key) for key in what.keys] for _ in trial]
    # Alone, the best of the folds were epochs 2, 3 and 4.
    assert there == [[each] * 3 for each in ([1], [2], [3], [3, 4], [3, 5])]


def test_the_stop_rule_judges_the_mean(store: Store) -> None:
    what = fold_plan(**{**APART, "max_epochs": 30}, stop=Plateau(patience=2, grace=2))
    results = run(what, store)
    assert (results[-1].epoch, results[-1].finished) == (5, "plateau")


@pytest.mark.parametrize(
    ("method", "retention", "step"),
    [("commit", "best+last", 1), ("retain", "best+last", 1), ("commit", "all", 4)],
)
def test_killed_anywhere_between_folds_a_trial_resumes_and_trains_nothing_twice(
    tmp_path: Path,
    trained: Callable[[], list[tuple[int, int]]],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    retention: str,
    step: int,
) -> None:
    """Also item B4: a fold that was being advanced in the kill is not skipped for ever."""
    what = fold_plan(**APART, retention=retention)
    straight = Store.open(f"memory://{tmp_path.name}/straight")
    expected = run(what, straight)
    assert trained() == every()
    for count in range(1, 3 * EPOCHS + 1, step):
        store = Store.open(f"memory://{tmp_path.name}/{count}")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, Staged if method == "commit" else Store, method, count)
            run(what, store)
        store.close()
        store = Store.open(f"memory://{tmp_path.name}/{count}")
        resumed = run(what, store)
        assert sorted(trained()) == sorted(every()), f"killed after {method} {count}"
        assert [(r.epoch, r.metrics, r.folds, r.finished) for r in resumed] == [
            (r.epoch, r.metrics, r.folds, r.finished) for r in expected
        ]
        assert not any(result.cached for result in resumed)
        for key in what.keys:
            assert store.epochs(key) == straight.epochs(key)
            for epoch in store.epochs(key):
                assert same_arrays(store.restore(key, epoch), straight.restore(key, epoch))
        store.close()


def test_a1_killed_in_fold_1_it_trains_fold_1_from_its_last_epoch_and_fold_2(
    store: Store,
    trained: Callable[[], list[tuple[int, int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    what = fold_plan(**APART)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        # Epochs 1 and 2 of three folds, then epoch 3 of fold 0: fold 1 dies in its third epoch.
        kill_after(patch, Staged, "commit", 7)
        run(what, store)
    assert trained() == [*every(epochs=2), (0, 3)]
    trial = run_trial(what, resolve(FAMILY), planted_folds(), store)
    results = list(islice(trial, 3))
    assert trained() == [(1, 3), (2, 3)]
    assert [result.replayed for result in results] == [True, True, False]
    list(trial)
    assert trained() == every()[9:]


def test_b4_no_fold_of_any_epoch_is_skipped_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold and its phase were two writes there; here a fold's epoch is one manifest."""
    what = fold_plan(**APART, retention="all")
    for count in (1, 2, 4):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, Staged, "commit", count)
            run(what, store)
    assert all(len(result.folds or ()) == 3 for result in run(what, store))
    assert [store.epochs(key) for key in what.keys] == [[1, 2, 3, 4, 5]] * 3


def test_sklearn_deap_17_the_score_of_one_fold_is_never_that_of_another(store: Store) -> None:
    """Equal configurations were cached without the fold: it is part of the key here."""
    what = fold_plan(**APART)
    assert len(set(what.keys)) == 3
    run(what, store)
    kept = [store.read(key, EPOCHS).info["metrics"]["RMSE"] for key in what.keys]
    assert kept == pytest.approx([1.3, 1.7, 2.1], abs=1e-6)
    again = run(replace(what, run_id="run-b"), store)
    assert [f["RMSE"] for f in again[-1].folds or ()] == kept


def test_equal_trials_of_other_runs_are_served(
    store: Store, trained: Callable[[], list[tuple[int, int]]]
) -> None:
    first = run(fold_plan(**APART), store)
    trained()
    second = run(fold_plan(**APART, run_id="run-b", number=9), store)
    assert trained() == []
    assert all(result.cached and result.replayed for result in second)
    assert [r.metrics for r in second] == [r.metrics for r in first]
    longer = run(fold_plan(**{**APART, "max_epochs": 7}, run_id="run-c"), store)
    assert trained() == [(fold, epoch) for epoch in (6, 7) for fold in range(3)]
    assert [result.cached for result in longer] == [True] * 5 + [False] * 2


def test_epochs_of_a_search_without_folds_serve_as_fold_0(
    store: Store, trained: Callable[[], list[tuple[int, int]]]
) -> None:
    alone = run(fold_plan(1, **APART, retention="all", run_id="run-a"), store, 1)
    trained()
    what = fold_plan(**APART, run_id="run-b")
    results = run(what, store)
    assert trained() == [pair for pair in every() if pair[0] != 0]
    assert [(r.folds or [])[0] for r in results] == [r.metrics for r in alone]
    assert not any(result.cached for result in results)
    owned = {(m.key, m.epoch) for m in store.manifests() if m.info["owner"] == what.owner}
    assert owned == {(key, epoch) for key in what.keys for epoch in (3, 5)}


def test_what_that_search_has_dropped_is_trained_again(
    store: Store, trained: Callable[[], list[tuple[int, int]]]
) -> None:
    """It kept epochs 2 and 5 of fold 0; the mean wants 3 and 5, from the first epoch on."""
    run(fold_plan(1, **APART, run_id="run-a"), store, 1)
    trained()
    run(fold_plan(**APART, run_id="run-b"), store)
    assert sorted(trained()) == sorted(every())


def test_fold_0_serves_a_search_without_folds_and_claims_nothing_of_the_others(
    store: Store, trained: Callable[[], list[tuple[int, int]]]
) -> None:
    both = fold_plan(**APART, retention="all", run_id="run-a")
    run(both, store)
    trained()
    what = fold_plan(1, **APART, run_id="run-b")
    results = run(what, store, 1)
    assert trained() == []
    assert all(result.folds is None for result in results)
    owned = [m for m in store.manifests() if m.info["owner"] == what.owner]
    assert {(m.key, m.epoch) for m in owned} == {(both.key, 2), (both.key, 5)}
    assert not any({"fold", "fold_keys"} & m.info.keys() for m in owned)


def test_a_trial_that_ends_early_gives_back_what_it_had_taken_ahead(store: Store) -> None:
    run(fold_plan(1, **APART, retention="all", run_id="run-a"), store, 1)
    what = fold_plan(**APART, run_id="run-b", retention="all")
    trial = run_trial(what, resolve(FAMILY), planted_folds(), store)
    next(trial)
    owned = [m.epoch for m in store.manifests(what.key) if m.info["owner"] == what.owner]
    assert owned == [1, 2, 3, 4, 5]
    trial.close()
    owned = [m.epoch for m in store.manifests(what.key) if m.info["owner"] == what.owner]
    assert owned == [1]
    assert store.epochs(what.key) == [1, 2, 3, 4, 5], "the other run's own stay"


@pytest.mark.parametrize(
    ("fold", "epoch", "base", "note"),
    [
        (1, 4, 3, "fold 1: epoch 4 is damaged and set aside in the store, continuing from epoch 3"),
        (2, 2, 1, "fold 2: epoch 2 is damaged and set aside in the store, continuing from epoch 1"),
    ],
)
def test_a_damaged_fold_goes_back_and_says_so(
    tmp_path: Path,
    trained: Callable[[], list[tuple[int, int]]],
    fold: int,
    epoch: int,
    base: int,
    note: str,
) -> None:
    store = Store.open(tmp_path / "store")
    what = fold_plan(**APART, retention="all", size=3000)
    expected = run(what, store, epochs=4)
    damage(store, what.keys[fold], epoch, "manifest")
    trained()
    resumed = run(what, store)
    assert note in (resumed[0].note or "")
    assert [r.metrics for r in resumed[:4]] == [r.metrics for r in expected]
    again = trained()
    assert [e for f, e in again if f == fold] == list(range(base + 1, 6))
    assert [e for f, e in again if f == (fold + 1) % 3] == [5], "whole folds lose nothing"


def test_an_error_in_one_fold_is_the_trials_and_what_all_have_stays(
    store: Store, trained: Callable[[], list[tuple[int, int]]]
) -> None:
    what = fold_plan(**APART, fail_at=3, fail_in=1)
    trial = run_trial(what, resolve(FAMILY), planted_folds(), store)
    assert [next(trial).epoch, next(trial).epoch] == [1, 2]
    with pytest.raises(ValueError, match="planted failure"):
        next(trial)
    assert [store.epochs(key) for key in what.keys] == [[2, 3], [2], [2]]
    trained()
    again = run_trial(what, resolve(FAMILY), planted_folds(), store)
    with pytest.raises(ValueError, match="planted failure"):
        list(again)
    assert trained() == [], "the epoch that fold 0 has is not trained again"


def test_a_fold_that_diverges_is_an_error(store: Store) -> None:
    what = fold_plan(**{**APART, "spread": float("1e39")})
    with pytest.raises(NonFiniteObjectiveError, match="after epoch 1"), np.errstate(all="ignore"):
        run(what, store)


def test_golden_a_trial_without_folds_is_what_it_was(store: Store) -> None:
    """Key and manifest as written before there were folds."""
    what = plan(max_epochs=3, best_epoch=2)
    assert what.key == "e936f58e25d13e40b943c98d0eb4d2091b972d4b89f7a34ab2d316a13aa10bef"
    for split in (planted_split(), (planted_split(),)):
        results = list(run_trial(what, resolve("planted:Planted"), split, store))
        assert all(result.folds is None for result in results)
    assert store.epochs(what.key) == [2, 3]
    info = dict(store.read(what.key, 3).info)
    history: Any = info.pop("history")
    assert [set(row) for row in history] == [
        {"epoch", "metrics", "train_s", "eval_s", "run", "trial"}
    ] * 3
    assert json.dumps(info, sort_keys=True) == json.dumps({
        "config": what.config, "metrics": history[2]["metrics"], "objective": "RMSE",
        "owner": "run-a/1", "retention": "best+last", "run": "run-a", "trial": 1,
    }, sort_keys=True)  # fmt: skip


def test_means_and_deviations_by_hand() -> None:
    folds = [{"a": 1.0, "b": None}, {"a": 2.0, "b": 1.0}, {"a": 6.0, "b": 2.0}]
    assert mean_metrics(folds) == {"a": 3.0, "b": None}
    assert std_metrics(folds) == {"a": pytest.approx(math.sqrt(7)), "b": None}
    assert std_metrics(folds)["a"] == pytest.approx(statistics.stdev([1.0, 2.0, 6.0]))
    shuffled = [{"a": value} for value in (1e16, 1.0, -1e16)]
    assert mean_metrics(shuffled) == mean_metrics(shuffled[::-1]) == {"a": 1 / 3}
    row = {"epoch": 4, "metrics": {"a": 1.0}, "train_s": 1.0, "eval_s": 0.5, "run": "r", "trial": 1}
    assert merged_row([row]) == row
    both = merged_row([row, {**row, "metrics": {"a": 2.0}}])
    assert both == {"epoch": 4, "metrics": {"a": 1.5}, "train_s": 2.0, "eval_s": 1.0,
                    "folds": [{"a": 1.0}, {"a": 2.0}]}  # fmt: skip


def test_folds_that_leave_nothing_to_test_on_are_refused() -> None:
    from recsearch.data import SplitSpec
    from recsearch.folds import check_folds

    for folds in (1, 4):
        check_folds(folds, SplitSpec())
    for folds in (5, 6, 0):
        with pytest.raises(UsageError, match=f"--folds {folds}"):
            check_folds(folds, SplitSpec())

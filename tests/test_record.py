from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsearch.epochs import EpochRow, best_row
from recsearch.evaluation import parse
from recsearch.journal import Journal, read_events
from recsearch.record import Record

RMSE, NDCG = parse("RMSE"), parse("NDCG@10")


def rows(curves: dict[int, list[float | None]], metric: str = "RMSE") -> list[EpochRow]:
    return [
        EpochRow(trial=trial, epoch=epoch, metrics={metric: value})
        for trial, values in curves.items()
        for epoch, value in enumerate(values, start=1)
    ]


def where(row: EpochRow | None) -> tuple[int, int] | None:
    return None if row is None else (row.trial, row.epoch)


@pytest.mark.parametrize(
    ("curves", "metric", "expected"),
    [
        pytest.param({1: [0.9, 0.7, 0.8], 2: [0.95, 0.9]}, "RMSE", (1, 2), id="min-middle"),
        pytest.param({1: [0.1, 0.3, 0.2], 2: [0.25]}, "NDCG@10", (1, 2), id="max-middle"),
        pytest.param({1: [0.7, 0.8], 2: [0.9]}, "RMSE", (1, 1), id="first"),
        pytest.param({1: [0.9, 0.8], 2: [0.9, 0.7]}, "RMSE", (2, 2), id="last"),
        pytest.param({1: [0.9, 0.7], 2: [0.7, 0.9]}, "RMSE", (2, 1), id="tie-earlier-epoch"),
        pytest.param({1: [0.9, 0.7], 2: [0.9, 0.7]}, "RMSE", (1, 2), id="tie-lower-trial"),
        pytest.param({1: [None, 0.8], 2: [0.9]}, "RMSE", (1, 2), id="null-never-wins"),
        pytest.param({1: [math.nan, 0.8, -math.inf]}, "RMSE", (1, 2), id="non-finite-never-wins"),
        pytest.param({1: [0.0, 0.0]}, "NDCG@10", (1, 1), id="zero-is-a-score"),
        pytest.param({1: [0.0, 0.5]}, "RMSE", (1, 1), id="zero-is-the-best-error"),
        pytest.param({1: [None]}, "RMSE", None, id="nothing-finite"),
        pytest.param({}, "RMSE", None, id="nothing"),
    ],
)
def test_b20_b27_b30_best_is_over_trial_and_epoch_in_the_direction(
    curves: dict[int, list[float | None]], metric: str, expected: tuple[int, int] | None
) -> None:
    assert where(best_row(rows(curves, metric), parse(metric))) == expected


@given(
    st.dictionaries(
        st.integers(1, 5), st.lists(st.sampled_from([0.1, 0.2, 0.3, None]), max_size=4), max_size=5
    ),
    st.randoms(),
)
def test_best_does_not_depend_on_the_order_of_arrival(
    curves: dict[int, list[float | None]], random: Any
) -> None:
    straight = rows(curves)
    shuffled = list(straight)
    random.shuffle(shuffled)
    assert where(best_row(shuffled, RMSE)) == where(best_row(straight, RMSE))


def suggested(journal: Journal, trial: int) -> None:
    journal.append(
        "suggested", trial=trial, params={"x": trial}, config={"x": trial}, key="k", origin="tpe"
    )
    journal.append("started", trial=trial)


def test_a_journal_folds_into_states_counts_and_best(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append("opened", pid=1, host="h", version="0", workers=2, trials=9, resumed=False)
        journal.append("baseline", name="bias", config={}, metrics={"RMSE": 0.95})
        for trial in range(1, 7):
            suggested(journal, trial)
        journal.append("epoch", trial=1, epoch=1, metrics={"RMSE": 0.9, "NDCG@10": 0.3})
        journal.append("epoch", trial=1, epoch=2, metrics={"RMSE": 0.8, "NDCG@10": 0.2})
        journal.append("done", trial=1, epoch=2, reason="plateau")
        journal.append("epoch", trial=2, epoch=1, metrics={"RMSE": 0.99}, cached=True)
        journal.append("pruned", trial=2, epoch=1, rule="asha")
        journal.append("error", trial=3, epoch=1, kind="ValueError", message="no")
        journal.append("interrupted", trial=4, epoch=0, reason="stopped by the user")
        journal.append("interrupted", trial=5, epoch=0, reason="the worker process died")
        journal.append("started", trial=5)
        journal.append("closed", exit_code=5)
    record = Record.replay(RMSE, read_events(tmp_path / "j"))
    states = {number: trial.state for number, trial in record.trials.items()}
    assert states == {
        1: "done", 2: "pruned", 3: "error", 4: "interrupted", 5: "training", 6: "training"
    }  # fmt: skip
    assert record.trials[1].reason == "plateau"
    assert record.trials[3].message == "no"
    assert record.trials[2].cached
    assert not record.trials[1].cached
    assert record.counts() == {
        "done": 1, "pruned": 1, "error": 1, "interrupted": 1, "training": 2, "queued": 0,
        "cached": 1, "epochs": 3, "cached_epochs": 1,
    }  # fmt: skip
    best = record.best()
    assert best is not None
    assert where(best[1]) == (1, 2)
    by_rank = record.best(NDCG)
    assert by_rank is not None
    assert where(by_rank[1]) == (1, 1)
    assert record.baselines["bias"]["metrics"]["RMSE"] == 0.95
    assert record.planned == 9
    assert record.sessions[0]["exit_code"] == 5


def test_of_equal_epochs_of_a_trial_the_other_objectives_decide(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        suggested(journal, 1)
        for epoch, (error, rank) in enumerate([(0.8, 0.1), (0.8, 0.3), (0.9, 0.4)], start=1):
            metrics = {"RMSE": error, "NDCG@10": rank}
            journal.append("epoch", trial=1, epoch=epoch, metrics=metrics)
        suggested(journal, 2)
    events = read_events(tmp_path / "j")
    for others, epoch in (((), 1), ((NDCG,), 2)):
        record = Record.replay(RMSE, events, others)
        best = record.best()
        assert best is not None
        row = record.best_of(record.trials[1])
        assert row is best[1]
        assert where(row) == (1, epoch)
        assert record.best_of(record.trials[2]) is None
        by_rank = record.best_of(record.trials[1], NDCG)
        assert by_rank is not None and where(by_rank) == (1, 3)


def test_a_command_that_begins_finds_nothing_at_work(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append("opened", pid=1, host="h", version="0", workers=2, trials=9, resumed=False)
        for trial in (1, 2, 3):
            suggested(journal, trial)
        journal.append("suggested", trial=4, params={}, config={}, key="k", origin="tpe")
        journal.append("done", trial=1, epoch=0, reason="plateau")
        journal.append("interrupted", trial=2, epoch=0, reason="stopped by the user")
        journal.append("opened", pid=2, host="h", version="0", workers=2, trials=9, resumed=True)
        journal.append("started", trial=2)
    record = Record.replay(RMSE, read_events(tmp_path / "j"))
    assert {number: (trial.state, trial.reason) for number, trial in record.trials.items()} == {
        1: ("done", "plateau"),
        2: ("training", None),
        3: ("interrupted", "its command was killed"),
        4: ("queued", None),
    }

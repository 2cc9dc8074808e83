from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recsearch.evaluation import parse
from recsearch.identity import digest
from recsearch.journal import Journal
from recsearch.ledger import Ledger
from recsearch.planner import PlannedTrial, Planner, Wait
from recsearch.record import Record
from recsearch.suggest import Observation, Suggestion

OPEN: list[Journal] = []
COSTS = {3: 5.0, 6: 9.0, 7: 3.0, 8: 3.0}
"""Cost by number of the trial; 1 for others."""


@pytest.fixture(autouse=True)
def _close_journals() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


class Memory:
    """Suggests the number of the trial and remembers what it was shown."""

    def __init__(self, total: int | None = None):
        self.total = total
        self.shown: dict[int, tuple[list[Observation], list[dict[str, Any]]]] = {}

    def suggest(
        self, number: int, observed: Sequence[Observation], pending: Sequence[dict[str, Any]]
    ) -> Suggestion:
        self.shown[number] = (list(observed), list(pending))
        return Suggestion({"x": number}, "tpe")


class Desk:
    def __init__(self, folder: Path, *, total: int = 4, lag: int = 2, grid: int | None = None,
                 retry_errors: bool = False, workers: int = 1):  # fmt: skip
        self.journal = Journal(folder / "j")
        OPEN.append(self.journal)
        self.record = Record.replay(parse("RMSE"), self.journal.events)
        self.ledger = Ledger(self.journal, self.record, lag=lag)
        self.memory = Memory(grid)
        self.planner = Planner(
            self.ledger,
            self.memory,
            total=total,
            lag=lag,
            complete=lambda params: {**params, "filled": True},
            key_of=lambda config: digest(dict(config)),
            cost_of=lambda config: COSTS.get(config["x"], 1.0),
            workers=workers,
            retry_errors=retry_errors,
        )

    def end(self, number: int, value: float | None, state: str = "done") -> None:
        self.ledger.started(number)
        if value is not None:
            self.ledger.write("epoch", trial=number, epoch=1, metrics={"RMSE": value})
        if state == "error":
            self.ledger.failed(number, "E", "")
        else:
            self.ledger.write("done", trial=number, epoch=1, reason="one_shot")

    def next_number(self) -> int:
        planned = self.planner.next()
        assert isinstance(planned, PlannedTrial)
        return planned.number


def test_trials_are_numbered_completed_and_addressed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    planned = desk.planner.next()
    assert planned == PlannedTrial(1, {"x": 1, "filled": True}, digest({"x": 1, "filled": True}))


def test_a_suggestion_sees_results_lag_back_and_the_rest_as_pending(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lag=2)
    assert [desk.next_number(), desk.next_number()] == [1, 2]
    assert isinstance(desk.planner.next(), Wait)
    desk.end(2, 0.8)
    assert isinstance(desk.planner.next(), Wait), "trial 3 depends on trial 1, not on trial 2"
    desk.end(1, 0.9)
    assert desk.next_number() == 3
    assert desk.memory.shown[3] == ([Observation(1, {"x": 1}, 0.9)], [{"x": 2}])


def test_an_error_is_observed_as_no_value(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lag=1)
    desk.next_number()
    desk.end(1, 0.5, "error")
    desk.next_number()
    assert desk.memory.shown[2] == ([Observation(1, {"x": 1}, None)], [])


@pytest.mark.parametrize(("total", "grid", "expected"), [(3, None, 3), (9, 2, 2), (2, 9, 2)])
def test_the_total_ends_the_plan(
    tmp_path: Path, total: int, grid: int | None, expected: int
) -> None:
    desk = Desk(tmp_path, total=total, grid=grid, lag=1)
    for number in range(1, expected + 1):
        assert not desk.planner.nothing_left
        assert desk.next_number() == number
        desk.end(number, 0.5)
    assert desk.planner.next() is None
    assert desk.planner.nothing_left
    assert desk.planner.total == expected


def test_b31_a_resumed_plan_takes_up_unfinished_trials_first_and_counts_in_total(
    tmp_path: Path,
) -> None:
    first = Desk(tmp_path, total=4, lag=2)
    first.next_number()
    first.next_number()
    first.end(1, 0.9)
    first.next_number()
    first.journal.close()
    again = Desk(tmp_path, total=4, lag=2)
    assert [again.next_number(), again.next_number()] == [2, 3]
    again.end(2, 0.8)
    assert again.next_number() == 4
    assert again.memory.shown[4][0] == [
        Observation(1, {"x": 1}, 0.9), Observation(2, {"x": 2}, 0.8)
    ]  # fmt: skip
    assert isinstance(again.planner.next(), Wait), "trials 3 and 4 may still come back"
    again.end(3, 0.7)
    again.end(4, 0.6)
    assert again.planner.next() is None


def test_a_trial_whose_worker_died_is_planned_again_before_new_ones(tmp_path: Path) -> None:
    desk = Desk(tmp_path, total=4, lag=3)
    assert [desk.next_number(), desk.next_number()] == [1, 2]
    desk.ledger.started(1)
    desk.ledger.interrupted(1, "the worker process died")
    desk.planner.again(1)
    assert [desk.next_number(), desk.next_number()] == [1, 3]
    assert list(desk.record.trials) == [1, 2, 3], "no trial is suggested twice"


def test_b17_errors_are_run_again_only_when_asked(tmp_path: Path) -> None:
    first = Desk(tmp_path, total=1)
    first.next_number()
    first.end(1, None, "error")
    first.journal.close()
    silent = Desk(tmp_path, total=1)
    assert silent.planner.nothing_left
    silent.journal.close()
    assert Desk(tmp_path, total=1, retry_errors=True).next_number() == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_run_again_is_not_seen_before_it_has_ended(tmp_path: Path, workers: int) -> None:
    desk = Desk(tmp_path, total=1, workers=workers)
    assert desk.next_number() == 1
    desk.end(1, None, "error")
    desk.journal.close()
    again = Desk(tmp_path, total=4, lag=2, retry_errors=True, workers=workers)
    assert again.next_number() == 1
    assert again.planner.erred
    assert again.next_number() == 2
    assert isinstance(again.planner.next(), Wait), "trial 3 depends on trial 1"
    again.end(1, 0.4)
    assert again.next_number() == 3
    assert [seen.value for seen in again.memory.shown[3][0]] == [0.4]
    assert not again.planner.erred


def test_an_error_again_ends_the_trial(tmp_path: Path) -> None:
    desk = Desk(tmp_path, total=1)
    assert desk.next_number() == 1
    desk.end(1, None, "error")
    desk.journal.close()
    again = Desk(tmp_path, total=1, retry_errors=True)
    assert again.next_number() == 1
    assert isinstance(again.planner.next(), Wait), "handed out, though no worker has begun"
    again.end(1, None, "error")
    assert again.planner.next() is None


def test_the_costliest_trial_comes_first_near_the_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path, total=8, lag=8, workers=2)
    assert [desk.next_number() for _ in range(4)] == [1, 2, 3, 4], "by number at first"
    assert list(desk.record.trials) == [1, 2, 3, 4], "nothing is suggested before it is needed"
    assert desk.next_number() == 6
    assert list(desk.record.trials) == [1, 2, 3, 4, 5, 6, 7, 8], "journalled by number"
    assert [desk.next_number() for _ in range(3)] == [7, 8, 5], "equal costs by number"
    assert isinstance(desk.planner.next(), Wait)


def test_near_the_end_nothing_is_suggested_beyond_the_lag(tmp_path: Path) -> None:
    desk = Desk(tmp_path, total=8, lag=3, workers=4)
    assert [desk.next_number() for _ in range(3)] == [3, 1, 2]
    desk.end(3, 0.5)
    assert isinstance(desk.planner.next(), Wait), "trial 4 depends on trial 1"
    desk.end(1, 0.5)
    assert desk.next_number() == 4
    desk.end(2, 0.5)
    assert list(desk.record.trials) == [1, 2, 3, 4]
    assert [desk.next_number(), desk.next_number()] == [6, 5]
    assert [seen.number for seen in desk.memory.shown[6][0]] == [1, 2, 3]


def test_the_order_of_starting_changes_no_suggestion(tmp_path: Path) -> None:
    shown = []
    for workers in (1, 4):
        (tmp_path / str(workers)).mkdir()
        desk = Desk(tmp_path / str(workers), total=8, lag=2, workers=workers)
        while isinstance(planned := desk.planner.next(), PlannedTrial):
            desk.end(planned.number, 1 / planned.number)
        assert desk.planner.nothing_left
        shown.append(desk.memory.shown)
    assert shown[0] == shown[1]


def test_a_journal_killed_near_the_end_is_resumed_costliest_first(tmp_path: Path) -> None:
    first = Desk(tmp_path, total=8, lag=8, workers=4)
    assert [first.next_number(), first.next_number()] == [6, 3]
    first.end(6, 0.5)
    first.journal.close()
    again = Desk(tmp_path, total=8, lag=8, workers=4)
    assert [again.next_number() for _ in range(7)] == [3, 7, 8, 1, 2, 4, 5]

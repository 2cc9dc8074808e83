"""A continuation is no part of the search: who is chosen, what is left, what the search sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recsearch.continuation import Continuation, choose
from recsearch.epochs import TrialView
from recsearch.errors import RecsearchError, UsageError
from recsearch.evaluation import parse
from recsearch.journal import Journal
from recsearch.ledger import Ledger
from recsearch.planner import PlannedTrial, Planner, Wait
from recsearch.pruning import Asha, NoPruning
from recsearch.record import Record
from recsearch.stopping import NoStop, Plateau, StopRule
from recsearch.suggest import Observation, Suggestion

OPEN: list[Journal] = []
CURVES = {
    1: ([0.9, 0.8], "done"),
    2: ([0.7], "pruned"),
    3: ([0.95, 0.6, 0.65], "done"),
    4: ([0.6], "pruned"),
    5: ([], "error"),
}
"""Objective by epoch, and how the search ended the trial. The order by best epoch is 4, 3, 2, 1."""


@pytest.fixture(autouse=True)
def _close_journals() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


class Memory:
    """Remembers what the searcher was shown."""

    total = None

    def __init__(self) -> None:
        self.shown: dict[int, list[Observation]] = {}

    def suggest(
        self, number: int, observed: Sequence[Observation], pending: Sequence[dict[str, Any]]
    ) -> Suggestion:
        self.shown[number] = list(observed)
        return Suggestion({"x": number}, "tpe")


class Desk:
    """A journal of five trials, opened as a new command opens it."""

    def __init__(self, folder: Path):
        self.journal = Journal(folder / "j")
        OPEN.append(self.journal)
        self.record = Record.replay(parse("RMSE"), self.journal.events)
        self.ledger = Ledger(self.journal, self.record, lag=1)
        if not self.record.trials:
            for number, (values, state) in CURVES.items():
                self.ledger.suggested(number, {"x": number}, {"x": number}, f"k{number}", "tpe")
                self.train(number, values)
                self.end(number, state)

    def train(self, number: int, values: Sequence[float]) -> None:
        self.ledger.started(number)
        have = len(self.record.trials[number].epochs)
        for epoch, value in enumerate(values, start=have + 1):
            self.ledger.write("epoch", trial=number, epoch=epoch, metrics={"RMSE": value})

    def end(self, number: int, state: str) -> None:
        epoch = len(self.record.trials[number].epochs)
        more = {"done": {"reason": "plateau"}, "pruned": {"rule": "asha"},
                "error": {"kind": "E", "message": ""}}[state]  # fmt: skip
        self.ledger.write(state, trial=number, epoch=epoch, **more)

    def choose(self, top: int | None = None, *named: int) -> list[int]:
        return [trial.number for trial in choose(self.record, top, named, 5, "search")]

    def plan(self, *trials: int, epochs: int = 5, stop: StopRule | None = None,
             retry_errors: bool = False) -> Continuation:  # fmt: skip
        return Continuation(
            self.ledger, trials, epochs, stop or NoStop(), cost_of=lambda config: 1.0, total=5,
            retry_errors=retry_errors,
        )  # fmt: skip

    def events(self, kind: str) -> list[tuple[int, int]]:
        found = [event for event in self.journal.events if event["event"] == kind]
        return [(event["trial"], event.get("epochs", 0)) for event in found]


def numbers(plan: Continuation) -> list[int]:
    found = []
    while isinstance(planned := plan.next(), PlannedTrial):
        found.append(planned.number)
    return found


def test_the_best_trials_by_their_best_epoch_then_the_named_ones(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.choose(2) == [4, 3], "of equal values the earlier epoch's"
    assert desk.choose(9) == [4, 3, 2, 1], "never one that ended in an error"
    assert desk.choose(1, 1, 4) == [4, 1]
    assert desk.choose(None, 2) == [2]


def test_the_same_trials_are_chosen_however_far_a_continuation_came(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ledger.continued(1, 9)
    desk.train(1, [0.1])
    assert desk.choose(2) == [4, 3]
    assert desk.record.best() is not None
    assert desk.record.best()[1].value("RMSE") == 0.1, "but the run's best is the new epoch"


def test_what_was_interrupted_is_finished_even_if_it_is_among_the_best_no_more(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.ledger.continued(1, 5)
    desk.ledger.continued(2, 7)
    assert desk.choose(1) == [4, 1], "not trial 2: it was for another number of epochs"


@pytest.mark.parametrize(
    ("number", "says"),
    [(9, "trials 1 to 5"), (5, "error"), (6, "not ended")],
)
def test_a_named_trial_that_cannot_be_continued_is_refused(
    tmp_path: Path, number: int, says: str
) -> None:
    desk = Desk(tmp_path)
    if number == 6:
        desk.ledger.suggested(6, {}, {}, "k6", "tpe")
    with pytest.raises(UsageError, match=says):
        desk.choose(None, number)


def test_what_a_killed_continuation_left_is_handed_out_without_being_journalled_again(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    plan = desk.plan(4, 3)
    plan.begin()
    assert desk.events("continued") == [(4, 5), (3, 5)]
    assert numbers(plan) == [4, 3], "the one with most epochs to come first"
    assert isinstance(plan.next(), Wait)
    desk.train(4, [0.5, 0.4, 0.3, 0.2])
    desk.end(4, "done")
    desk.train(3, [0.6])
    desk.journal.close()
    again = Desk(tmp_path)
    plan = again.plan(*again.choose(2))
    plan.begin()
    assert numbers(plan) == [3]
    assert again.events("continued") == [(4, 5), (3, 5)]
    again.train(3, [0.6])
    again.end(3, "done")
    assert plan.next() is None
    assert again.plan(4, 3).nothing_left
    assert not again.plan(4, 3, epochs=6).nothing_left


def test_a_kill_between_the_last_epoch_and_its_end_leaves_the_trial_to_be_ended(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.plan(4).begin()
    desk.train(4, [0.5] * 4)
    assert numbers(desk.plan(4)) == [4]


def test_a_trial_whose_worker_died_comes_back_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    plan = desk.plan(4, 3)
    plan.begin()
    plan.next()
    plan.again(4)
    assert numbers(plan) == [4, 3]


def test_an_error_is_tried_again_only_when_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.plan(4).begin()
    desk.train(4, [0.5])
    desk.ledger.failed(4, "ValueError", "it diverged")
    assert desk.record.counts()["error"] == 2
    assert desk.plan(4).nothing_left
    plan = desk.plan(4, retry_errors=True)
    plan.begin()
    assert numbers(plan) == [4]
    assert desk.record.trials[4].state == "queued"


def test_with_the_stop_rule_a_trial_that_it_ended_stays_ended(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    rule = Plateau(patience=1, grace=1)
    assert numbers(desk.plan(3, 2, 4, stop=rule)) == [2, 4], "epoch 3 of trial 3 is worse"


def shown(desk: Desk) -> list[Observation]:
    memory = Memory()
    planner = Planner(
        desk.ledger, memory, total=6, lag=1, complete=lambda params: params,
        key_of=lambda config: "k",
    )  # fmt: skip
    assert isinstance(planned := planner.next(), PlannedTrial)
    assert planned.number == 6, "a continued trial is none of the search's unfinished ones"
    return memory.shown[6]


@pytest.mark.parametrize("end", ["done", "error", None])
def test_the_search_suggests_as_if_nothing_had_been_continued(
    tmp_path: Path, end: str | None
) -> None:
    (tmp_path / "plain").mkdir()
    expected = shown(Desk(tmp_path / "plain"))
    assert [seen.value for seen in expected] == [0.8, 0.7, 0.6, 0.6, None]
    desk = Desk(tmp_path)
    for number in (1, 2):
        desk.ledger.continued(number, 9)
        desk.train(number, [0.1, 0.2])
        if end:
            desk.end(number, end)
    assert shown(desk) == expected


class Spy(NoPruning):
    """Keeps everything and remembers the peers."""

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        object.__setattr__(self, "peers", [list(peer) for peer in peers])
        return True


def peers(desk: Desk) -> list[list[float]]:
    spy = Spy()
    desk.ledger.suggested(6, {}, {}, "k6", "tpe")
    desk.ledger.started(6)
    outcome = {"epoch": 1, "metrics": {"RMSE": 0.9}, "finished": None}
    desk.ledger.report(6, {"outcome": outcome}, spy)
    return spy.peers  # type: ignore[attr-defined,no-any-return]


def test_trials_are_pruned_next_to_what_the_search_trained(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    expected = peers(Desk(tmp_path / "plain"))
    assert expected == [values for values, state in CURVES.values() if state != "error"]
    desk = Desk(tmp_path)
    desk.ledger.continued(4, 9)
    desk.train(4, [0.1, 0.1])
    desk.ledger.continued(2, 9)
    desk.train(2, [0.1, 0.1])
    desk.end(2, "error")
    assert peers(desk) == expected


def test_a_rung_counts_no_continued_trial() -> None:
    """What would go wrong: continued trials that reach a rung raise the bar for later ones."""
    rule = Asha(grace=3, eta=2, min_peers=1)
    history = [0.9, 0.8, 0.7]
    assert rule.keep(history, [[0.7]], "min")
    assert not rule.keep(history, [[0.7, 0.1, 0.1], [0.6, 0.1, 0.1]], "min")


def test_a_trial_that_has_not_ended_cannot_have_been_continued(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ledger.suggested(6, {}, {}, "k6", "tpe")
    desk.journal.append("continued", trial=6, epochs=5)
    with pytest.raises(RecsearchError, match=r"journal line \d+: a continued event"):
        Record.replay(parse("RMSE"), desk.journal.events)


def test_a_second_continuation_keeps_where_the_search_ended(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for epochs in (4, 6):
        desk.ledger.continued(2, epochs)
        desk.train(2, [0.5])
        desk.end(2, "done")
    trial: TrialView = desk.record.trials[2]
    assert (trial.state, len(trial.epochs), trial.target) == ("done", 3, 6)
    assert (trial.searched.state, trial.searched.reason) == ("pruned", "asha")
    assert trial.searched.history("RMSE") == [0.7]
    assert trial.searched.searched is trial.searched

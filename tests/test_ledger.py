from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recsearch.epochs import EpochRow, TrialView
from recsearch.evaluation import parse
from recsearch.journal import Journal, read_events
from recsearch.ledger import Ledger
from recsearch.record import Record

OPEN: list[Journal] = []


@pytest.fixture(autouse=True)
def _close_journals() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


class Spy:
    """A pruning rule that keeps what it is told to and remembers what it saw."""

    name = "spy"

    def __init__(self, keep: bool = True):
        self.answer = keep
        self.seen: list[tuple[list[float], list[list[float]]]] = []

    def keep(
        self, history: Sequence[float], peers: Sequence[Sequence[float]], direction: str
    ) -> bool:
        self.seen.append((list(history), [list(peer) for peer in peers]))
        return self.answer


def outcome(epoch: int, value: float, finished: str | None = None, **extra: Any) -> dict[str, Any]:
    return {
        "outcome": {
            "epoch": epoch, "metrics": {"RMSE": value}, "train_s": 1.0, "eval_s": 0.1,
            "save_s": 0.1, "stored_bytes": 5, "logical_bytes": 9, "cached": False,
            "finished": finished, **extra,
        }
    }  # fmt: skip


class Desk:
    """A ledger on a fresh journal, with what it announced."""

    def __init__(self, folder: Path, lag: int = 1):
        self.path = folder / "j"
        self.bests: list[tuple[int, int]] = []
        self.journal = Journal(self.path)
        OPEN.append(self.journal)
        record = Record.replay(parse("RMSE"), self.journal.events)
        self.ledger = Ledger(self.journal, record, lag=lag, on_best=self.note)

    def note(self, trial: TrialView, row: EpochRow) -> None:
        self.bests.append((trial.number, row.epoch))

    def trial(self, number: int) -> None:
        self.ledger.suggested(number, {}, {}, "k", "tpe")
        self.ledger.started(number)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in read_events(self.path) if event["event"] == kind]


def test_a_trial_goes_on_until_it_says_why_it_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    assert not desk.ledger.report(1, outcome(1, 0.9), Spy())
    assert desk.ledger.report(1, outcome(2, 0.8, "plateau"), Spy(keep=False))
    assert desk.ledger.record.trials[1].state == "done"
    assert desk.events("pruned") == []


def test_what_a_worker_has_to_say_is_journalled_and_shown_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    said: list[str] = []
    desk.ledger._on_note = said.append
    desk.trial(1)
    desk.ledger.report(1, outcome(1, 0.9, note="epoch 5 is damaged"), Spy())
    desk.ledger.report(1, outcome(2, 0.9, note=None), Spy())
    assert said == ["trial 1: epoch 5 is damaged"]
    assert [event["text"] for event in desk.events("note")] == said
    assert desk.ledger.record.notes == said
    assert "note" not in desk.events("epoch")[0]


def test_an_epoch_that_was_retrained_is_not_journalled_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    for epoch, value in ((1, 0.9), (2, 0.8), (1, 0.9), (2, 0.8), (3, 0.7)):
        assert not desk.ledger.report(1, outcome(epoch, value), Spy())
    assert [event["epoch"] for event in desk.events("epoch")] == [1, 2, 3]


def test_pruned_is_not_an_error_and_names_its_rule(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    assert desk.ledger.report(1, outcome(1, 0.9), Spy(keep=False))
    assert desk.events("pruned")[0]["rule"] == "spy"
    assert desk.ledger.record.counts()["error"] == 0


def test_b16_an_error_is_not_pruned(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    assert desk.ledger.report(1, {"error": {"kind": "ValueError", "message": "no"}}, Spy())
    event = desk.events("error")[0]
    assert (event["trial"], event["epoch"], event["kind"]) == (1, 1, "ValueError")
    assert desk.ledger.record.counts()["pruned"] == 0


def test_peers_are_the_ended_trials_at_least_lag_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lag=2)
    for number, value in ((1, 0.9), (2, 0.8), (3, 0.7)):
        desk.trial(number)
        desk.ledger.report(number, outcome(1, value, "plateau"), Spy())
    desk.trial(4)
    spy = Spy()
    desk.ledger.report(4, outcome(1, 0.6), spy)
    assert spy.seen == [([0.6], [[0.9], [0.8]])]


def test_trials_in_error_are_no_peers(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    desk.ledger.report(1, outcome(1, 0.1), Spy())
    desk.ledger.report(1, {"error": {"kind": "E", "message": ""}}, Spy())
    desk.trial(2)
    spy = Spy()
    desk.ledger.report(2, outcome(1, 0.6), spy)
    assert spy.seen == [([0.6], [])]


def test_a_replayed_epoch_is_judged_again_but_journalled_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    desk.ledger.report(1, outcome(1, 0.9), Spy())
    desk.ledger.report(1, outcome(2, 0.8), Spy())
    desk.journal.close()
    again = Desk(tmp_path)
    spy = Spy()
    again.ledger.started(1)
    again.ledger.report(1, outcome(1, 0.9), spy)
    again.ledger.report(1, outcome(2, 0.8), spy)
    again.ledger.report(1, outcome(3, 0.7), spy)
    assert [event["epoch"] for event in again.events("epoch")] == [1, 2, 3]
    assert [seen[0] for seen in spy.seen] == [[0.9], [0.9, 0.8], [0.9, 0.8, 0.7]]


def test_best_is_announced_at_improvements_only(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    for epoch, value in enumerate((0.9, 0.7, 0.8), start=1):
        desk.ledger.report(1, outcome(epoch, value), Spy())
    desk.trial(2)
    desk.ledger.report(2, outcome(1, 0.7), Spy())
    assert desk.bests == [(1, 1), (1, 2), (2, 1)]


def test_a_failed_write_changes_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left"):
        desk.ledger.report(1, outcome(1, 0.9), Spy())
    assert desk.ledger.record.trials[1].epochs == ()
    monkeypatch.undo()
    assert desk.events("epoch") == []


def test_interrupting_leaves_ended_trials_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.trial(1)
    desk.ledger.report(1, outcome(1, 0.9, "one_shot"), Spy())
    desk.trial(2)
    for number in (1, 2):
        desk.ledger.interrupted(number, "stopped by the user")
    states = [desk.ledger.record.trials[number].state for number in (1, 2)]
    assert states == ["done", "interrupted"]

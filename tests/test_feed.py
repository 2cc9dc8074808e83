"""A journal read while it grows gives the record of one read at once, and as strictly."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "analysis"))

from fabricate import Fabricated

from recsearch.errors import RecsearchError
from recsearch.feed import Feed
from recsearch.run import RunView


def story() -> Fabricated:
    run = Fabricated()
    run.opened()
    run.trial(1, {"x": 0.5}, [0.9, 0.8])
    run.trial(2, {"x": 0.7}, [0.95], state="error", reason="E", message="no")
    run.trial(3, {"x": 0.1}, [0.7], state="training")
    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return story().write(tmp_path)


def numbers(feed: Feed) -> list[int]:
    return [trial.number for trial in feed.changed()]


def append(root: Path, event: str, **values: Any) -> None:
    with (root / "journal.ndjson").open("a") as file:
        file.write(
            json.dumps({"time": "2026-08-01T00:00:00.000Z", "event": event, **values}) + "\n"
        )


def test_a_trial_is_told_of_when_it_changes_and_not_else(root: Path) -> None:
    feed = Feed(RunView.open(root))
    assert numbers(feed) == [1, 2, 3]
    assert numbers(feed) == []
    append(root, "epoch", trial=3, epoch=2, metrics={"RMSE": 0.6})
    append(root, "note", text="nothing of a trial")
    assert numbers(feed) == [3]
    append(root, "continued", trial=1, epochs=9)
    append(root, "started", trial=1)
    append(root, "done", trial=1, epoch=2, reason="plateau")
    assert numbers(feed) == [1]
    assert feed.view.record == RunView.open(root).record


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=6))
def test_wherever_a_look_ends_nothing_is_read_twice_or_lost(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    root = story().write(tmp_path_factory.mktemp("cut"))
    path = root / "journal.ndjson"
    whole = path.read_bytes()
    view = RunView.open(root)
    path.write_bytes(b"")
    feed = Feed(view)
    for cut in sorted(cuts):
        path.write_bytes(whole[:cut])
        feed.changed()
    path.write_bytes(whole)
    feed.changed()
    assert feed.view.record == view.record


def test_a_journal_that_is_not_there_yet_is_empty(root: Path) -> None:
    view = RunView.open(root)
    (root / "journal.ndjson").rename(root / "aside")
    feed = Feed(view)
    assert numbers(feed) == []
    (root / "aside").rename(root / "journal.ndjson")
    assert numbers(feed) == [1, 2, 3]


@pytest.mark.parametrize("what", ["gone", "another"])
def test_a_journal_that_was_replaced_is_not_read_on(root: Path, what: str) -> None:
    feed = Feed(RunView.open(root))
    feed.changed()
    path = root / "journal.ndjson"
    line = path.read_bytes().splitlines(keepends=True)[0]
    path.unlink() if what == "gone" else path.write_bytes(line)
    with pytest.raises(RecsearchError, match="no longer the one"):
        feed.changed()


@pytest.mark.parametrize(
    ("event", "values", "told"),
    [
        ("exploded", {}, "not a journal event"),
        ("done", {"trial": 1}, "lacks epoch, reason"),
        ("epoch", {"trial": 3, "epoch": 7, "metrics": {}}, "does not follow"),
        ("started", {"trial": 99}, "does not follow"),
    ],
)
def test_it_is_as_strict_as_reading_at_once(
    root: Path, event: str, values: dict[str, Any], told: str
) -> None:
    feed = Feed(RunView.open(root))
    feed.changed()
    lines = len((root / "journal.ndjson").read_text().splitlines())
    append(root, event, **values)
    with pytest.raises(RecsearchError, match=rf"line {lines + 1}: .*{told}") as growing:
        feed.changed()
    with pytest.raises(RecsearchError) as whole:
        RunView.open(root)
    assert str(growing.value) == str(whole.value)

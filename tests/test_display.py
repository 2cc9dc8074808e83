from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from recsearch.display import (
    LiveDisplay,
    PlainDisplay,
    SilentDisplay,
    duration,
    make_display,
    size,
)
from recsearch.evaluation import parse
from recsearch.record import Record


def event(kind: str, **values: Any) -> dict[str, Any]:
    return {"event": kind, "time": "2026-01-01T00:00:00.000Z", **values}


def run_through(display: SilentDisplay, trials: int) -> Record:
    """A search of ``trials`` trials with one epoch each; every third is pruned."""
    record = Record(parse("RMSE"))
    display.begin(record, trials)
    for number in range(1, trials + 1):
        events = [
            event("suggested", trial=number, params={}, config={}, key="k", origin="tpe"),
            event("started", trial=number),
            event("epoch", trial=number, epoch=1, metrics={"RMSE": 1 / number}, stored_bytes=500),
            event("pruned", trial=number, epoch=1, rule="asha")
            if number % 3 == 0
            else event("done", trial=number, epoch=1, reason="plateau"),
        ]
        for each in events:
            record.apply(each)
            display.update(record)
    display.end()
    return record


@pytest.mark.parametrize("trials", [1, 7, 20, 30, 100, 1000])
def test_a_pipe_gets_a_few_dozen_lines_whatever_the_number_of_trials(trials: int) -> None:
    stream = io.StringIO()
    run_through(make_display(stream), trials)
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 23
    assert lines[0] == f"{trials} trials, 0 finished before"
    assert lines[-1].startswith(f"{trials}/{trials} trials")
    assert f"best RMSE {1 / trials:.5f} (trial {trials}, epoch 1)" in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    run_through(make_display(stream, quiet=True), 5)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_notes_are_printed_as_they_are(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=40)
    display = LiveDisplay(console) if terminal else PlainDisplay(console)
    display.begin(Record(parse("RMSE")), 3)
    text = "trial 7: [bold]epoch[/bold] 5 is damaged, and this line is longer than the screen"
    display.note(text)
    display.end()
    assert text in stream.getvalue()
    SilentDisplay().note(text)


def test_a_terminal_gets_one_table_with_the_best_and_the_latest() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    display = LiveDisplay(console)
    record = Record(parse("RMSE"))
    display.begin(record, 3)
    record.apply(event("suggested", trial=1, params={}, config={}, key="k", origin="default"))
    record.apply(event("started", trial=1))
    record.apply(event("epoch", trial=1, epoch=1, metrics={"RMSE": 0.9}, stored_bytes=1500))
    display.update(record)
    display._live.refresh()
    text = stream.getvalue()
    display.end()
    for fragment in ("trial", "training", "0.90000", "best RMSE 0.90000", "0/3 trials", "1.5 kB"):
        assert fragment in text
    assert max(len(line) for line in Console(width=80).render_str(text).plain.splitlines()) < 200


def test_terminals_and_pipes_are_told_apart() -> None:
    assert isinstance(make_display(io.StringIO()), PlainDisplay)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes_in_words(count: float, words: str) -> None:
    assert size(count) == words

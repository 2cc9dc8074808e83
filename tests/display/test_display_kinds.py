"""Which display there is, and what each prints."""

from __future__ import annotations

import io
import re

import pytest
from click.testing import CliRunner
from display_tools import Hands, Story
from rich.console import Console

from recsearch.cli import cli
from recsearch.display import About, LiveDisplay, PlainDisplay, SilentDisplay, make_display
from recsearch.units import duration, size

ABOUT = About("als-demo", 30, lambda: 5_000)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_through(display: SilentDisplay, trials: int) -> Story:
    """A search of ``trials`` trials with one epoch each; every third is pruned."""
    told = Story()
    display.begin(told.record, trials, ABOUT)
    for number in range(1, trials + 1):
        told.start(number)
        display.update(told.record)
        told.epoch(number, 1 / number)
        display.update(told.record)
        told.end(number, *(("done", "plateau") if number % 3 else ("pruned", "asha")))
        display.update(told.record)
    display.end()
    return told


@pytest.mark.parametrize(("trials", "lines"), [(1, 1), (7, 7), (14, 14), (30, 14), (1000, 14)])
def test_a_pipe_gets_few_lines_whatever_the_number_of_trials(trials: int, lines: int) -> None:
    stream = io.StringIO()
    run_through(make_display(stream), trials)
    found = stream.getvalue().splitlines()
    assert len(found) == 1 + lines
    assert found[0] == f"als-demo: {trials} trials, 0 finished before"
    assert found[-1].startswith(f"{trials}/{trials}  trial {trials} ")
    assert found[-1].endswith(f"best {1 / trials:.5f} (trial {trials}, epoch 1)")
    assert "\x1b" not in stream.getvalue()


def test_a_line_can_be_read_without_the_others() -> None:
    stream, hands, told = io.StringIO(), Hands(), Story()
    display = PlainDisplay(Console(file=stream), now=hands)
    display.begin(told.record, 5, ABOUT)
    told.start(1)
    told.start(2)
    display.update(told.record)
    hands.at += 30
    told.epoch(2, 0.9)
    told.epoch(2, 0.95)
    told.end(2, "pruned", "asha")
    display.update(told.record)
    told.end(1, "error", "ValueError")
    display.update(told.record)
    # Trial 1 counts half when trial 2 ends: 30 s for 1.5, and 3.5 are left.
    assert stream.getvalue().splitlines()[1:] == [
        "1/5  trial 2 pruned (asha): RMSE 0.90000 @ 1 · best 0.90000 (trial 2, epoch 1) · "
        "1 min 10 s left",
        "2/5  trial 1 error (ValueError): no such thing · best 0.90000 (trial 2, epoch 1) · "
        "1 error · 45 s left",
    ]


def test_what_was_finished_before_takes_no_lines() -> None:
    stream, told = io.StringIO(), Story()
    for number in range(1, 100):
        told.trial(number, [1.0])
    display = make_display(stream)
    display.begin(told.record, 102, ABOUT)
    for number in range(100, 103):
        told.trial(number, [1.0])
        display.update(told.record)
    starts = [line.split("  ")[0] for line in stream.getvalue().splitlines()]
    assert starts == ["als-demo: 102 trials, 99 finished before", "100/102", "101/102", "102/102"]


def test_trials_that_are_continued_end_again() -> None:
    stream, told = io.StringIO(), Story()
    for number in range(1, 21):
        told.trial(number, [1.0])
    display = make_display(stream)
    display.begin(told.record, 20, ABOUT)
    for number in (3, 4):
        told.apply("continued", trial=number, epochs=2)
        display.update(told.record)
    for number in (3, 4):
        told.apply("started", trial=number)
        told.epoch(number, 0.5)
        told.end(number, "done", "max_epochs")
        display.update(told.record)
    starts = [line.split(" done")[0] for line in stream.getvalue().splitlines()[1:]]
    assert starts == ["19/20  trial 3", "20/20  trial 4"]


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    run_through(make_display(stream, quiet=True), 5)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_verbose_says_every_epoch(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=200)
    display = LiveDisplay(console, True) if terminal else PlainDisplay(console, verbose=True)
    told = Story()
    display.begin(told.record, 2, ABOUT)
    told.start(1)
    told.epoch(1, 0.9)
    told.epoch(1, 0.8)
    display.update(told.record)
    told.epoch(1, 0.7, cached=True)
    display.update(told.record)
    display.end()
    took = "train 1.25 s, evaluate 0.50 s, save 0.25 s"
    assert re.findall(r"trial 1 epoch .*", stream.getvalue()) == [
        f"trial 1 epoch 1: RMSE 0.90000; {took}, 500 B stored",
        f"trial 1 epoch 2: RMSE 0.80000; {took}, 500 B stored",
        f"trial 1 epoch 3: RMSE 0.70000; {took}, 0 B stored, cached",
    ]


@pytest.mark.parametrize(
    "words", [["search", "als", "demo"], ["continue", "runs/x", "--top", "1", "--epochs", "2"]]
)
def test_quiet_and_verbose_are_a_contradiction(words: list[str]) -> None:
    done = CliRunner().invoke(cli, [*words, "-q", "-v"])
    assert getattr(done.exception, "exit_code", None) == 2
    assert "--quiet and --verbose" in str(done.exception)


@pytest.mark.parametrize("terminal", [True, False])
def test_notes_are_printed_as_they_are(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=40)
    display = LiveDisplay(console) if terminal else PlainDisplay(console)
    display.begin(Story().record, 3)
    text = "trial 7: [bold]epoch[/bold] 5 is damaged, and this line is longer than the screen"
    display.note(text)
    display.note("\x1b[2Jbad")
    display.end()
    assert text in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    SilentDisplay().note(text)


def test_a_terminal_gets_one_table_which_is_gone_at_the_end() -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=80, height=24))
    told = Story()
    display.begin(told.record, 3, ABOUT)
    told.start(1)
    told.epoch(1, 0.9)
    display.update(told.record)
    display.draw()
    for words in ("RMSE (lower is better)", "training", "1/30", "0/3 trials", "store 5.0 kB"):
        assert words in stream.getvalue()
    shown = stream.getvalue()
    display.end()
    display.draw()
    assert stream.getvalue().count("training") == shown.count("training") + 1, "once more, to end"
    assert stream.getvalue().endswith("\x1b[2K")


def test_a_terminal_that_shrinks_is_cleared() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, height=24)
    display = LiveDisplay(console)
    display.begin(Story().record, 3, ABOUT)
    display.draw()
    assert "\x1b[2J" not in stream.getvalue()
    console.width = 60
    display.draw()
    display.draw()
    display.end()
    assert stream.getvalue().count("\x1b[2J") == 1


@pytest.mark.parametrize(
    ("stream", "term", "kind"),
    [
        (io.StringIO(), "xterm", PlainDisplay),
        (Terminal(), "xterm", LiveDisplay),
        (Terminal(), "dumb", PlainDisplay),
        (Terminal(), "", PlainDisplay),
    ],
)
def test_terminals_and_pipes_are_told_apart(
    stream: io.StringIO, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(make_display(stream)) is kind


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

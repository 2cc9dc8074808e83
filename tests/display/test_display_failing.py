"""Streams that break and displays that fail: the search goes on, and so does its journal."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from display_tools import Story

from recsearch.display import About, LiveDisplay, SilentDisplay, SteadyDisplay, make_display
from recsearch.record import Record

ABOUT = About("als-demo", 30, lambda: 5_000)


def search(display: SilentDisplay) -> None:
    told = Story()
    display.begin(told.record, 3, ABOUT)
    for number in (1, 2, 3):
        told.trial(number, [0.5 / number], x=float(number))
        display.update(told.record)
        display.note("something happens")
    display.end()


class OnTerminal:
    """A stream that says it is a terminal."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def isatty(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def broken(name: str) -> Iterator[TextIO]:
    """A stream that takes nothing, closed without a word."""
    if name == "full disk":
        file = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115
    else:
        ours, theirs = os.pipe()
        os.close(ours)
        file = os.fdopen(theirs, "w", buffering=1)
        if name == "closed":
            file.close()
    with pytest.raises((OSError, ValueError)):
        print("not taken", file=file, flush=True)
    yield file
    with contextlib.suppress(OSError):
        file.close()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("name", ["broken pipe", "full disk", "closed"])
def test_what_cannot_be_shown_ends_nothing(
    name: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    with broken(name) as stream:
        display = make_display(OnTerminal(stream) if terminal else stream, verbose=True)  # type: ignore[arg-type]
        assert isinstance(display, LiveDisplay) == terminal
        search(display)
    assert not failed


def test_a_reader_that_goes_in_the_middle_has_read_what_there_was() -> None:
    ours, theirs = os.pipe()
    told, stream = Story(), os.fdopen(theirs, "w", buffering=1)
    display = make_display(stream)
    display.begin(told.record, 2, ABOUT)
    assert os.read(ours, 1000) == b"als-demo: 2 trials, 0 finished before\n"
    os.close(ours)
    told.trial(1, [0.5])
    display.update(told.record)
    display.end()
    with contextlib.suppress(OSError):
        stream.close()


def test_what_there_is_room_for_again_is_shown_again() -> None:
    class Filling(io.StringIO):
        full = False

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "full")
            return super().write(text)

    stream = Filling()
    display = make_display(stream)
    for text, full in (("one", False), ("two", True), ("three", False)):
        stream.full = full
        display.note(text)
    assert stream.getvalue() == "one\nthree\n"


@pytest.mark.parametrize("error", [OSError("gone"), SystemExit(1), KeyError("a bug")])
@pytest.mark.parametrize("at", ["begin", "note", "update", "end"])
def test_a_display_that_fails_is_dropped(
    error: BaseException, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(SilentDisplay):
        calls = 0
        ended = False

        def end(self) -> None:
            self.ended = True

    def fail(*_: object) -> None:
        inner.calls += 1
        raise error

    inner = Failing()
    setattr(inner, at, fail)
    search(SteadyDisplay(inner))
    assert inner.calls == (2 if at == "end" else 1), "it is ended, and asked for nothing more"
    assert inner.ended or at == "end"
    told = capsys.readouterr().err
    assert told.startswith("the search goes on, but is not shown any more: ")
    assert type(error).__name__ in told and len(told.splitlines()) == 1


def test_ctrl_c_is_no_failure_of_the_display() -> None:
    class Interrupted(SilentDisplay):
        def update(self, record: Record) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SteadyDisplay(Interrupted()).update(Story().record)

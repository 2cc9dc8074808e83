"""What the first, the second and further signals do at each point of a command."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from recsearch.interrupt import Interrupt

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@contextmanager
def caught() -> Iterator[Interrupt]:
    """As Python starts: tests in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interrupt() as interrupt:
            yield interrupt
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def send(number: int, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)


@BOTH
def test_preparations_are_left_at_once_and_never_twice(number: int) -> None:
    with caught() as interrupt:
        with pytest.raises(KeyboardInterrupt):
            send(number)
        assert interrupt.at_once
        send(number, 2)
        assert interrupt.asked == 3


@BOTH
def test_training_ends_when_nothing_is_in_flight(number: int) -> None:
    with caught() as interrupt, pytest.raises(KeyboardInterrupt), interrupt.patient():
        interrupt.check(in_flight=False)
        send(number)
        interrupt.check(in_flight=True)
        assert not interrupt.at_once
        interrupt.check(in_flight=False)


@BOTH
def test_the_second_signal_gives_up_what_is_in_flight(number: int) -> None:
    with caught() as interrupt, interrupt.patient():
        send(number, 2)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check(in_flight=True)
        assert interrupt.at_once
        send(number, 2)


def test_the_third_needs_no_check() -> None:
    with caught() as interrupt, interrupt.patient():
        send(signal.SIGINT, 2)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        send(signal.SIGINT, 2)


def test_what_closes_a_run_may_be_left_half_done() -> None:
    with caught() as interrupt:
        interrupt.close()
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupt.immediate():
            send(signal.SIGINT)
        with interrupt.patient(), interrupt.finishing():
            send(signal.SIGINT)


def test_after_patience_nothing_is_raised_late_but_it_is_known() -> None:
    with caught() as interrupt:
        with interrupt.patient():
            send(signal.SIGINT)
        assert interrupt.asked == 1
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_what_is_told_to_ignore_ctrl_c_does() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            send(signal.SIGINT)
            assert interrupt.asked == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_command_that_was_not_interrupted_returns_its_code() -> None:
    assert Interrupt().leave(5) == 5

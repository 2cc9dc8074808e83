"""What the first, the second and further signals do at each point of a command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
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


def test_what_is_finishing_waits_for_one_signal() -> None:
    with caught() as interrupt, pytest.raises(KeyboardInterrupt), interrupt.finishing():
        send(signal.SIGINT)
        assert not interrupt.at_once
        send(signal.SIGINT)


def test_what_can_be_spared_is_left_at_the_first_signal_and_not_begun_after_it() -> None:
    done: list[str] = []
    with caught() as interrupt:
        assert interrupt.spare(lambda: "done") == "done"
        with interrupt.patient():
            assert interrupt.spare(lambda: (send(signal.SIGINT), done.append("late"))) is None
        assert interrupt.spare(lambda: done.append("begun")) is None
        assert not done
        send(signal.SIGINT)
        assert interrupt.asked == 2, "one KeyboardInterrupt is all"


def ending(script: str, **pipes: Any) -> subprocess.CompletedProcess[str]:
    """How a process ends that runs ``script`` with an `Interrupt`."""
    head = """
        import os, signal, subprocess, sys, threading, time
        from recsearch.interrupt import Interrupt
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def send(times=1):
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
    """
    code = textwrap.dedent(head) + textwrap.dedent(script)
    # What is printed stays in its buffer till then.
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [sys.executable, "-c", code], text=True, timeout=60, env=environment, **pipes
    )


def check_gone(number: int) -> None:
    deadline = time.monotonic() + 30
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


LEAVE = """
    with Interrupt() as interrupt, interrupt.patient():
        send()
        threading.Thread(target=time.sleep, args=(3600,)).start()
        sys.stdout.write("all that there is to say")
        interrupt.leave(130)
"""


def test_leaving_waits_for_no_thread_and_says_what_there_is_to_say() -> None:
    done = ending(LEAVE, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "all that there is to say", "")


def test_leaving_ends_what_was_started() -> None:
    done = ending("""
        with Interrupt() as interrupt, interrupt.patient():
            child = subprocess.Popen(["sleep", "3600"])
            print(child.pid, flush=True)
            send()
            interrupt.leave(130)
    """, capture_output=True)  # fmt: skip
    assert done.returncode == 130
    check_gone(int(done.stdout))


@pytest.mark.parametrize("name", ["broken pipe", "full disk", "closed"])
def test_leaving_has_its_exit_code_whatever_becomes_of_the_output(name: str) -> None:
    if name == "closed":
        done = ending(LEAVE.replace("interrupt.leave", "sys.stdout.close(); interrupt.leave"))
    elif name == "full disk":
        with Path("/dev/full").open("w") as full:
            done = ending(LEAVE, stdout=full, stderr=full)
    else:
        ours, theirs = os.pipe()
        os.close(ours)
        done = ending(LEAVE, stdout=theirs, stderr=theirs)
        os.close(theirs)
    assert done.returncode == 130


def test_what_hangs_while_it_closes_ends_at_the_third_signal_more() -> None:
    done = ending("""
        with Interrupt() as interrupt:
            child = subprocess.Popen(["sleep", "3600"])
            try:
                send()
            except KeyboardInterrupt:
                print(child.pid, flush=True)
            send(2)
            print("goes on", flush=True)
            send()
            time.sleep(3600)
    """, capture_output=True)  # fmt: skip
    assert done.returncode == 130
    child, *rest = done.stdout.splitlines()
    assert rest == ["goes on"]
    check_gone(int(child))

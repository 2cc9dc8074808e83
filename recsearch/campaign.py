"""Many searches by one command, one after the other; an error of one never stops the others."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from recsearch.campaign_file import Entry
from recsearch.errors import IdentityError, RecsearchError, RunLockedError
from recsearch.request import Request
from recsearch.urls import without_secrets

State = Literal["waiting", "done", "errors", "failed", "interrupted"]


class Outcome(Protocol):
    """How one search ended, as `recsearch.tuning.driver.run_search` says it."""

    @property
    def exit_code(self) -> int:
        """0 ok, 5 finished but some trials erred, 130 interrupted."""


@dataclass(frozen=True)
class Ending:
    """What became of one run of a campaign.

    Attributes:
        entry: the run.
        state: ``waiting`` for its turn; ``done``; ``errors``, where some trials erred; ``failed``,
            where it did not start or could not go on; ``interrupted`` by the user.
        seconds: how long it took.
        message: why it failed.
        details: where in the program, if it is no failure that was foreseen.
        foreign: whether it failed because the folder holds another run.
    """

    entry: Entry
    state: State = "waiting"
    seconds: float = 0.0
    message: str | None = None
    details: str | None = None
    foreign: bool = False

    @property
    def root(self) -> Path:
        """The run folder; it may not exist if the run failed."""
        return self.entry.root


Prepare = Callable[[Entry], Request]
Run = Callable[[Request], Outcome]
Report = Callable[[Ending, Sequence[Ending]], None]

_STATES: dict[int, State] = {0: "done", 5: "errors", 130: "interrupted"}


def run_campaign(
    entries: Sequence[Entry],
    prepare: Prepare,
    run: Run,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
) -> list[Ending]:
    """Run all entries in their order, unattended.

    A run that another process works on is tried again after all others, so that two commands with
    the same entries share the work. Ctrl-C ends the campaign.

    Args:
        entries: what to run.
        prepare: makes the request of an entry; what it raises fails this entry alone.
        run: runs a search; likewise.
        report: called after each run with how it ended, and with all endings so far in the order
            of ``entries``.
        stop: whether no further run is to begin.

    Returns:
        The endings in the order of ``entries``.
    """
    endings = [Ending(entry) for entry in entries]
    queue, deferred = deque(range(len(entries))), set[int]()
    while queue and not stop():
        number = queue.popleft()
        ending, locked = _run_one(entries[number], prepare, run)
        if locked and queue and number not in deferred:
            deferred.add(number)
            queue.append(number)
            continue
        endings[number] = ending
        report(ending, list(endings))
        if ending.state == "interrupted":
            break
    return endings


def exit_code(endings: Sequence[Ending]) -> int:
    """130 if interrupted, 5 if trials erred or runs failed, else 0."""
    states = {ending.state for ending in endings}
    if states & {"interrupted", "waiting"}:
        return 130
    return 5 if states & {"errors", "failed"} else 0


def _run_one(entry: Entry, prepare: Prepare, run: Run) -> tuple[Ending, bool]:
    """How a run ended, and whether another process works on it."""
    began = time.monotonic()

    def ended(state: State, message: str | None = None, details: str | None = None) -> Ending:
        message, details = (
            message and without_secrets(message),
            details and without_secrets(details),
        )
        return Ending(entry, state, time.monotonic() - began, message, details)

    try:
        return ended(_STATES.get(run(prepare(entry)).exit_code, "failed")), False
    except KeyboardInterrupt:
        return ended("interrupted"), False
    except RecsearchError as err:
        ending = replace(ended("failed", str(err)), foreign=isinstance(err, IdentityError))
        return ending, isinstance(err, RunLockedError)
    except Exception as err:  # noqa: BLE001 - whatever it is, the others go on
        return ended("failed", f"{type(err).__name__}: {err}", traceback.format_exc()), False

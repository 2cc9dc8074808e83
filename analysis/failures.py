"""Every trial that ended in an error: configuration, message, end of its log, how to retry it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from analysis.formatting import exact
from analysis.values import epochs_completed
from recsearch.epochs import TrialView
from recsearch.rerun import rerun_commands
from recsearch.run import RunView
from recsearch.run_paths import RunPaths

TAIL_LINES = 15
_TAIL_BYTES = 8192
MOST_LOGS = 20
"""Failures whose configuration and log are shown."""
MOST_ROWS = 200
"""Failures that the table has; the files beside the page have all."""


class Failure(NamedTuple):
    """A trial that ended in an error; ``epoch`` is the one it failed in."""

    trial: int
    epoch: int
    kind: str
    message: str


class Case(NamedTuple):
    """A failure with its configuration and the end of its log."""

    failure: Failure
    config: str
    log: str
    log_file: str


class FailuresInfo(NamedTuple):
    """Failures by trial, how many there are of each kind, and the commands that retry them.

    Attributes:
        failures: the first `MOST_ROWS`; ``total`` is how many there are.
        cases: the first `MOST_LOGS` in full.
    """

    failures: tuple[Failure, ...]
    cases: tuple[Case, ...]
    total: int
    kinds: tuple[tuple[str, int], ...]
    commands: tuple[str, ...]


def failures_info(run: RunView) -> FailuresInfo:
    """Collect what is known of every failure; logs that are gone are left out."""
    trials = [trial for trial in run.trials if trial.state == "error"]
    kinds: dict[str, int] = {}
    for trial in trials:
        kinds[trial.reason or "error"] = kinds.get(trial.reason or "error", 0) + 1
    return FailuresInfo(
        failures=tuple(_failure(trial) for trial in trials[:MOST_ROWS]),
        cases=tuple(_case(run, trial) for trial in trials[:MOST_LOGS]),
        total=len(trials),
        kinds=tuple(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
        commands=tuple(rerun_commands(run, trials, folder=f"runs/{run.path.name}")),
    )


def log_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, the reader's home folder written as ``~``; "" if it is not there."""
    try:
        if path.is_symlink():
            return ""  # a page shows no file of elsewhere
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    kept = text.splitlines()
    if size > _TAIL_BYTES:
        kept = kept[1:]
    return "\n".join(kept[-lines:]).replace(str(Path.home()), "~")


def _failure(trial: TrialView) -> Failure:
    return Failure(
        trial=trial.number,
        epoch=epochs_completed(trial) + 1,
        kind=trial.reason or "error",
        message=(trial.message or "").replace(str(Path.home()), "~"),
    )


def _case(run: RunView, trial: TrialView) -> Case:
    log = RunPaths(run.path).trial(trial.number) / "err.log"
    return Case(
        failure=_failure(trial),
        config=json.dumps(exact(trial.config), indent=2, ensure_ascii=False),
        log=log_tail(log),
        log_file=f"runs/{run.path.name}/trials/{log.parent.name}/{log.name}",
    )

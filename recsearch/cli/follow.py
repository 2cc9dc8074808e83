"""``recsearch status --follow``: a line for every trial as it ends, until the search does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

POLL_S = 1.0


def follow(root: Path, wait: Callable[[], None] = lambda: time.sleep(POLL_S)) -> Iterator[str]:
    """Lines on the run in a folder: what has ended so far, and then what ends.

    It is over when no command works on the run any more: when the last one has closed it. One that
    was killed closes nothing, so it is watched until it is continued and ends, or Ctrl-C.

    Args:
        root: the run folder.
        wait: called between two looks at the journal.

    Raises:
        UsageError: there is no run.
    """
    from recsearch.run import RunView

    told: set[int] = set()
    while True:
        view = RunView.open(root)
        for trial in view.trials:
            if trial.finished and trial.number not in told:
                told.add(trial.number)
                yield _line(view, trial)
        if view.sessions and "closed" in view.sessions[-1]:
            return
        wait()


def _line(view: Any, trial: Any) -> str:
    row, name = view.trial_best(trial), view.objective.name
    count = sum(each.finished for each in view.trials)
    text = f"{count}/{view.planned}  trial {trial.number} {trial.state}"
    if row is None:
        return f"{text}: {trial.message or trial.reason}"
    best = view.best()
    mark = "  (best so far)" if best is not None and best[0].number == trial.number else ""
    return (
        f"{text} after {len(trial.epochs)} epochs ({trial.reason}): {name} {row.value(name):.5f} "
        f"at epoch {row.epoch}{mark}"
    )

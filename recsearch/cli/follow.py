"""``recsearch status --follow``: a line for every trial as it ends, until the search does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from recsearch.cli.output import json_line
from recsearch.cli.trial_rows import trial_row, wanted
from recsearch.epochs import TrialView
from recsearch.feed import Feed
from recsearch.printable import clean
from recsearch.run import RunView

POLL_S = 1.0


def follow(
    root: Path,
    wait: Callable[[], None] = lambda: time.sleep(POLL_S),
    *,
    failed: bool = False,
    where: str | None = None,
    as_json: bool = False,
) -> Iterator[str]:
    """Lines on the run in a folder: what has ended so far, and then what ends.

    A trial that is continued or tried again ends again, and has a line again. It is over when no
    command works on the run any more: when the last one has closed it. One that was killed closes
    nothing, so it is watched until it is continued and ends, or Ctrl-C.

    Args:
        root: the run folder.
        wait: called between two looks at the journal.
        failed: only trials that end in an error.
        where: only those that meet this condition.
        as_json: each line is a JSON document.

    Raises:
        UsageError: there is no run, or the condition cannot be read.
        RecsearchError: the journal is damaged, or the run was moved aside meanwhile.
    """
    feed = Feed(RunView.open(root))
    view, told = feed.view, set[tuple[int, str | None]]()
    line = _json if as_json else _line
    while True:
        changed = feed.changed()
        chosen = wanted(view, failed=failed, where=where)
        for trial in changed:
            if trial.finished and (trial.number, trial.ended) not in told:
                told.add((trial.number, trial.ended))
                if chosen(trial):
                    yield line(view, trial)
        if view.sessions and "closed" in view.sessions[-1]:
            return
        wait()


def _json(view: RunView, trial: TrialView) -> str:
    return json_line(trial_row(view, trial))


def _line(view: RunView, trial: TrialView) -> str:
    row, name = view.trial_best(trial), view.objective.name
    count = sum(each.finished for each in view.trials)
    text = f"{count}/{view.planned}  trial {trial.number} {trial.state}"
    if row is None:
        return clean(f"{text}: {trial.message or trial.reason}")
    best = view.best()
    mark = "  (best so far)" if best is not None and best[0].number == trial.number else ""
    return clean(
        f"{text} after {len(trial.epochs)} epochs ({trial.reason}): {name} {row.value(name):.5f} "
        f"at epoch {row.epoch}{mark}"
    )

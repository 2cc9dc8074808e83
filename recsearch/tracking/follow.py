"""From the journal to a tracker: the trials that have changed, until there is nothing more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from recsearch.epochs import TrialView
from recsearch.errors import RunLockedError
from recsearch.record import Record
from recsearch.run import RunPaths, RunView
from recsearch.tracking.targets import Target, slug
from recsearch.tracking.tracker import Tracker, open_tracker


class Feed:
    """Reads a journal that grows; a torn last line is not there yet.

    Args:
        run: the run, opened; its record is read anew from the first line.
    """

    def __init__(self, run: RunView):
        first, *others = run.objectives
        self._path = RunPaths(run.path).journal
        self._record = Record(first, tuple(others))
        self._offset = 0
        self._seen: dict[int, TrialView] = {}

    def changed(self) -> list[TrialView]:
        """The trials that are not as they were at the last call, by number.

        Raises:
            OSError: the journal cannot be read.
        """
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        for line in text[:whole].splitlines():
            self._record.apply(json.loads(line))
        self._offset += whole
        trials = sorted(self._record.trials.items())
        found = [trial for number, trial in trials if self._seen.get(number) is not trial]
        self._seen.update((trial.number, trial) for trial in found)
        return found


def follow(
    root: Path,
    target: Target,
    ended: Callable[[], bool] = lambda: True,
    patience: float = 0.0,
    opened: Callable[[Target, RunView], Tracker] = open_tracker,
) -> int:
    """Bring a tool up to the journal of a run, again and again until ``ended``; then once more.

    Args:
        root: the run folder.
        target: the tool.
        ended: waits a while, and whether what it waited for has come.
        patience: seconds to wait for another process that feeds the same tool.
        opened: makes the tracker.

    Returns:
        How many trials the tool was shown.

    Raises:
        UsageError: the folder holds no run.
        RunLockedError: another process feeds this tool from this run.
        Exception: whatever the tool raises; the next call catches up.
    """
    run = RunView.open(root)
    lock = FileLock(lock_path(root, target), timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise RunLockedError(
            f"{root}: another process logs this run to {target.tool}.",
            hint="It logs all that is there when the search ends.",
        ) from None
    with lock:
        feed, tracker = Feed(run), opened(target, run)
        try:
            last, shown = False, set[int]()
            while not last:
                last = ended()
                for trial in feed.changed():
                    if trial.started or trial.epochs:
                        tracker.log(trial)
                        shown.add(trial.number)
        finally:
            tracker.close()
    return len(shown)


def lock_path(root: Path, target: Target) -> Path:
    """Held by the process that feeds a tool from a run."""
    folder = root.resolve()
    return folder.with_name(f".{folder.name}.{slug(target, root)}.lock")

"""From the journal to a tracker: the trials that have changed, until there is nothing more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from recsearch.errors import RunLockedError
from recsearch.feed import Feed
from recsearch.run import RunView
from recsearch.tracking.targets import Target, slug
from recsearch.tracking.tracker import Tracker, open_tracker


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

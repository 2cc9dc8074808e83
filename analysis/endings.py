"""Why the trials ended: how many by which rule, after how many epochs, with what objective."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from analysis.formatting import metric, number, plural
from analysis.values import dig, epochs_completed, trial_point
from recsearch.epochs import TrialView
from recsearch.run import RunView


class Ending(NamedTuple):
    """Trials that ended alike; ``epochs`` is their median, ``best`` the best objective of them."""

    state: str
    reason: str
    words: str
    trials: int
    epochs: str
    best: str


def endings_info(run: RunView) -> tuple[Ending, ...]:
    """The endings by state and rule, the most frequent first; trials under way come last.

    A trial that was continued counts as the search had ended it.
    """
    groups: dict[tuple[str, str], list[TrialView]] = {}
    for trial in (trial.searched for trial in run.trials):
        groups.setdefault((trial.state, trial.reason or ""), []).append(trial)
    order = sorted(
        groups, key=lambda key: (key[0] in ("training", "queued"), -len(groups[key]), key)
    )
    return tuple(_ending(run, state, reason, groups[state, reason]) for state, reason in order)


def reason_words(run: RunView, state: str, reason: str) -> str:
    """What ended a trial, in words."""
    search = dig(run.identity, "search", "search", default={})
    if state == "error":
        return f"an error, {reason}" if reason else "an error"
    if state in ("training", "queued"):
        return {"training": "at work, or left so by a kill", "queued": "not begun yet"}[state]
    if state == "interrupted":
        return f"interrupted ({reason}): the same command continues it" if reason else "interrupted"
    known = {
        "plateau": _plateau(search.get("stop")),
        "max_epochs": f"all {search.get('max_epochs')} epochs that the search allows",
        "one_shot": "complete: a model of one epoch",
        "continued": "all epochs that it was continued for",
    }
    if state == "pruned":
        return f"pruned by {reason}: behind other trials after as many epochs"
    return known.get(reason, reason or state)


def short_reason(trial: TrialView) -> str:
    """What ended a trial, as a label: ``plateau``, ``halving``, ``max epochs``."""
    known = {"max_epochs": "max epochs", "one_shot": "one epoch"}
    if trial.state in ("done", "pruned") and trial.reason:
        return known.get(trial.reason, trial.reason)
    return {"training": "at work", "queued": "not begun"}.get(trial.state, trial.state)


def _plateau(stop: object) -> str:
    if not isinstance(stop, dict) or "patience" not in stop:
        return "no further improvement (plateau)"
    return f"no further improvement over {plural(stop['patience'], 'epoch')} (plateau)"


def _ending(run: RunView, state: str, reason: str, trials: list[TrialView]) -> Ending:
    sign = -1.0 if run.objective.direction == "max" else 1.0
    values = [point.value for trial in trials if (point := trial_point(run, trial)) is not None]
    return Ending(
        state=state,
        reason=reason,
        words=reason_words(run, state, reason),
        trials=len(trials),
        epochs=number(median(epochs_completed(trial) for trial in trials)),
        best=metric(min(values, key=lambda value: sign * value, default=None)),
    )

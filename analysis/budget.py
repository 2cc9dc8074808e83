"""Was the budget enough: when the best was found, and what the rest of the search still gained."""

from __future__ import annotations

from typing import NamedTuple

from analysis.formatting import duration, number, percent, plural
from analysis.random_search import RandomSearch
from analysis.values import (
    active_seconds,
    best_point,
    dig,
    gain,
    moment_of_best,
    points,
    sessions,
)
from recsearch.run import RunView


class BudgetInfo(NamedTuple):
    """Sentences on the budget, most important first."""

    sentences: tuple[str, ...]


def budget_info(run: RunView, random: RandomSearch | None) -> BudgetInfo | None:
    """Judge the budget; None before there is a best.

    Args:
        run: the run.
        random: what a random search would have found.
    """
    best = best_point(run)
    if best is None:
        return None
    found = [_when(run), _second_half(run), _allowed(run), _random(run, random)]
    return BudgetInfo(tuple(text for text in found if text))


def _when(run: RunView) -> str:
    best, total = best_point(run), len(run.trials)
    if best is None:
        return ""
    text = f"The best was found by trial {best.trial} of {total}"
    spans, at = sessions(run), moment_of_best(run)
    if spans and at is not None:
        whole = active_seconds(spans)
        text += f", after {duration(active_seconds(spans, at))} of {duration(whole)} at work"
    return f"{text}."


def _second_half(run: RunView) -> str:
    """What the later half of the trials added to the earlier one."""
    found = points(run)
    half = len(run.trials) // 2
    early = [point.value for point in found if point.trial <= half]
    late = [point.value for point in found if point.trial > half]
    if not early or not late or len(run.trials) < 10:
        return ""
    pick = min if run.objective.direction == "min" else max
    gained = gain(run, pick(late), pick(early))
    if gained <= 0:
        return (
            f"Trials {half + 1} to {len(run.trials)} did not improve on the first {half}: more of "
            "the same is unlikely to."
        )
    share = percent(gained / abs(pick(early))) if pick(early) else ""
    return (
        f"Trials {half + 1} to {len(run.trials)} improved on the best of the first {half} by "
        f"{number(gained, 2)}{f' ({share})' if share else ''}."
    )


def _allowed(run: RunView) -> str:
    limit = dig(run.identity, "search", "search", "max_epochs")
    if not isinstance(limit, int) or limit < 2:
        return ""
    reached = [trial for trial in run.trials if trial.reason == "max_epochs"]
    if not reached:
        return f"No trial needed all {limit} epochs that the search allows."
    return f"{plural(len(reached), 'trial')} ran all {limit} epochs that the search allows."


def _random(run: RunView, random: RandomSearch | None) -> str:
    best = best_point(run)
    if random is None or random.measured or best is None:
        return ""
    expected = random.mean[-1]
    ahead = gain(run, best.value, expected)
    edge = random.low[-1] if run.objective.direction == "min" else random.high[-1]
    judged = (
        "more than the luck of a random search"
        if gain(run, best.value, edge) > 0
        else "within the luck of a random search"
    )
    side = "better" if ahead >= 0 else "worse"
    trials = plural(len(run.trials), "random trial")
    return (
        f"The best is {number(abs(ahead), 2)} {side} than what {trials} would give on average (an "
        f"estimate): {judged}."
    )

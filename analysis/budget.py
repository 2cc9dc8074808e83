"""Was the budget enough: when the best was found, and what the rest of the search still gained."""

from __future__ import annotations

from typing import NamedTuple

from analysis.formatting import duration, metric, number, percent, plural
from analysis.random_search import RandomSearch
from analysis.values import (
    active_seconds,
    best_point,
    dig,
    gain,
    moment_of_best,
    searched_points,
    sessions,
)
from recsearch.run import RunView

FEWEST = 10
"""Trials below which halves are not compared."""


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
    best = best_point(run)
    if best is None:
        return ""
    text = f"The best was found by trial {best.trial} of {len(run.trials)}"
    spans, at = sessions(run), moment_of_best(run)
    if spans and at is not None:
        whole = active_seconds(spans)
        text += f", after {duration(active_seconds(spans, at))} of {duration(whole)} at work"
    return f"{text}."


def _second_half(run: RunView) -> str:
    """What the later half of the trials added to the earlier one: a fact, no forecast."""
    numbers = [trial.number for trial in run.trials]
    half = len(numbers) // 2
    if len(numbers) < FEWEST:
        return ""
    early = [point.value for point in searched_points(run) if point.trial in numbers[:half]]
    late = [point.value for point in searched_points(run) if point.trial in numbers[half:]]
    if not early or not late:
        return ""
    pick = min if run.objective.direction == "min" else max
    gained = gain(run, pick(late), pick(early))
    if gained <= 0:
        return f"The second half of the trials did not improve on the first {half}."
    share = f" ({percent(gained / abs(pick(early)))})" if pick(early) else ""
    return (
        f"The second half of the trials improved on the best of the first {half} by "
        f"{number(gained, 2)}{share}."
    )


def _allowed(run: RunView) -> str:
    limit = dig(run.identity, "search", "search", "max_epochs")
    if not isinstance(limit, int) or limit < 2:
        return ""
    reached = [trial for trial in run.trials if trial.searched.reason == "max_epochs"]
    if not reached:
        return f"No trial ran all {limit} epochs that the search allows."
    return f"{plural(len(reached), 'trial')} ran all {limit} epochs that the search allows."


def _random(run: RunView, random: RandomSearch | None) -> str:
    """What a random search would have given, beside what was found; who wants to, compares."""
    best = best_point(run)
    if random is None or random.measured or best is None or random.low[-1] == random.high[-1]:
        return ""
    band = f"{metric(random.low[-1])} to {metric(random.high[-1])}"
    return (
        f"As many random trials would give {metric(random.mean[-1])} on average and {band} in 8 of "
        f"10 cases (an estimate); the best is {metric(best.value)}."
    )

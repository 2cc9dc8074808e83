"""A strategy applied afterwards to the trials of the full search: what would it have cost and lost?

The searcher suggests other trials once a strategy shows it other values, and which of them is the
luckiest differs more between two searches than most strategies do. With the trials held fixed, the
difference is what the rules themselves throw away. Nothing is trained: a trial that would have gone
on for longer than in the full search ends there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from recsearch.evaluation import better
from recsearch.pruning import Rule
from recsearch.record import Record
from recsearch.stopping import StopRule


@dataclass(frozen=True)
class Outcome:
    """One search. ``core_s`` is training alone; ``trial`` and ``epoch`` are those of the best."""

    best: float
    trial: int
    epoch: int
    epochs: int
    pruned: int
    gflop: float
    core_s: float


def replay(
    record: Record, rule: Rule, stop: StopRule, lag: int, cost: Callable[[int], float]
) -> Outcome:
    """The outcome of the same trials under other rules.

    Args:
        record: of the full search.
        rule: what prunes trials.
        stop: what ends them.
        lag: trial *k* is judged against trials 1 … *k − lag*.
        cost: GFLOP of one epoch by embedding size.
    """
    metric = record.objective
    histories: list[list[float]] = []
    best = (math.nan, 0, 0)
    pruned, gflop, seconds = 0, 0.0, 0.0
    for number, trial in sorted(record.trials.items()):
        peers = [seen for seen in histories[: max(0, number - lag)] if seen]
        values: list[float] = []
        for row in trial.epochs:
            values.append(row.value(metric.name))
            gflop += cost(trial.config.get("embedding_size", 0))
            seconds += row.train_s
            if better(metric, values[-1], best[0]):
                best = (values[-1], number, row.epoch)
            if stop.stop(values, metric.direction):
                break
            if not rule.keep(values, peers, metric.direction):
                pruned += 1
                break
        histories.append(values)
    epochs = sum(map(len, histories))
    return Outcome(*best, epochs=epochs, pruned=pruned, gflop=gflop, core_s=seconds)

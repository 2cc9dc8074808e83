"""In which order determined trials are started: a discrete-event simulation, without any training.

As in a search, trial *k* can start once trials 1 … *k − lag* have ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

Order: TypeAlias = Literal["number", "tail", "cost"]


def idle_share(
    seconds: Sequence[float],
    costs: Sequence[float],
    *,
    workers: int,
    lag: int,
    order: Order,
    tail: int = 2,
) -> float:
    """Part of the workers' time from the first start to the last end in which they had no trial.

    Args:
        seconds: how long each trial takes, by number.
        costs: what the planner takes for its cost.
        workers: trials at a time.
        lag: see above.
        order: ``number``: the oldest first; ``cost``: the costliest first; ``tail``: the oldest,
            and the costliest once at most ``tail * workers`` trials are left to start.
        tail: see ``order``.
    """
    ended: set[int] = set()
    queue: list[int] = []
    running: list[tuple[float, int]] = []
    front = suggested = started = 0
    clock = 0.0
    while started < len(seconds) or running:
        while suggested < len(seconds) and suggested - lag < front:
            queue.append(suggested)
            suggested += 1
        while len(running) < workers and queue:
            near_end = len(seconds) - started <= tail * workers
            by_cost = order == "cost" or (order == "tail" and near_end)
            trial = min(queue, key=lambda n: (-costs[n] if by_cost else 0.0, n))
            queue.remove(trial)
            heapq.heappush(running, (clock + seconds[trial], trial))
            started += 1
        clock, trial = heapq.heappop(running)
        ended.add(trial)
        while front in ended:
            front += 1
    return 1 - sum(seconds) / (workers * clock)


def journalled(events: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """Seconds and embedding size (for a cost) of the trials of a real journal."""
    sizes = {e["trial"]: e["config"]["embedding_size"] for e in events if e["event"] == "suggested"}
    seconds = dict.fromkeys(sizes, 0.0)
    for event in events:
        if event["event"] == "epoch":
            seconds[event["trial"]] += busy(event)
    numbers = sorted(sizes)
    return [seconds[n] for n in numbers], [float(sizes[n]) for n in numbers]


def busy(epoch: Mapping[str, Any]) -> float:
    """Seconds that an epoch event spent in training, evaluation and saving."""
    return float(epoch["train_s"] + epoch["eval_s"] + epoch["save_s"])


def generated(
    seed: int, *, trials: int = 100, power: float = 1.0
) -> tuple[list[float], list[float]]:
    """Seconds and costs of trials of log-uniform sizes 4 to 512 that end after 1 to 9 epochs."""
    rng = np.random.default_rng(seed)
    costs = np.exp(rng.uniform(np.log(4), np.log(512), trials)) ** power
    epochs = rng.choice([1, 3, 6, 9], trials, p=[0.3, 0.2, 0.4, 0.1])
    seconds = (0.1 + 10 * costs / costs.max()) * epochs
    return seconds.tolist(), costs.tolist()

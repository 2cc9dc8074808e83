"""What a finished search says of itself, and what it is compared with on its own split."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from recsearch.baselines import bias_scores, tune_damping
from recsearch.data import Split
from recsearch.errors import DataNotFoundError, VerificationError
from recsearch.evaluation import Metric, evaluate
from recsearch.journal import read_events
from recsearch.loading import split_of
from recsearch.run import RunView
from recsearch.run_paths import RunPaths
from recsearch.summary import wall_seconds

SplitOf = Callable[[dict[str, Any], int | None], Split]


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        run: its name; ``algorithm`` is the name of its search file.
        metric: that decided.
        value: the best one, None before the first epoch; of ``epoch`` of the trial with ``params``.
        bias, popular: the same metric of the baselines on the same split; None where unknown.
        states: number of trials by state; ``epochs`` of all of them.
        wall_s: seconds in which a command was at work on the search.
        cpu_s: seconds that workers, one thread each, trained, measured and saved in this run.
        here: whether all of it ran on this very machine.
    """

    run: str
    algorithm: str
    metric: Metric
    identity: Mapping[str, Any]
    value: float | None
    params: Mapping[str, Any]
    epoch: int | None
    epochs: int
    cached_epochs: int
    states: Mapping[str, int]
    wall_s: float
    cpu_s: float
    bias: float | None
    popular: float | None
    here: bool

    @property
    def data(self) -> str:
        """Name of the data set."""
        return str(self.identity["dataset"]["name"])

    @property
    def folds(self) -> int:
        """Validation parts over which the value is a mean."""
        return folds_of(self.identity)

    @property
    def group(self) -> tuple[str, str, str, int]:
        """What runs share that can stand in one table."""
        split = self.identity["split"]["split_id"]
        return self.data, self.identity["dataset"]["dataset_id"], split, self.folds


class Biases:
    """Tuned bias models by any metric: computed once per split, None where data are absent."""

    def __init__(self, splits: SplitOf = split_of):
        self._splits = splits
        self._known: dict[tuple[str, int, str], float | None] = {}
        self.problems: list[str] = []

    def of(self, view: RunView) -> float | None:
        """By the objective of a run: as its journal has it, else computed."""
        name = view.objective.name
        recorded = view.baselines.get("bias", {}).get("metrics", {}).get(name)
        if recorded is not None:
            return float(recorded)
        key = view.identity["split"]["split_id"], folds_of(view.identity), name
        if key not in self._known:
            self._known[key] = self._compute(view.identity, name)
        return self._known[key]

    def _compute(self, identity: dict[str, Any], metric: str) -> float | None:
        found = []
        for fold in range(folds_of(identity)):
            try:
                split = self._splits(identity, fold or None)
            except (DataNotFoundError, VerificationError) as err:
                self.problems.append(f"{identity['name']}: no tuned bias: {err.message}")
                return None
            if not np.ptp(split.train.values):
                return None  # Without different ratings there is nothing to learn.
            scores = bias_scores(split, *tune_damping(split))
            found.append(evaluate(scores, split, [metric])[metric])
        return float(np.mean(found))


def measured(view: RunView, biases: Biases) -> Measured:
    """What the journal of a run says."""
    best = view.best()
    trial, row = best if best is not None else (None, None)
    rows = [row for trial in view.trials for row in trial.epochs]
    popular = view.baselines.get("popular", {}).get("metrics", {}).get(view.objective.name)
    return Measured(
        run=view.name,
        algorithm=PurePosixPath(view.identity["search_file"]).stem,
        metric=view.objective,
        identity=view.identity,
        value=None if row is None else row.value(view.objective.name),
        params={} if trial is None else trial.params,
        epoch=None if row is None else row.epoch,
        epochs=len(rows),
        cached_epochs=sum(row.cached for row in rows),
        states=Counter(trial.state for trial in view.trials),
        wall_s=wall_seconds(read_events(RunPaths(view.path).journal)),
        # Epochs taken from the store name the seconds of the run that trained them.
        cpu_s=sum(r.train_s + r.eval_s + r.save_s for r in rows if not r.cached),
        bias=biases.of(view),
        popular=popular,
        here={session["host"] for session in view.sessions} == {socket.gethostname()},
    )


def folds_of(identity: Mapping[str, Any]) -> int:
    """Number of validation parts of a run."""
    return int((identity.get("validation") or {}).get("folds", 1))

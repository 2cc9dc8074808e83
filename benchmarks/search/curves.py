"""Learning curves of trials, trained as far as somebody asked and remembered in a file.

Strategies that are compared over the same seeds ask for many of the same trials. A curve goes on
where the last one who asked had left it, within a process from the state of its model, in a later
process from the beginning.
"""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.errors import RecsearchError
from recsearch.evaluation import default_metrics
from recsearch.identity import derive_seed, digest
from recsearch.measuring import measure
from recsearch.models import Family, Model
from recsearch.state import State


@dataclass(frozen=True)
class Point:
    """One epoch: its objective, seconds of training, and the kind of error it ended in, if any."""

    value: float
    train_s: float
    error: str | None = None


class Curves:
    """Objective by trial and epoch.

    Args:
        path: file of JSON lines to remember in; created where it is missing.
        split: what is trained on and measured.
        family: what is trained.
        objective: the metric.
        seed: root seed of the search; initialises the models as its trials do.
        most_bytes: states of models that may be held in memory, the latest first.
    """

    def __init__(
        self,
        path: Path,
        split: Split,
        family: Family,
        objective: str,
        seed: int,
        most_bytes: int = 1 << 30,
    ):
        self._path = path
        self._split = split
        self._family = family
        self._objective = objective
        # All that a search measures: where no ranking is wanted, only the held-out items are
        # scored, and the processor may add up the same products in another order.
        self._metrics = (*default_metrics(family.predicts_ratings), objective)
        self._seed = seed
        self._most_bytes = most_bytes
        self._known: dict[str, list[Point]] = {}
        self._states: OrderedDict[str, tuple[int, State]] = OrderedDict()
        self._at: tuple[str, int, Model] | None = None
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                value = math.nan if row["value"] is None else row["value"]
                curve = self._known.setdefault(row["key"], [])
                # Two processes that share the file may both have trained an epoch.
                if row["epoch"] == len(curve) + 1:
                    curve.append(Point(value, row["train_s"], row.get("error")))

    def key(self, config: Mapping[str, Any]) -> str:
        """Address of a trial; libraries are no part of it, as they move curves by 1e-5 at most."""
        return digest(
            {
                "split": self._split.split_id,
                "model": self._family.class_path,
                "config": dict(config),
                "seed": self._seed,
                "objective": self._objective,
            }
        )

    def point(self, config: Mapping[str, Any], epoch: int) -> Point:
        """The given epoch of a trial, after those before it."""
        key = self.key(config)
        curve = self._known.setdefault(key, [])
        while len(curve) < epoch:
            point = self._train(key, config, len(curve) + 1)
            curve.append(point)
            row = {
                "key": key,
                "size": config.get("embedding_size"),
                "epoch": len(curve),
                "value": point.value if math.isfinite(point.value) else None,
                "train_s": point.train_s,
                **({"error": point.error} if point.error else {}),
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return curve[epoch - 1]

    def _train(self, key: str, config: Mapping[str, Any], epoch: int) -> Point:
        began = 0.0
        try:
            model = self._model(key, config, epoch - 1)
            began = time.thread_time()
            model.train_epoch()
            seconds = time.thread_time() - began
            arrays = (a for part in model.state().values() for a in part.tensors.values())
            if not all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f"):
                return Point(math.nan, seconds, "NonFiniteObjectiveError")
            value = measure(model, self._family, self._split, self._metrics)[self._objective]
        except RecsearchError as err:  # anything else is no result of a trial but this bench's
            return Point(math.nan, time.thread_time() - began, type(err).__name__)
        self._at = (key, epoch, model)
        if not math.isfinite(value):
            return Point(math.nan, seconds, "NonFiniteObjectiveError")
        return Point(float(value), seconds)

    def _model(self, key: str, config: Mapping[str, Any], epoch: int) -> Model:
        """The model of a trial after ``epoch`` epochs."""
        if self._at is not None and self._at[0] != key:
            self._set_aside(*self._at)
        if self._at is not None and self._at[1] == epoch:
            return self._at[2]
        model = self._family.create(config, self._split, derive_seed(self._seed, "init"))
        reached, state = self._states.pop(key, (0, None))
        if state is not None and reached <= epoch:
            model.load_state(state)
        else:
            reached = 0
        for _ in range(reached, epoch):
            model.train_epoch()
        return model

    def _set_aside(self, key: str, epoch: int, model: Model) -> None:
        needed = self._family.continue_parts
        state = {n: part for n, part in model.state().items() if needed is None or n in needed}
        self._states[key] = (epoch, state)
        self._at = None
        while sum(map(_bytes, self._states.values())) > self._most_bytes:
            self._states.popitem(last=False)


def _bytes(held: tuple[int, State]) -> int:
    return sum(a.nbytes for part in held[1].values() for a in part.tensors.values())

"""Runs of known values beside one another, and stored comparisons of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from fabricate import Fabricated

from recsearch.comparison import Comparison, Sample, compare
from recsearch.comparison_file import measured_now, save_comparison
from recsearch.run import RunView
from recsearch.run_paths import RunPaths

SPACE = {"x": {"type": "float", "min": 0.0, "max": 10.0}}
PROFILE = {
    "format": 1, "n_users": 3, "n_items": 4, "n_ratings": 6, "density": 0.5,
    "first": "2000-01-01T00:00:00", "last": "2001-02-03T00:00:00",
    "histogram": [{"low": 1.0, "high": 1.0, "ratings": 2}, {"low": 5.0, "high": 5.0, "ratings": 4}],
    "users": {"number": 3, "least": 1, "median": 2.0, "mean": 2.0, "most": 3, "gini": 0.22,
              "lorenz": [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]], "ranks": [[1, 3], [2, 2], [3, 1]]},
    "items": {"number": 3, "least": 1, "median": 2.0, "mean": 2.0, "most": 3, "gini": 0.22,
              "lorenz": [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]], "ranks": [[1, 3], [2, 2], [3, 1]]},
    "parts": [],
}  # fmt: skip


def make(
    root: Path,
    name: str,
    values: list[float],
    *,
    metric: str = "RMSE",
    direction: str = "min",
    exit_code: int | None = 0,
    split: str = "5e",
    data: str = "d1",
    **settings: Any,
) -> RunView:
    """A run with a trial of one epoch per value, over x = trial number.

    ``split`` and ``data`` are two digits of the ids; ``exit_code`` None leaves the run open.
    """
    run = Fabricated(name=name, metric=metric, direction=direction, trials=len(values),
                     **{"space": SPACE, **settings})  # fmt: skip
    run.opened()
    run.baseline("bias" if metric == "RMSE" else "popular", **{metric: 0.9})
    for number, value in enumerate(values, start=1):
        run.trial(number, {"x": float(number)}, [value])
    if exit_code is not None:
        run.closed(exit_code)
    folder = run.write(root)
    edit(folder, run_id=name, split__split_id=split * 32, dataset__dataset_id=data * 32)
    return RunView.open(folder)


def edit(folder: Path, **values: Any) -> None:
    """Change keys of run.json; two underscores lead into a section."""
    path = RunPaths(folder).identity
    identity = json.loads(path.read_text(encoding="utf-8"))
    for dotted, value in values.items():
        *sections, last = dotted.split("__")
        place = identity
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    path.write_text(json.dumps(identity), encoding="utf-8")


def profiled(view: RunView, **values: Any) -> None:
    """Give a run a profile."""
    dataset = view.identity["dataset"]["dataset_id"]
    document = {**PROFILE, "dataset_id": dataset, **values}
    RunPaths(view.path).data_profile.write_text(json.dumps(document), encoding="utf-8")


def sample(view: RunView, values: dict[str, list[float]], kind: str = "validation") -> Sample:
    """Values by user of a run, as recsearch compare measures them."""
    arrays = {name: np.array(column) for name, column in values.items()}
    users = np.arange(len(next(iter(arrays.values()))))
    return Sample(view.name, "s", users, arrays, {}, measured_now(view, kind))


def compared(views: list[RunView], *columns: dict[str, list[float]]) -> list[Comparison]:
    """Compare runs by values of users, and keep the result."""
    samples = [sample(view, values) for view, values in zip(views, columns, strict=True)]
    rows = compare(samples)
    save_comparison([view.path for view in views], "validation", samples, rows)
    return rows


def better_trial(view: RunView, value: float) -> RunView:
    """The run after one more trial."""
    number = len(view.trials) + 1
    more = Fabricated(metric=view.objective.name)
    more.trial(number, {"x": float(number)}, [value])
    with RunPaths(view.path).journal.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in more.events)
    return RunView.open(view.path)

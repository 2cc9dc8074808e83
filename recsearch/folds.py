"""Several validation folds: the mean over them is what a search optimises.

A search with K folds trains every configuration on parts 0 … K - 1 of its split. Each (trial, fold)
has a key of its own in the store, so that folds are continued, served and verified one by one. What
pruning, stopping, retention and "best" see is the mean over the folds, epoch by epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recsearch.errors import UsageError

if TYPE_CHECKING:
    from recsearch.data import SplitSpec

Metrics = Mapping[str, float | None]


def check_folds(folds: int, spec: SplitSpec) -> None:
    """Refuse folds that would leave no part of the split for testing.

    Raises:
        UsageError: fewer than one fold, or as many as the split has parts.
    """
    if 1 <= folds < spec.parts:
        return
    if folds < 1:
        raise UsageError(f"--folds {folds}: a search validates on one fold at least.")
    most = spec.parts - 1
    raise UsageError(
        f"--folds {folds}: the {spec.method} split has parts 0 to {spec.parts - 1}, and each fold "
        f"validates on one of them, so that none would be left to test the best configuration on "
        f"(recsearch final). Expected 1 to {most}.",
        hint=f"Use --folds {most}{', the default' if most == 1 else ''}.",
    )


def folds_of(identity: Mapping[str, Any]) -> int:
    """Number of validation folds of a run, from its ``run.json`` or a best-config.json."""
    validation = identity.get("validation") or {}
    return int(validation.get("folds", 1))


def fold_ids(identity: Mapping[str, Any]) -> list[str]:
    """The split id of every fold, fold 0 first."""
    validation = identity.get("validation") or {}
    return list(validation.get("split_ids") or [identity["split"]["split_id"]])


def check_fold(fold: int, identity: Mapping[str, Any], option: str = "--fold") -> None:
    """Refuse a fold that the run does not validate on.

    Raises:
        UsageError: there is no such fold; says which there are.
    """
    folds = folds_of(identity)
    if 0 <= fold < folds:
        return
    name = identity.get("name") or identity.get("run")
    what = "validates on one fold, 0" if folds == 1 else f"has folds 0 to {folds - 1}"
    raise UsageError(f"{option} {fold}: {name} {what}.")


def mean_metrics(folds: Sequence[Metrics]) -> dict[str, Any]:
    """The mean of every metric over the folds; None where one of them could not measure it.

    The sum is exact, so that the order of the folds plays no part.
    """
    if len(folds) == 1:
        return dict(folds[0])
    return {name: _mean([fold.get(name) for fold in folds]) for name in folds[0]}


def std_metrics(folds: Sequence[Metrics]) -> dict[str, float | None]:
    """The sample standard deviation (n - 1) of every metric over two folds or more."""
    return {name: _std([fold.get(name) for fold in folds]) for name in folds[0]}


def merged_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One epoch of a trial from the rows of its folds: mean metrics, summed seconds.

    A single fold's row is the trial's. Otherwise ``folds`` has the metrics of each.
    """
    if len(rows) == 1:
        return dict(rows[0])
    folds = [row["metrics"] for row in rows]
    return {
        "epoch": rows[0]["epoch"],
        "metrics": mean_metrics(folds),
        "train_s": sum(row["train_s"] for row in rows),
        "eval_s": sum(row["eval_s"] for row in rows),
        "folds": [dict(metrics) for metrics in folds],
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _std(values: Sequence[float | None]) -> float | None:
    mean = _mean(values)
    if mean is None or len(values) < 2:
        return None
    squares = [(value - mean) ** 2 for value in values if value is not None]
    return math.sqrt(math.fsum(squares) / (len(squares) - 1))

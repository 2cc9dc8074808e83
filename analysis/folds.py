"""What several validation folds add to page and tables: each fold's value, and how they spread."""

from __future__ import annotations

from typing import Any, NamedTuple

from recsearch.epochs import EpochRow
from recsearch.folds import folds_of, std_metrics
from recsearch.run import RunView


class FoldRow(NamedTuple):
    """One metric of the best epoch: mean, sample standard deviation, and every fold's value."""

    name: str
    mean: float | None
    std: float | None
    values: tuple[float | None, ...]
    objective: bool


def folds_info(run: RunView) -> tuple[FoldRow, ...]:
    """The best epoch by metric, the objective first; nothing where there is a single fold."""
    best = run.best()
    if best is None or not best[1].folds:
        return ()
    row = best[1]
    folds, spread = best[1].folds, std_metrics(best[1].folds)
    names = dict.fromkeys([run.objective.name, *row.metrics])
    return tuple(
        FoldRow(
            name=name,
            mean=row.metrics.get(name),
            std=spread.get(name),
            values=tuple(fold.get(name) for fold in folds),
            objective=name == run.objective.name,
        )
        for name in names
    )


def fold_columns(run: RunView, metrics: list[str]) -> list[str]:
    """Names of the columns that `fold_cells` fills; none where there is a single fold."""
    folds = folds_of(run.identity)
    if folds == 1:
        return []
    return [
        column
        for name in metrics
        for column in (f"{name}.std", *(f"{name}.fold{fold}" for fold in range(folds)))
    ]


def fold_cells(run: RunView, row: EpochRow | None, metrics: list[str]) -> list[Any]:
    """Standard deviation and value of every fold, metric by metric; None without an epoch."""
    if row is None or not row.folds:
        return [None] * len(fold_columns(run, metrics))
    spread = std_metrics(row.folds)
    return [
        cell
        for name in metrics
        for cell in (spread.get(name), *(fold.get(name) for fold in row.folds))
    ]


def split_words(identity: dict[str, Any]) -> str:
    """Which parts of the split the search validates on."""
    split, folds = identity.get("split") or {}, folds_of(identity)
    # A split in time has two parts, whose number it need not say.
    parts = split.get("folds") or (2 if "cuts" in split else None)
    if not isinstance(split.get("part"), int) or not parts:
        return ""
    if folds == 1:
        return f", part {split['part']} of {parts} (numbered from 0)"
    return (
        f", mean over parts 0 to {folds - 1} of {parts} (numbered from 0; the figures "
        "that follow are of part 0)"
    )

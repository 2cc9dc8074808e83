"""The index over all runs, grouped into searches that can be compared with one another."""

from __future__ import annotations

from typing import NamedTuple

from analysis.formatting import count, day, metric, signed, size
from analysis.overview import Overview, overview_info
from analysis.results import checkpoints_info
from analysis.values import dig
from recsearch.folds import folds_of
from recsearch.identity import short
from recsearch.run import RunView


class RunRow(NamedTuple):
    """One run. ``link`` is relative to the index; "" where the run has no page yet."""

    run: str
    link: str
    title: str
    model: str
    best: float | None
    default: float | None
    baseline: float | None
    gain: float | None
    cells: tuple[str, ...]


class Group(NamedTuple):
    """Runs with the same split and objective, best first; only these are comparable."""

    heading: str
    split: str
    notes: tuple[str, ...]
    metric: str
    direction: str
    rows: tuple[RunRow, ...]


COLUMNS = ("best", "gain over baseline", "gain over default", "trials", "done", "pruned", "errors",
           "epochs", "written", "last epoch")  # fmt: skip


def catalogue_info(runs: list[RunView], pages: set[str]) -> tuple[Group, ...]:
    """Group ``runs``; ``pages`` are the names of the runs that have a page."""
    groups: dict[tuple[str, ...], list[tuple[RunView, Overview]]] = {}
    for run in sorted(runs, key=lambda run: run.path.name):
        info = overview_info(run)
        split = str(dig(run.identity, "split", "split_id", default=""))
        part = str(dig(run.identity, "split", "part", default=""))
        key = (info.dataset, info.objective, split, part, str(folds_of(run.identity)))
        groups.setdefault(key, []).append((run, info))
    return tuple(_group(key, groups[key], pages) for key in sorted(groups))


def _group(key: tuple[str, ...], members: list[tuple[RunView, Overview]], pages: set[str]) -> Group:
    dataset, objective, split, *_ = key
    run, info = members[0]
    sign = -1.0 if run.objective.direction == "max" else 1.0
    rows = [_row(run, info, pages) for run, info in members]
    rows.sort(key=lambda row: (row.best is None, sign * (row.best or 0.0), row.run))
    return Group(
        heading=f"{dataset}: {objective}, {info.direction}",
        split=f"{info.split} (split {short(split)})" if split else info.split,
        notes=info.notes,
        metric=objective,
        direction=run.objective.direction,
        rows=tuple(rows),
    )


def _row(run: RunView, info: Overview, pages: set[str]) -> RunRow:
    states = info.states
    best = info.best.value if info.best else None
    return RunRow(
        run=info.run,
        link=f"{info.run}/index.html" if info.run in pages else "",
        title=info.title,
        model=info.model,
        best=best,
        default=info.default.value if info.default else None,
        baseline=info.baseline.value if info.baseline else None,
        gain=info.baseline.gain if info.baseline else None,
        cells=(
            metric(best),
            signed(info.baseline.gain if info.baseline else None),
            signed(info.default.gain if info.default else None),
            f"{count(sum(states.values()))}/{count(info.planned)}",
            count(states.get("done", 0)),
            count(states.get("pruned", 0)),
            count(states.get("error", 0)),
            count(info.epochs),
            size(checkpoints_info(run).stored),
            day(max((r.time for t in run.trials for r in t.epochs), default=None))[:10],
        ),
    )

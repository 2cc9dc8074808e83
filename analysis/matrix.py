"""Algorithms by data sets: the best that a search of each has found."""

from __future__ import annotations

from typing import NamedTuple

from analysis.catalogue import Group, RunRow
from analysis.formatting import plural
from recsearch.identity import short


class Cell(NamedTuple):
    """All runs of one algorithm in one column.

    Attributes:
        best: the run with the best value, or the first of them where none has one.
        best_of_column: whether no other algorithm of the column is better.
        remark: how many runs there are, and what keeps them from having a final value.
    """

    best: RunRow
    best_of_column: bool
    remark: str


class Column(NamedTuple):
    """Runs that can be compared. ``split`` tells columns of one data set apart, "" where one is."""

    dataset: str
    split: str
    data: str
    compare: str
    baseline: float | None


class MatrixInfo(NamedTuple):
    """One objective; rows are algorithms with a cell for each column, None where no run is."""

    metric: str
    direction: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


def matrix_info(groups: tuple[Group, ...]) -> tuple[MatrixInfo, ...]:
    """A matrix for each objective: those of more runs first."""
    objectives: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        objectives.setdefault((group.metric, group.direction), []).append(group)
    found = [_matrix(*key, members) for key, members in objectives.items()]
    return tuple(sorted(found, key=lambda each: (-_cells(each), each.metric)))


def _matrix(metric: str, direction: str, groups: list[Group]) -> MatrixInfo:
    titles = sorted({row.title for group in groups for row in group.rows})
    rows = [(title, tuple(_cell(group, title) for group in groups)) for title in titles]
    # By the column with the most algorithms, best first; then by the next one.
    filled = [sum(cells[k] is not None for _, cells in rows) for k in range(len(groups))]
    order = sorted(range(len(groups)), key=lambda k: -filled[k])
    sign = -1.0 if direction == "max" else 1.0

    def place(row: tuple[str, tuple[Cell | None, ...]]) -> tuple[object, ...]:
        cells = (row[1][k] for k in order)
        values = [None if cell is None else cell.best.best for cell in cells]
        return (*((value is None, sign * (value or 0.0)) for value in values), row[0])

    columns = tuple(_column(group, groups) for group in groups)
    return MatrixInfo(metric, direction, columns, tuple(sorted(rows, key=place)))


def _column(group: Group, groups: list[Group]) -> Column:
    alike = [each for each in groups if each.dataset == group.dataset]
    split = ", ".join(map(short, group.basis.splits))
    return Column(
        dataset=group.dataset,
        split=f"split {split}" if len(alike) > 1 and split else "",
        data=group.data,
        compare=group.compare,
        baseline=next((row.baseline for row in group.rows if row.baseline is not None), None),
    )


def _cell(group: Group, title: str) -> Cell | None:
    own = [row for row in group.rows if row.title == title]
    if not own:
        return None
    # Rows are best first.
    best = own[0]
    without = sum(row.best is None for row in own)
    remarks = [] if len(own) == 1 else [f"best of {plural(len(own), 'run')}"]
    if best.best is not None and without:
        remarks.append(f"{without} without result")
    if best.best is None:
        remarks.append(f"no result: {best.state}")
    elif not best.ended:
        remarks.append(best.state)
    return Cell(best, best.best is not None and best.best == group.rows[0].best, "; ".join(remarks))


def _cells(matrix: MatrixInfo) -> int:
    return sum(cell is not None for _, cells in matrix.rows for cell in cells)

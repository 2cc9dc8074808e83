"""The index over all runs, with the pages that it leads to: comparisons and data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from analysis.catalogue import COLUMNS, Group, Member, groups_of, members_of
from analysis.compare_page import write_comparison
from analysis.dataset_page import write_datasets
from analysis.figures import Figure, figure
from analysis.matrix import matrix_info
from analysis.naming import compared_in
from analysis.plots import comparison
from analysis.writing import write_page
from recsearch.run import RunView


def render_index(
    runs: Iterable[str | Path | RunView],
    out_dir: str | Path,
    unreadable: Mapping[str, str] | None = None,
) -> Path:
    """Write the index over ``runs``, and the pages that compare them and show their data sets.

    A page compares every group of two runs or more that can be compared.

    Args:
        runs: run folders, or runs that have been opened already.
        out_dir: the folder of all pages; runs that have a page there are linked.
        unreadable: name to what is wrong with it, of runs that cannot be opened.

    Returns:
        The path of the index.

    Raises:
        UsageError: one of the folders holds no run.
        RecsearchError: a run is damaged, or a page cannot be written.
    """
    views = [
        found if isinstance(found, RunView) else RunView.open(Path(found).resolve())
        for found in runs
    ]
    out = Path(out_dir)
    pages = {view.path.name for view in views if (out / view.path.name / "index.html").exists()}
    members = members_of(views)
    groups = groups_of(members, pages)
    _write_comparisons(groups, members, out)
    write_datasets(members, out, pages)
    figures = [_figure(group) for group in groups]
    context: dict[str, Any] = {
        "groups": list(zip(groups, figures, _notes(groups), strict=True)),
        "matrices": matrix_info(groups),
        "columns": COLUMNS,
        "runs": len(views),
        "unreadable": sorted((unreadable or {}).items()),
        "others": _others(out),
    }
    return write_page(out, "index.html", context, [each for each in figures if each is not None])


def _write_comparisons(groups: Iterable[Group], members: Iterable[Member], out: Path) -> None:
    by_name = {member.run.path.name: member for member in members}
    for group in groups:
        if group.compare:
            write_comparison([by_name[row.run] for row in group.rows], out, group.compare)


def _notes(groups: Iterable[Group]) -> list[tuple[str, ...]]:
    """Notes of each group that no group above it has."""
    seen: set[str] = set()
    found = []
    for group in groups:
        found.append(tuple(note for note in group.notes if note not in seen))
        seen.update(group.notes)
    return found


def _figure(group: Group) -> Figure | None:
    info = comparison.comparison_info(group)
    if info is None:
        return None
    # The folder of the page that compares them, so that more groups leave its name as it is.
    name = group.compare.split("/")[1]
    drawing = comparison.draw_comparison(info, name)
    return figure(name, drawing, comparison.caption(info), comparison.table(info))


def _others(out: Path) -> list[tuple[str, str]]:
    """Names and link of the comparisons of chosen runs."""
    folders = sorted(path.parent.name for path in out.glob("compare/*/index.html"))
    return [
        (names, f"compare/{folder}/index.html")
        for folder in folders
        if (names := compared_in(folder))
    ]

"""The index over all runs, grouped into searches that can be compared with one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from analysis.comparable import Basis, basis_of, best_first
from analysis.formatting import ABSENT, count, day, duration, metric, signed, size
from analysis.naming import dataset_folder, group_folder
from analysis.overview import Overview, overview_info
from analysis.results import checkpoints_info
from analysis.values import dig
from recsearch.identity import short
from recsearch.run import RunView


class Cell(NamedTuple):
    """A cell of the table, and what it is sorted by; None where there is nothing."""

    text: str
    key: float | str | None


class RunRow(NamedTuple):
    """One run.

    Attributes:
        link: its page, relative to the index; "" where it has none yet.
        state: how its last command ended, in words.
        ended: whether that is a search come to its end.
        cells: what `COLUMNS` have.
    """

    run: str
    link: str
    title: str
    model: str
    state: str
    ended: bool
    best: float | None
    default: float | None
    baseline: float | None
    gain: float | None
    cells: tuple[Cell, ...]


class Group(NamedTuple):
    """Runs with the same split and objective, best first; only these are comparable.

    Attributes:
        basis: what they share.
        compare: the page that compares them, relative to the index; "" for a single run.
        data: the page of the data set.
    """

    heading: str
    split: str
    basis: Basis
    dataset: str
    compare: str
    data: str
    notes: tuple[str, ...]
    metric: str
    direction: str
    rows: tuple[RunRow, ...]


COLUMNS = ("best", "gain over baseline", "gain over default", "trials", "pruned", "errors",
           "epochs", "from the store", "time at work", "CPU time", "written",
           "last epoch")  # fmt: skip

_ENDS = {0: "finished", 5: "finished, some trials erred", 130: "interrupted"}
"""Exit code of a search to what it means."""


class Member(NamedTuple):
    """A run with the head of its page."""

    run: RunView
    info: Overview


def members_of(runs: list[RunView]) -> tuple[Member, ...]:
    """Runs with what the index says of them."""
    return tuple(Member(run, overview_info(run)) for run in runs)


def catalogue_info(runs: list[RunView], pages: set[str]) -> tuple[Group, ...]:
    """Group ``runs``; ``pages`` are the names of the runs that have a page."""
    return groups_of(members_of(runs), pages)


def groups_of(members: tuple[Member, ...], pages: set[str]) -> tuple[Group, ...]:
    """`catalogue_info` of runs whose heads are at hand."""
    found: dict[Basis, list[Member]] = {}
    for member in sorted(members, key=lambda member: member.run.path.name):
        found.setdefault(basis_of(member.run), []).append(member)
    links = dataset_links([member.run for member in members])
    groups = [_group(basis, own, pages, links) for basis, own in found.items()]
    return tuple(sorted(groups, key=lambda group: (group.heading, group.basis)))


def run_state(run: RunView) -> tuple[str, bool]:
    """How the last command on a run ended, and whether the search has come to its end."""
    if not run.sessions:
        return "not started", False
    last = run.sessions[-1]
    code = last.get("exit_code")
    if code is None:
        return "going on, or killed", False
    return _ENDS.get(code, f"failed (exit {code})"), code in (0, 5)


def dataset_links(runs: Iterable[RunView]) -> dict[str, str]:
    """The page of each data set by its id, relative to the index.

    One that runs have under several names, as of two files of equal content, is called by the
    first of these.
    """
    names: dict[str, set[str]] = {}
    for run in runs:
        dataset = dig(run.identity, "dataset", default={})
        if dataset.get("dataset_id"):
            called = str(dataset.get("name", "data"))
            names.setdefault(str(dataset["dataset_id"]), set()).add(called)
    return {
        full: f"data/{dataset_folder(min(found), full)}/index.html" for full, found in names.items()
    }


def compare_link(basis: Basis, runs: Iterable[RunView]) -> str:
    """The page that compares ``runs``, all there are of one basis, relative to the index."""
    name = min(str(dig(run.identity, "dataset", "name", default="data")) for run in runs)
    return f"compare/{group_folder(name, basis.objective, basis.words)}/index.html"


def _group(basis: Basis, members: list[Member], pages: set[str], links: Mapping[str, str]) -> Group:
    by_name = {member.run.path.name: member for member in members}
    ordered = [by_name[run.path.name] for run in best_first([m.run for m in members])]
    run, info = members[0]
    split = short(basis.splits[0]) if basis.splits else ""
    return Group(
        heading=f"{info.dataset}: {basis.objective}, {info.direction}",
        split=f"{info.split} (split {split})" if split else info.split,
        basis=basis,
        dataset=info.dataset,
        compare=compare_link(basis, [m.run for m in members]) if len(members) > 1 else "",
        data=links.get(basis.dataset, ""),
        notes=tuple(dict.fromkeys(note for m in members for note in m.info.notes)),
        metric=basis.objective,
        direction=run.objective.direction,
        rows=tuple(_row(member, pages) for member in ordered),
    )


def _row(member: Member, pages: set[str]) -> RunRow:
    run, info = member
    best = info.best.value if info.best else None
    gained = info.baseline.gain if info.baseline else None
    state, ended = run_state(run)
    return RunRow(
        run=info.run,
        link=f"{info.run}/index.html" if info.run in pages else "",
        title=info.title,
        model=info.model,
        state=state,
        ended=ended,
        best=best,
        default=info.default.value if info.default else None,
        baseline=info.baseline.value if info.baseline else None,
        gain=gained,
        cells=_cells(member, best, gained),
    )


def _cells(member: Member, best: float | None, gained: float | None) -> tuple[Cell, ...]:
    """What `COLUMNS` have."""
    run, info = member
    spent, trials = checkpoints_info(run), sum(info.states.values())
    over_default = info.default.gain if info.default else None
    pruned, errors = info.states.get("pruned", 0), info.states.get("error", 0)
    cpu = spent.train_s + spent.eval_s + spent.save_s
    last = max((row.time for trial in run.trials for row in trial.epochs), default=None)
    return (
        Cell(metric(best), best),
        Cell(signed(gained), gained),
        Cell(signed(over_default), over_default),
        Cell(f"{count(trials)}/{count(info.planned)}", trials),
        Cell(count(pruned), pruned),
        Cell(count(errors), errors),
        Cell(count(info.epochs), info.epochs),
        Cell(count(info.cached_epochs), info.cached_epochs),
        Cell(duration(info.seconds) if info.commands else ABSENT, info.seconds),
        Cell(duration(cpu), cpu),
        Cell(size(spent.stored), spent.stored),
        Cell(day(last)[:10], last),
    )

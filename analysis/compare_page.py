"""The page that compares runs: what is fair to compare, side by side with its tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.catalogue import Member, members_of
from analysis.comparable import Peers, basis_of, peers, same_users, why_not
from analysis.figures import Figure, figure
from analysis.formatting import plural
from analysis.naming import compare_folder
from analysis.overview import dataset_notes, run_notes
from analysis.paired import PairedInfo, PairsInfo, pairs_info
from analysis.plots import distributions, forest, races
from analysis.side_by_side import metrics_info, metrics_table, models_info, run_facts
from analysis.writing import write_page
from recsearch.errors import UsageError
from recsearch.run import RunView


class PeersView(NamedTuple):
    """Runs that share their objective, with the figures of them."""

    heading: str
    apart: str
    runs: tuple[str, ...]
    figures: tuple[Figure, ...]


class PairsView(NamedTuple):
    """Tests among runs that share their users; the figures are in the order of ``pairs.stored``.

    ``folds`` is the number of validation folds, of which tests see the first.
    """

    runs: tuple[str, ...]
    folds: int
    pairs: PairsInfo
    figures: tuple[Figure | None, ...]


def render_comparison(runs: Iterable[str | Path], out_dir: str | Path) -> Path:
    """Write the page that compares ``runs`` (run folders), whichever comes first.

    Returns:
        The path of the page, ``compare/<names>/index.html`` below ``out_dir``.

    Raises:
        UsageError: fewer than two runs, or a folder that holds none.
        RecsearchError: a run is damaged, or the page cannot be written.
    """
    folders = list(dict.fromkeys(Path(path).resolve() for path in runs))
    if len(folders) < 2:
        raise UsageError(
            "a page of a comparison needs two runs at least.",
            hint="See what runs there are: recsearch status",
        )
    views = [RunView.open(path) for path in sorted(folders, key=lambda path: path.name)]
    names = [view.path.name for view in views]
    if len(set(names)) < len(names):
        raise UsageError("two of these run folders have one name, and pages name runs by folder.")
    return write_comparison(
        members_of(views), Path(out_dir), f"compare/{compare_folder(names)}/index.html"
    )


def write_comparison(members: Sequence[Member], out: Path, link: str) -> Path:
    """Write the page of the runs of ``members`` to ``link``, a path below ``out``."""
    heads = {member.run.path.name: member for member in members}
    groups = peers([member.run for member in members])
    ordered = [run for group in groups for run in group.runs]
    shown = [
        _peers_view(group, heads[group.runs[0].path.name], f"-{at}" if len(groups) > 1 else "")
        for at, group in enumerate(groups, start=1)
    ]
    tests = [_tests_view(own, at) for at, own in enumerate(_paired_sets(ordered), start=1)]
    metrics = metrics_info(ordered)
    context: dict[str, Any] = {
        "title": _title([heads[run.path.name] for run in ordered], groups),
        "facts": [
            run_facts(heads[run.path.name], (out / run.path.name / "index.html").exists())
            for run in ordered
        ],
        "groups": shown,
        "fairness": _fairness(groups, same_users(ordered)),
        "metrics": metrics,
        "objectives": {run.objective.name for run in ordered},
        "models": models_info(ordered),
        "tests": tests,
        "no_tests": _no_tests(ordered),
        "notes": _notes(ordered),
    }
    figures = [each for view in shown for each in view.figures]
    figures += [each for view in tests for each in view.figures if each is not None]
    extra = {} if metrics is None else {"data/metrics.csv": metrics_table(metrics)}
    extra |= {
        f"data/{_tests_name(at, stored)}.csv": stored.table
        for at, view in enumerate(tests, start=1)
        for stored in view.pairs.stored
    }
    return write_page((out / link).parent, "compare.html", context, figures, extra)


def _peers_view(group: Peers, first: Member, suffix: str) -> PeersView:
    names = tuple(each.path.name for each in group.runs)
    figures = []
    spread = distributions.distributions_info(group.runs)
    if spread is not None:
        name = f"distributions{suffix}"
        drawing = distributions.draw_distributions(spread, name)
        figures.append(figure(name, drawing, distributions.caption(spread),
                              distributions.table(spread)))  # fmt: skip
    race = races.races_info(group.runs)
    if race is not None:
        name = f"progress{suffix}"
        figures.append(figure(name, races.draw_races(race, name), races.caption(race),
                              races.table(race)))  # fmt: skip
    info = first.info
    heading = f"{info.objective}, {info.direction}, on {info.dataset}"
    return PeersView(heading, group.apart, names, tuple(figures))


def _notes(runs: Sequence[RunView]) -> tuple[str, ...]:
    """What must be known about the data, and what runs noted, with their names."""
    found = [note for run in runs for note in dataset_notes(run.identity)]
    found += [f"{run.path.name}: {note}" for run in runs for note in run_notes(run)]
    return tuple(dict.fromkeys(found))


def _paired_sets(runs: Sequence[RunView]) -> list[tuple[RunView, ...]]:
    """Runs that share their users and have a result, whatever they were searched by."""
    found: dict[tuple[str, tuple[str, ...]], list[RunView]] = {}
    for run in runs:
        basis = basis_of(run)
        if run.best() is not None and basis.splits:
            found.setdefault((basis.dataset, basis.splits), []).append(run)
    return [tuple(own) for own in found.values() if len(own) > 1]


def _tests_view(runs: tuple[RunView, ...], at: int) -> PairsView:
    pairs = pairs_info(runs)
    figures: list[Figure | None] = []
    for stored in pairs.stored:
        if stored.forest is None:
            figures.append(None)
            continue
        name = f"differences-{_tests_name(at, stored)}"
        info = stored.forest
        drawing = forest.draw_forest(info, name)
        figures.append(figure(name, drawing, forest.caption(info), forest.table(info)))
    names = tuple(run.path.name for run in runs)
    return PairsView(names, len(basis_of(runs[0]).splits), pairs, tuple(figures))


def _tests_name(at: int, stored: PairedInfo) -> str:
    return f"tests-{at}-{stored.name}"


def _title(members: Sequence[Member], groups: Sequence[Peers]) -> str:
    n, info = len(members), members[0].info
    if len(groups) == 1:
        return f"{plural(n, 'run')} by {info.objective} on {info.dataset}"
    names = [member.info.run for member in members]
    return f"{', '.join(names[:-1])} and {names[-1]}" if n <= 3 else plural(n, "run")


def _fairness(groups: Sequence[Peers], paired: bool) -> tuple[str, ...]:
    """Whether the runs can be compared, in sentences."""
    first = groups[0]
    if len(groups) == 1:
        return (
            f"{_all(len(first.runs))} runs were searched by {first.basis.objective} on the same "
            "split, so their values can be compared.",
        )
    sentences = ["Not all of these runs can be compared by their objectives:"]
    names = ", ".join(run.path.name for run in first.runs)
    for group in groups[1:]:
        others = ", ".join(run.path.name for run in group.runs)
        sentences.append(f"{others} against {names}: {group.apart}.")
    if paired:
        sentences.append(
            "All were measured on the same users, so the metrics that they have in common can be "
            "compared, keeping in mind that each is the best by its own objective."
        )
    else:
        sentences.append(
            "What cannot be compared stands side by side, without tests and without a best."
        )
    return tuple(sentences)


def _all(runs: int) -> str:
    return "Both" if runs == 2 else f"All {runs}"


def _no_tests(runs: Sequence[RunView]) -> str:
    """Why no two runs of the page can be tested, "" if some can."""
    if _paired_sets(runs):
        return ""
    with_result = [run for run in runs if run.best() is not None]
    if len(with_result) < 2:
        return "Tests need two runs with a result."
    first, *others = with_result
    reason = next((text for run in others if (text := why_not(first, run))), "unknown splits")
    return f"Users cannot be paired: {reason}."

"""Stored results of `recsearch compare` for a page: the tables, and whether they still hold."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import count, day, metric, number, probability, signed
from analysis.naming import labels
from analysis.plots.forest import ForestInfo, forest_info
from recsearch.comparison import Comparison
from recsearch.comparison_file import Stored, read_comparisons
from recsearch.evaluation import parse
from recsearch.run import RunView


class PairRow(NamedTuple):
    """One comparison as the page writes it. ``gain`` is positive where ``one`` is better."""

    pair: str
    metric: str
    users: str
    means: tuple[str, str]
    gain: str
    interval: str
    p_wilcoxon: str
    p_t: str
    effect: str
    seeds: str
    better: str


class PairedInfo(NamedTuple):
    """One stored comparison.

    Attributes:
        name: stem of its CSV file.
        title: what was compared.
        time: when it was measured.
        stale: what has changed since, "" where it holds; then it is not a current result.
        forest: the differences as a figure; None where nothing can be drawn.
        rows: the table.
        table: every number of it.
        command: what measures it again.
        seeded: whether seeds' own spread is known.
        kind: ``validation`` or ``test``.
    """

    name: str
    title: str
    time: str
    stale: str
    forest: ForestInfo | None
    rows: tuple[PairRow, ...]
    table: Table
    command: str
    seeded: bool
    kind: str


class PairsInfo(NamedTuple):
    """Tests among runs that share their users.

    Attributes:
        stored: what was measured, of validation and of test parts, the most runs first.
        missing: the command that measures all of the runs; "" where that has been done, if only
            long ago.
    """

    stored: tuple[PairedInfo, ...]
    missing: str


def pairs_info(runs: Sequence[RunView]) -> PairsInfo:
    """Stored comparisons among ``runs`` that can be paired and have a result.

    Of each kind the one of all runs is shown alone, if it holds; else every one of a part of them,
    too.
    """
    views = {run.path.name: run for run in runs}
    found = [
        stored
        for run in runs
        for stored in read_comparisons(run.path)
        if len(stored.runs) > 1 and stored.matches(views)
    ]
    shown: list[PairedInfo] = []
    complete = False
    for kind in ("validation", "test"):
        own = [stored for stored in found if stored.kind == kind]
        own.sort(key=lambda stored: (-len(stored.runs), sorted(stored.runs)))
        whole = own[:1] if own and len(own[0].runs) == len(runs) else []
        holds = bool(whole) and not whole[0].outdated(views)
        complete = complete or (kind == "validation" and bool(whole))
        shown += [_paired(stored, views) for stored in (whole if holds else own)]
    return PairsInfo(tuple(shown), "" if complete else command(list(views), "validation"))


def command(folders: Sequence[str], kind: str) -> str:
    """What measures a comparison of these run folders."""
    words = ["recsearch", "compare", *(f"runs/{name}" for name in folders)]
    return shlex.join(words + (["--test"] if kind == "test" else []))


def _paired(stored: Stored, views: dict[str, RunView]) -> PairedInfo:
    outdated = stored.outdated(views)
    folders = list(stored.runs)
    called = {run["name"]: folder for folder, run in stored.runs.items()}
    short = dict(zip(called, labels(list(called.values())), strict=True))
    part = "the test parts" if stored.kind == "test" else "the validation part"
    return PairedInfo(
        name=stored.path.stem,
        title=f"{', '.join(folders)} on {part}",
        time=day(stored.time),
        stale=_stale(stored, outdated, views),
        forest=None if outdated else forest_info(
            stored.rows, views[folders[0]].objective.name, short),
        rows=tuple(_row(row, short) for row in stored.rows),
        table=_table(stored.rows),
        command=command(folders, stored.kind),
        seeded=any(row.seed_noise is not None for row in stored.rows),
        kind=stored.kind,
    )  # fmt: skip


def _stale(stored: Stored, outdated: list[str], views: dict[str, RunView]) -> str:
    if not outdated:
        return ""
    if stored.kind == "test":
        return f"The test results of {', '.join(outdated)} are other ones now."
    sentences = []
    for name in outdated:
        then, best = stored.runs[name], views[name].best()
        new = "none" if best is None else f"trial {best[0].number}, epoch {best[1].epoch}"
        old = f"trial {then.get('trial', '?')}, epoch {then.get('epoch', '?')}"
        sentences.append(f"The best of {name} was {old} then, and is {new} now.")
    return " ".join(sentences)


def _row(row: Comparison, short: dict[str, str]) -> PairRow:
    sign = 1.0 if parse(row.metric).direction == "max" else -1.0
    low, high = sorted((sign * row.low, sign * row.high))
    return PairRow(
        pair=f"{short[row.one]} over {short[row.other]}",
        metric=row.metric,
        users=count(row.users),
        means=(metric(row.mean_one), metric(row.mean_other)),
        gain=signed(sign * row.difference + 0.0),
        interval=f"{signed(low + 0.0)} to {signed(high + 0.0)}",
        p_wilcoxon=probability(row.p_wilcoxon_holm),
        p_t=probability(row.p_t_holm),
        effect=signed(sign * row.cohens_d + 0.0, 2),
        seeds="" if row.seed_noise is None else f"± {number(row.seed_noise, 2)}",
        better="equal" if row.better is None else short[row.better],
    )


def _table(rows: Sequence[Comparison]) -> Table:
    names = tuple(Comparison.__dataclass_fields__)
    return Table(names, tuple(tuple(getattr(row, name) for name in names) for row in rows))

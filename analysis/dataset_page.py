"""The page of a data set: what is in it, how it is split, and the runs on it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.catalogue import Member, compare_link, dataset_links
from analysis.comparable import Basis, basis_of, best_first
from analysis.figures import Figure, figure
from analysis.formatting import ABSENT, count, number, percent, value_text
from analysis.overview import dataset_notes
from analysis.plots import lorenz, ranks, ratings
from analysis.profiles import Concentration, Profile, Unknown, read_profile
from analysis.reproduce import official_words
from analysis.side_by_side import RunFacts, run_facts
from analysis.values import dig
from analysis.writing import write_page
from recsearch.run import RunView

_COUNTS = ("eval_users", "heldout_ratings", "train_ratings", "left_out_ratings")


class SplitRow(NamedTuple):
    """One part of one split; cells are users, held out, training, left out, unknown items."""

    split_id: str
    method: str
    part: str
    cells: tuple[str, ...]


class DatasetInfo(NamedTuple):
    """One data set.

    Attributes:
        facts: label, value and remark of its key figures.
        origin: label and value of where it came from, and its ids.
        spread: how ratings are spread over users and items.
        profile: what is in it; None where no run has recorded it.
        splits: the parts that runs have used.
        runs: what each run is, and the page that compares it, relative to this one.
        command: what records the profile.
    """

    title: str
    name: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str, str], ...]
    origin: tuple[tuple[str, str], ...]
    spread: tuple[tuple[str, Concentration], ...]
    profile: Profile | None
    splits: tuple[SplitRow, ...]
    runs: tuple[tuple[RunFacts, str], ...]
    command: str


def write_datasets(members: Sequence[Member], out: Path, pages: set[str]) -> list[Path]:
    """Write a page for every data set of ``members``; their paths.

    Args:
        members: all runs.
        out: the folder of all pages.
        pages: names of the runs that have one.
    """
    links = dataset_links([member.run for member in members])
    found: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda member: member.run.path.name):
        link = links.get(basis_of(member.run).dataset, "")
        if link:
            found.setdefault(link, []).append(member)
    return [_write(own, out, link, pages) for link, own in sorted(found.items())]


def dataset_info(members: Sequence[Member], pages: set[str]) -> DatasetInfo:
    """What is known of the data set that all ``members`` share."""
    runs = [member.run for member in members]
    profiles = {run.path.name: read_profile(run) for run in runs}
    profile = next((found for found in profiles.values() if found is not None), None)
    unknown: dict[str, Unknown] = {}
    for found in profiles.values():
        unknown |= {} if found is None else found.unknown
    recorded = dig(runs[0].identity, "dataset", default={})
    notes = dict.fromkeys(note for run in runs for note in dataset_notes(run.identity))
    return DatasetInfo(
        title=str(recorded.get("title") or recorded.get("name", "data set")),
        name=str(recorded.get("name", "")),
        notes=tuple(notes),
        facts=_facts(recorded, profile),
        origin=_origin(recorded),
        spread=() if profile is None else (("items", profile.items), ("users", profile.users)),
        profile=profile,
        splits=_splits(runs, unknown),
        runs=_lines(members, pages),
        command=shlex.join(["recsearch", "data", "profile", f"runs/{runs[0].path.name}"]),
    )


def figures_of(profile: Profile) -> list[Figure]:
    """Popularity, activity, concentration and ratings."""
    found = []
    for noun, own in (("item", profile.items), ("user", profile.users)):
        info = ranks.ranks_info(noun, own)
        name = {"item": "popularity", "user": "activity"}[noun]
        drawing = ranks.draw_ranks(info)
        found.append(figure(name, drawing, ranks.caption(info), ranks.table(info)))
    curve = lorenz.lorenz_info(profile)
    found.append(figure("lorenz", lorenz.draw_lorenz(curve), lorenz.caption(curve),
                        lorenz.table(curve)))  # fmt: skip
    given = ratings.ratings_info(profile)
    if given is not None:
        found.append(figure("ratings", ratings.draw_ratings(given), ratings.caption(given),
                            ratings.table(given)))  # fmt: skip
    return found


def _write(members: list[Member], out: Path, link: str, pages: set[str]) -> Path:
    info = dataset_info(members, pages)
    figures = [] if info.profile is None else figures_of(info.profile)
    context: dict[str, Any] = {"info": info, "figures": figures}
    return write_page((out / link).parent, "dataset.html", context, figures)


def _facts(
    recorded: Mapping[str, Any], profile: Profile | None
) -> tuple[tuple[str, str, str], ...]:
    sizes = {name: recorded.get(name) for name in ("users", "items", "ratings")}
    found = [
        (name, count(many) if isinstance(many, int) else ABSENT, "") for name, many in sizes.items()
    ]
    users, items, many = (value if isinstance(value, int) else 0 for value in sizes.values())
    if users > 0 and items > 0 and many > 0:
        each = f"{number(many / users, 3)} ratings per user, {number(many / items, 3)} per item"
        found.append(("density", percent(many / (users * items)), each))
    if profile is not None:
        never = profile.n_items - profile.items.number
        found[1] = ("items", count(profile.n_items), f"{count(never)} never rated" if never else "")
        if profile.first is not None and profile.last is not None:
            first, last = profile.first[:10], profile.last[:10]
            found.append(("time span", f"{first[:4]} to {last[:4]}" if first[:4] != last[:4]
                          else first[:4], f"{first} to {last}"))  # fmt: skip
    return tuple(found)


def _origin(recorded: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = [
        ("name", recorded.get("name")),
        ("from", f"{recorded.get('origin') or 'unknown'} ({official_words(recorded)})"),
        ("SHA-256 of the file", recorded.get("sha256")),
        ("data set id", recorded.get("dataset_id")),
    ]
    for key, label in (("reading", "read as"), ("prepare", "prepared by")):
        if recorded.get(key):
            found.append((label, value_text(recorded[key])))
    return tuple((label, str(value)) for label, value in found if value)


def _splits(runs: Sequence[RunView], unknown: Mapping[str, Unknown]) -> tuple[SplitRow, ...]:
    rows: dict[tuple[str, str], SplitRow] = {}
    for run in runs:
        split = dig(run.identity, "split", default={})
        method = _method(split)
        ids = list(basis_of(run).splits)
        for part, split_id in enumerate(ids, start=int(split.get("part", 0))):
            sizes = [split.get(name) for name in _COUNTS] if split_id == ids[0] else [None] * 4
            row = SplitRow(split_id, method, str(part), _cells(sizes, unknown.get(split_id)))
            key = (method, split_id)
            if key not in rows or row.cells.count(ABSENT) < rows[key].cells.count(ABSENT):
                rows[key] = row
    return tuple(rows[key] for key in sorted(rows))


def _cells(sizes: list[Any], unknown: Unknown | None) -> tuple[str, ...]:
    users, held, train, left = sizes
    if unknown is not None and held is None:
        held = unknown.heldout_ratings
    cells = [count(each) if isinstance(each, int) else ABSENT for each in (users, held, train)]
    cells.append(count(left) if isinstance(left, int) else "0" if users is not None else ABSENT)
    if unknown is None:
        return (*cells, ABSENT)
    share = unknown.unknown_ratings / unknown.heldout_ratings if unknown.heldout_ratings else 0.0
    text = f"{count(unknown.unknown_items)} of {count(unknown.heldout_items)} items"
    return (*cells, f"{text}, {percent(share)} of the ratings")


def _method(split: Mapping[str, Any]) -> str:
    skipped = {"split_id", "part", "method", *_COUNTS}
    words = [
        f"{key} {value if isinstance(value, int) else value_text(value)}"
        for key, value in split.items()
        if key not in skipped
    ]
    return ", ".join([str(split.get("method", "unknown")), *words])


def _lines(members: Sequence[Member], pages: set[str]) -> tuple[tuple[RunFacts, str], ...]:
    heads = {member.run.path.name: member for member in members}
    groups: dict[Basis, list[RunView]] = {}
    for member in members:
        groups.setdefault(basis_of(member.run), []).append(member.run)
    found = []
    for basis in sorted(groups, key=lambda basis: (basis.objective, basis.splits)):
        own = groups[basis]
        compare = f"../../{compare_link(basis, own)}" if len(own) > 1 else ""
        found += [
            (run_facts(heads[run.path.name], run.path.name in pages), compare)
            for run in best_first(own)
        ]
    return tuple(found)

"""``recsearch data``: which data sets there are, what is in them, their splits, fetching them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.data_lines import lines, official
from recsearch.cli.data_options import data_section, reading_options, split_option
from recsearch.cli.options import json_option, run_path
from recsearch.cli.output import print_json, print_table
from recsearch.errors import DataError

if TYPE_CHECKING:
    from recsearch.data import Ratings, SplitSpec
    from recsearch.data.catalogue import Entry


@click.group()
def data() -> None:
    """List, show, split and fetch data sets."""


@data.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the data sets known by name and where each was found.

    Your own files need no entry: csv:PATH or parquet:PATH, and amazon:PATH or steam:PATH for files
    of those publishers.
    """
    from recsearch.data import DATASETS

    rows = [_list_row(entry) for entry in DATASETS.values()]
    if as_json:
        print_json(rows)
        return
    shown = [
        (
            row["name"],
            row["title"],
            *("" if row[key] is None else f"{row[key]:,}" for key in ("users", "items", "ratings")),
            official(row),
            row["path"] or row["state"],
        )
        for row in rows
    ]
    print_table(("name", "title", "users", "items", "ratings", "official", "found"), shown)


@data.command()
@click.argument("name")
@reading_options
@split_option
@json_option
def show(
    name: str,
    read: tuple[str, ...],
    prepare: tuple[str, ...],
    split: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what is in a data set: NAME, demo[:SIZE], csv:PATH, parquet:PATH, and so on."""
    ratings, spec = _asked(name, read, prepare, split)
    facts = _facts(ratings, spec)
    if as_json:
        print_json(facts)
        return
    for line in lines(facts):
        click.echo(line)


@data.command("split")
@click.argument("name")
@reading_options
@split_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the ratings of every part there, as Parquet, with their digests.",
)
@json_option
def split_(
    name: str,
    read: tuple[str, ...],
    prepare: tuple[str, ...],
    split: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> int:
    """Split a data set as a search would, and count what every part holds.

    A search validates on part 0 (with --folds K on parts 0 to K-1); the others are for testing.
    """
    from recsearch.data.parts import each_part, measure_part, write_facts, write_part

    ratings, spec = _asked(name, read, prepare, split)
    parts, notes = [], list(ratings.source.notes)
    for each in each_part(ratings, spec):
        files = {} if out is None else {"files": write_part(each, out)}
        parts.append(measure_part(each) | files)
        notes += [note for note in each.source.notes if note not in notes]
    facts = {
        "name": ratings.source.name,
        "title": ratings.source.title,
        "dataset_id": ratings.dataset_id,
        **spec.table(),
        "parts": parts,
        "notes": notes,
    }
    if out is not None:
        write_facts(facts, out)
    if as_json:
        print_json(facts)
    else:
        _print_split(facts, spec, out)
    return 1 if any(part["overlap"] for part in parts) else 0


@data.command()
@click.argument("name")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Download a data set, unless it is here already, and check it."""
    from recsearch.data import load_dataset
    from recsearch.data.catalogue import find_entry
    from recsearch.data.fetch import ensure, locate

    entry = find_entry(name)
    path = None
    if entry.archive is not None:
        if locate(entry.archive) is None:
            click.echo(f"fetching {entry.archive.url}", err=True)
        path = ensure(entry).path
    ratings = load_dataset(entry.name)
    source = dataclasses.asdict(ratings.source)
    if as_json:
        print_json({**source, "path": None if path is None else str(path)})
        return
    click.echo(f"{entry.name}: {path or 'generated, nothing to fetch'} ({official(source)})")
    for note in ratings.source.notes:
        click.echo(f"note: {note}")


@data.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
def profile(runs: tuple[Path, ...]) -> None:
    """Record what is in the data set of RUNS, for the pages of recsearch report.

    A search does so when it begins; this is for runs of before. Prints the files written.
    """
    from recsearch.profiling import write_profile

    for run in runs:
        click.echo(str(write_profile(run_path(run))))


def _asked(
    name: str, reading: Sequence[str], steps: Sequence[str], split: Sequence[str]
) -> tuple[Ratings, SplitSpec]:
    """The ratings that the options make of a data set, and how they are to be split."""
    from recsearch.data import load_dataset

    section = data_section(reading, steps, split)
    ratings = load_dataset(
        name, allow_download=False, reading=section.reading(), steps=section.steps()
    )
    return ratings, section.split.spec()


def _print_split(facts: dict[str, Any], spec: SplitSpec, out: Path | None) -> None:
    from recsearch.identity import short

    click.echo(f"{facts['title']} · {spec} · data set {short(facts['dataset_id'])}")
    keys = ("eval_users", "heldout_ratings", "train_ratings", "left_out_ratings", "new_items")
    rows = [
        (
            str(part["part"]),
            part["role"],
            *(f"{part[key]:,}" for key in keys),
            str(part["overlap"]),
            short(part["split_id"]),
        )
        for part in facts["parts"]
    ]
    head = ("part", "for", "users", "held out", "training", "left out", "new items", "overlap")
    print_table((*head, "split id"), rows)
    for note in facts["notes"]:
        click.echo(f"note: {note}")
    if out is not None:
        click.echo(f"written to {out} with split.json")


def _list_row(entry: Entry) -> dict[str, Any]:
    from recsearch.data.fetch import locate

    row: dict[str, Any] = {
        "name": entry.name,
        "title": entry.title,
        "state": "generated",
        "path": None,
        "sha256": None,
        "official": None,
        "generated": entry.archive is None,
        "users": entry.shape.users,
        "items": entry.shape.items,
        "ratings": entry.shape.ratings,
        "url": None if entry.archive is None else entry.archive.url,
    }
    if entry.archive is None:
        return row
    found = locate(entry.archive)
    if found is None:
        return row | {"state": "absent"}
    return row | {
        "state": "present",
        "path": str(found.path),
        "sha256": found.sha256,
        "official": found.official(entry.archive),
    }


def _facts(ratings: Ratings, spec: SplitSpec) -> dict[str, Any]:
    import numpy as np

    from recsearch.data.profile import data_profile

    stars, counts = np.unique(ratings.values, return_counts=True)
    times, profile = ratings.times, data_profile(ratings)
    return {
        **dataclasses.asdict(ratings.source),
        "dataset_id": ratings.dataset_id,
        "users": ratings.n_users,
        "items": ratings.n_items,
        "rated_items": len(np.unique(ratings.items)),
        "ratings": len(ratings.values),
        "density": len(ratings.values) / (ratings.n_users * ratings.n_items),
        "histogram": {f"{star:g}": int(count) for star, count in zip(stars, counts, strict=True)},
        "first": None if times is None else str(times.min().astype("datetime64[s]")),
        "last": None if times is None else str(times.max().astype("datetime64[s]")),
        "profile": {"users": profile["users"], "items": profile["items"]},
        "splits": _splits(ratings, spec),
    }


def _splits(ratings: Ratings, spec: SplitSpec) -> dict[str, Any]:
    """A split: its parameters and the counts and id of each part, or why there is none."""
    from recsearch.data.parts import each_part, measure_part

    facts = spec.table() | {"text": str(spec)}
    try:
        parts = [measure_part(split) for split in each_part(ratings, spec)]
    except DataError as error:
        return facts | {"parts": [], "problem": error.message}
    return facts | {"parts": parts, "problem": None}

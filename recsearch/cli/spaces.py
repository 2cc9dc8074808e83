"""``recsearch spaces``: list, show and check search files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsearch.cli.options import json_option
from recsearch.cli.output import print_json, print_table
from recsearch.errors import SpecError, UsageError
from recsearch.printable import clean, clean_lines

if TYPE_CHECKING:
    from recsearch.spec import SearchSpec

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override any key of the file, such as space.embedding_size.max=64.",
)


ROW = ("title", "model", "metric", "direction", "data", "method", "trials", "parameters")
"""What a row of the list says of a file that can be read."""


@click.group()
def spaces() -> None:
    """List, show and check search files."""


@spaces.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the searches that can be named: those of ./searches, then the project's.

    Data says what a search needs: ratings, where its objective compares predicted ones with those
    given, or any interactions.
    """
    from recsearch.spec import available_searches

    rows = [_row(name, path) for name, path in available_searches().items()]
    if as_json:
        print_json(rows)
        return
    columns = (
        "name",
        "title",
        "metric",
        "direction",
        "data",
        "method",
        "trials",
        "parameters",
        "file",
    )
    print_table(columns, [[row[column] for column in columns] for row in rows])
    for row in rows:
        if row["error"]:
            click.echo(clean_lines(f"Error: {row['error']}"), err=True)


@spaces.command()
@click.argument("search")
@set_option
@json_option
def show(search: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show what SEARCH, a name or a TOML file, optimises and over which space."""
    spec = _load(search, settings)
    notes = [*spec.notes, *_warnings(spec)]
    if as_json:
        print_json({"source": spec.source, **spec.resolved(), "notes": notes})
        return
    wanted, stop = spec.search, spec.search.stop.model_dump()
    click.echo(f"{spec.title}  ({spec.source})")
    print_table(
        ("", ""),
        [
            ("model", spec.model.class_),
            *([("fixed", json.dumps(spec.model.config))] if spec.model.config else []),
            ("objective", ", ".join(f"{m.name} ({m.direction})" for m in spec.objectives)),
            (
                "method",
                f"{wanted.method}, {wanted.trials} trials of up to {wanted.max_epochs} epochs",
            ),
            ("scheduler", _with_options(wanted.scheduler, wanted.scheduler_options)),
            ("stop", _with_options(stop.pop("rule"), stop)),
            ("retention", wanted.retention),
            ("quota", wanted.quota),
        ],
        header=False,
    )
    if spec.space:
        click.echo()
        print_table(
            ("parameter", "type", "distribution", "range", "when"),
            [
                (name, domain.kind, domain.distribution, domain.range_text, domain.condition_text)
                for name, domain in spec.space.items()
            ],
        )
    _print_notes(notes)


@spaces.command()
@click.argument("file")
@set_option
@json_option
def check(file: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Check FILE, or a search by name, against its model; exit 2 if it cannot be used."""
    from recsearch.pruning import parse_scheduler
    from recsearch.spec import check_against_model

    spec = _load(file, settings)
    try:
        parse_scheduler(
            spec.search.scheduler, dict(spec.search.scheduler_options), spec.search.max_epochs
        )
    except SpecError as err:
        raise SpecError(f"{spec.source}: search.{err.message}", hint=err.hint) from None
    check_against_model(spec)
    notes = [*spec.notes, *_warnings(spec)]
    if as_json:
        print_json({"source": spec.source, "ok": True, "notes": notes})
        return
    count = len(spec.space)
    parameters = f"{count} parameter{'' if count == 1 else 's'}"
    click.echo(f"{spec.source}: ok: {parameters}, fits {spec.model.class_}")
    _print_notes(notes)


def _load(search: str, settings: Iterable[str]) -> SearchSpec:
    from recsearch.spec import load_search, parse_override

    return load_search(search, overrides=dict(parse_override(text) for text in settings))


def data_kind(spec: SearchSpec) -> str:
    """What a search needs of its data: ratings, if its objective compares them, or any pairs."""
    from recsearch.evaluation import parse

    return "ratings" if parse(spec.search.metric).kind == "rating" else "any"


def _row(name: str, path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "file": str(path), "error": None}
    try:
        spec = _load(str(path), ())
    except SpecError as err:
        empty = dict.fromkeys(ROW)
        return {**row, **empty, "error": err.message}
    return {
        **row,
        "title": spec.title,
        "model": spec.model.class_,
        "metric": spec.search.metric,
        "direction": spec.direction,
        "data": data_kind(spec),
        "method": spec.search.method,
        "trials": spec.search.trials,
        "parameters": len(spec.space),
    }


def _with_options(name: str, options: dict[str, Any]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f"{name} ({settings})" if settings else name


def _warnings(spec: SearchSpec) -> tuple[str, ...]:
    """What is known to be wrong with the model; nothing where the search does not fit it."""
    from recsearch.spec.warnings import search_warnings

    try:
        return search_warnings(spec)
    except UsageError:
        return ()


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(clean(f"note: {note}"), err=True)

"""What commands print on stdout: tables that keep every column when piped, and JSON."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from recsearch.printable import clean

PIPED_WIDTH = 1000


def say(text: str, *, err: bool = False) -> None:
    """Print a line of a command that has more to do than to print, or lose it.

    What reads the output may have gone, by the same Ctrl-C as it may be, or the disk be full.
    """
    with contextlib.suppress(OSError):
        click.echo(text, err=err)


def let_go() -> None:
    """Python is to end with the exit code of the command, whatever becomes of its output."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def print_json(content: Any) -> None:
    """Print JSON for people and programs; numbers that are not finite become null."""
    click.echo(json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False))


def json_line(content: Any) -> str:
    """JSON in one line; numbers that are not finite become null."""
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Print ``columns`` of each row; the prefix ``params.`` of a column is not shown."""
    names = list(columns)
    headers = [clean(name.removeprefix("params.")) for name in names]
    print_table(headers, [[row[name] for name in names] for row in rows])


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, header: bool = True
) -> None:
    """Print a table as wide as the terminal, or as needed in a pipe; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=header)
    for number, column in enumerate(columns):
        numeric = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    console = Console(markup=False, highlight=False)
    if sys.stdout.isatty():
        console.print(table)
        return
    wide = console.options.update(max_width=PIPED_WIDTH)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_markdown(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of the same keys as a Markdown table; bars in words are escaped."""
    if not rows:
        return
    names = list(rows[0])
    numeric = [any(isinstance(row[name], int | float) for row in rows) for name in names]
    click.echo(_markdown_line(clean(name.removeprefix("params.")) for name in names))
    click.echo(_markdown_line("---:" if right else "---" for right in numeric))
    for row in rows:
        click.echo(_markdown_line(cell(row[name]) for name in names))


def _markdown_line(cells: Iterable[str]) -> str:
    escaped = (" ".join(text.replace("|", "\\|").split()) for text in cells)
    return f"| {' | '.join(escaped)} |"


def cell(value: Any) -> str:
    """A value in a table: nothing for None, five digits of a float, words in one line."""
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else clean(str(value))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Templates, and files that readers see whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis import formatting
from analysis.exports import csv_text
from analysis.figures import Figure, Table
from recsearch.errors import RecsearchError

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and an undefined name is an error."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("number", "metric", "signed", "percent", "count", "plural", "size", "duration")
    made.filters.update({name: getattr(formatting, name) for name in names})
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made.globals["style"] = Markup(style)  # noqa: S704 - our own file
    made.globals["script"] = Markup(script)  # noqa: S704 - our own file
    # No other script runs on a page, whatever a run's texts contain.
    made.globals["script_hash"] = f"sha256-{digest}"
    return made


def write_page(
    folder: Path,
    template: str,
    context: Mapping[str, Any],
    figures: Iterable[Figure],
    tables: Mapping[str, Table] | None = None,
) -> Path:
    """Write ``index.html`` and the numbers of its figures as ``data/<name>.csv``; the page's path.

    Args:
        folder: where to.
        template: name of the template.
        context: what it is given.
        figures: all figures of the page.
        tables: further tables, by their path below ``folder``.

    Raises:
        RecsearchError: a file cannot be written.
    """
    page = environment().get_template(template).render(context)
    found = {f"data/{figure.name}.csv": figure.table for figure in figures} | dict(tables or {})
    for name, table in found.items():
        text = csv_text(list(table.columns), [list(row) for row in table.rows])
        write(folder / name, text)
    write(folder / "index.html", page)
    return folder / "index.html"


def write(path: Path, text: str) -> None:
    """Write a file; readers see the old or the new one, never a part of one.

    Raises:
        RecsearchError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as err:
        raise RecsearchError(
            f"{path}: cannot write the page: {err.strerror}.",
            hint="Choose a writable folder: recsearch report --out DIR",
        ) from err

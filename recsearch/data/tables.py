"""Your own ratings: a CSV or Parquet file with columns for user, item, rating and time."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsearch.data.assemble import Columns, assemble
from recsearch.data.cache import recall, remember
from recsearch.data.columns import ids_of, numbers_of, seconds_of_times
from recsearch.data.csvfile import csv_layout, csv_table, csv_where
from recsearch.data.fetch import file_sha256
from recsearch.data.reading import REQUIRED, Reading
from recsearch.data.types import Ratings, Source
from recsearch.data.validate import Where
from recsearch.errors import DataError, DataNotFoundError, UsageError
from recsearch.identity import digest

if TYPE_CHECKING:
    import pyarrow as pa

READER_VERSION = 1
NAMES = {
    "user_id": ("user_id", "user", "userid", "uid"),
    "item_id": ("item_id", "item", "itemid", "iid", "movie_id", "movie", "movieid"),
    "rating": ("rating", "ratings", "score", "stars"),
    "timestamp": ("timestamp", "time", "date", "datetime", "ts"),
}
"""What each column may be called; capitals, spaces, dashes and underscores do not matter."""


def load_table(kind: str, name: str, reading: Reading | None = None) -> Ratings:
    """Ratings from ``csv:PATH`` or ``parquet:PATH``.

    Without a rating column every row counts as a rating of 1.

    Raises:
        UsageError: no path was given.
        DataNotFoundError: there is no such file.
        DataError: the file cannot be used; names the line (CSV) or row (Parquet).
    """
    reading = reading or Reading()
    path, source = own_file(kind, name, f"ratings of {Path(name).name}", reading)
    key = digest([kind, READER_VERSION, source.sha256, *filter(None, [reading.table()])])
    ratings = recall(key, source)
    if ratings is None:
        ratings = _read(path, kind, source, reading)
        remember(key, ratings)
    return ratings


def own_file(kind: str, name: str, title: str, reading: Reading) -> tuple[Path, Source]:
    """A file that the user named, and what is known about it before it is read.

    Raises:
        UsageError: no path was given.
        DataNotFoundError: there is no such file.
    """
    if not name:
        raise UsageError(f"{kind}: needs the path of a file, for example {kind}:ratings.{kind}")
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataNotFoundError(f"there is no file {path}", hint="recsearch data list")
    source = Source(
        name=f"{kind}:{name}",
        title=title,
        origin=path.name,
        sha256=file_sha256(path),
        official=None,
        generated=False,
        notes=reading.notes(),
    )
    return path, source


def _read(path: Path, kind: str, source: Source, reading: Reading) -> Ratings:
    where: Where
    if kind == "csv":
        layout = csv_layout(path, reading)
        names = _match(path, layout.names, reading)
        table, where = csv_table(path, layout, list(names.values())), csv_where(path, layout)
    else:
        table, names = _parquet_table(path, reading)
        where = lambda row: f"{path.name}, row {row + 1}"  # noqa: E731
    found = {column: table.column(name) for column, name in names.items()}
    users = ids_of(found["user_id"], names["user_id"], where)
    items = ids_of(found["item_id"], names["item_id"], where)
    values = np.ones(len(users))
    if "rating" in found:
        values = numbers_of(found["rating"], names["rating"], where)
    times = None
    if "timestamp" in found:
        times = seconds_of_times(found["timestamp"], names["timestamp"], where)
    columns = Columns(users, items, values, times)
    return assemble(source, columns, limits=None, where=where, duplicates=reading.duplicates)


def _parquet_table(path: Path, reading: Reading) -> tuple[pa.Table, dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = _match(path, file.schema_arrow.names, reading)
            return file.read(columns=list(names.values())), names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def _match(path: Path, names: list[str], reading: Reading) -> dict[str, str]:
    """Our names of columns to those of the file: those that were given, else the usual ones."""
    taken = {str(name) for name in reading.columns.values()}
    plain = {_plain(name): name for name in reversed(names) if name not in taken}
    found = {}
    for column, aliases in NAMES.items():
        given = reading.columns.get(column)
        if given is not None:
            found[column] = _given(path, names, column, given)
        elif not reading.by_number:
            known = [plain[_plain(alias)] for alias in aliases if _plain(alias) in plain]
            if known:
                found[column] = known[0]
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        raise DataError(
            f"{path} has no column {' and no column '.join(missing)}: it has "
            f"{', '.join(names) or 'no columns'}; expected user_id, item_id and, if there are "
            "any, rating and timestamp",
            hint=f"Say which they are: --read columns.{missing[0]}=NAME, or by number, from 1 on, "
            "where the file has no line of names.",
        )
    return found


def _given(path: Path, names: list[str], column: str, given: str | int) -> str:
    if str(given) in names:
        return str(given)
    near = _nearest(str(given), names)
    raise DataError(
        f"{path} has no column {given}, which data.columns.{column} names: it has "
        f"{', '.join(names) or 'no columns'}{near}"
    )


def _nearest(word: str, names: list[str]) -> str:
    """`` (did you mean X?)``, or nothing where nothing is near."""
    near = difflib.get_close_matches(word, names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())

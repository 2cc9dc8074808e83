"""Your own ratings: a CSV or Parquet file with columns for user, item, rating and time."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.data.assemble import Columns, assemble
from recsearch.data.cache import recall, remember
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
    users = _ids(found["user_id"], names["user_id"], where)
    items = _ids(found["item_id"], names["item_id"], where)
    values = np.ones(len(users))
    if "rating" in found:
        values = _numbers(found["rating"], names["rating"], where)
    times = None
    if "timestamp" in found:
        times = _seconds(found["timestamp"], names["timestamp"], where)
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


def _ids(column: Any, name: str, where: Where) -> np.ndarray:
    """Original ids: int64 if every one is a whole number written plainly, else text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _filled(column, name, where)
    if pa.types.is_integer(column.type):
        return _cast(column, pa.int64(), name, "a 64-bit whole number", where)
    if pa.types.is_floating(column.type):
        return _cast(column, pa.int64(), name, "a whole number or text", where)
    text = _text(column)
    try:
        numbers = text.cast(pa.int64())
    except pa.ArrowInvalid:
        numbers = None
    # "007" and "7" are two ids, so only numbers that are written as numbers become numbers.
    if numbers is not None and pc.all(pc.equal(numbers.cast(text.type), text)).as_py():
        return np.asarray(numbers.to_numpy())
    return np.asarray(text.to_numpy().astype(np.str_))


def _numbers(column: Any, name: str, where: Where) -> np.ndarray:
    """float64; NaN and infinity are left for validation, which all data sets share."""
    import pyarrow as pa

    return _cast(_filled(column, name, where), pa.float64(), name, "a number", where)


def _seconds(column: Any, name: str, where: Where) -> np.ndarray:
    """int64 seconds since 1970 (UTC) from whole numbers or from dates."""
    import pyarrow as pa

    column = _filled(column, name, where)
    if not _is_number(column.type) and not pa.types.is_temporal(column.type):
        column = _parsed(
            _text(column), (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
        )
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        moments = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)))
        return np.asarray(moments.to_numpy().astype("datetime64[s]").astype(np.int64))
    return _cast(column, pa.int64(), name, "whole seconds since 1970 or an ISO date", where)


def _parsed(text: Any, kinds: tuple[Any, ...]) -> Any:
    """The column as the first of ``kinds`` that fits all of it, or as it is."""
    import pyarrow as pa

    for kind in kinds:
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return text


def _filled(column: Any, name: str, where: Where) -> Any:
    """The column without dictionary encoding.

    Raises:
        DataError: a value is missing, or the values are neither numbers nor text nor dates.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise DataError(f"column {name} holds {column.type}, expected numbers, text or dates")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{where(row)}: {name} is missing ({column.null_count} such rows in all)")
    return column


def _cast(column: Any, to: Any, name: str, expected: str, where: Where) -> np.ndarray:
    """Convert, or name the first value that cannot be converted.

    Raises:
        DataError: a value does not fit.
    """
    import pyarrow as pa

    if not _is_number(column.type):
        column = _text(column)
    try:
        return np.asarray(column.cast(to).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = _first_bad(column, lambda part: part.cast(to))
        value = column[row].as_py()
        raise DataError(f"{where(row)}: {name} is {value!r}, expected {expected}") from error


def _first_bad(column: Any, convert: Callable[[Any], Any]) -> int:
    """The first value that ``convert`` refuses; it must refuse the column as a whole."""
    import pyarrow as pa

    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert(column.slice(good, middle - good))
            good = middle
        except pa.ArrowException:
            bad = middle
    return good


def _text(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(column.cast(pa.large_string()))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

"""Your own ratings: a CSV or Parquet file with columns for user, item, rating and time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsearch.data.assemble import Columns, assemble
from recsearch.data.cache import recall, remember
from recsearch.data.fetch import file_sha256
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

REQUIRED = ("user_id", "item_id")
SEPARATORS = (",", "\t", ";", "|")


def load_table(kind: str, name: str) -> Ratings:
    """Ratings from ``csv:PATH`` or ``parquet:PATH``.

    Without a rating column every row counts as a rating of 1.

    Raises:
        UsageError: no path was given.
        DataNotFoundError: there is no such file.
        DataError: the file cannot be used; names the line (CSV) or row (Parquet).
    """
    if not name:
        raise UsageError(f"{kind}: needs the path of a file, for example {kind}:ratings.{kind}")
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataNotFoundError(f"there is no file {path}", hint="recsearch data list")
    sha256 = file_sha256(path)
    source = Source(
        name=f"{kind}:{name}",
        title=f"ratings of {path.name}",
        origin=path.name,
        sha256=sha256,
        official=None,
        generated=False,
    )
    key = digest([kind, READER_VERSION, sha256])
    ratings = recall(key, source)
    if ratings is None:
        ratings = _read(path, kind, source)
        remember(key, ratings)
    return ratings


def _read(path: Path, kind: str, source: Source) -> Ratings:
    where = _csv_line(path) if kind == "csv" else lambda row: f"{path.name}, row {row + 1}"
    table = _csv_table(path) if kind == "csv" else _parquet_table(path)
    names = _match(path, table.column_names)
    found = {column: table.column(name) for column, name in names.items()}
    users = _ids(found["user_id"], names["user_id"], where)
    items = _ids(found["item_id"], names["item_id"], where)
    values = np.ones(len(users))
    if "rating" in found:
        values = _numbers(found["rating"], names["rating"], where)
    times = None
    if "timestamp" in found:
        times = _seconds(found["timestamp"], names["timestamp"], where)
    return assemble(source, Columns(users, items, values, times), limits=None, where=where)


def _csv_table(path: Path) -> pa.Table:
    """The needed columns as text: types are decided over whole columns, not by the first rows."""
    import pyarrow as pa
    import pyarrow.csv as pc

    names, separator = _csv_header(path)
    wanted = list(_match(path, names).values())
    try:
        return pc.read_csv(
            path,
            parse_options=pc.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pc.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.large_string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=["", "null", "NULL", "NA", "N/A"],
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error


def _csv_header(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    if not line.strip():
        raise DataError(f"{path} is empty: expected a line of column names, then ratings")
    separator = max(SEPARATORS, key=line.count)
    return next(csv.reader([line], delimiter=separator)), separator


def _csv_line(path: Path) -> Where:
    """Rows to line numbers, by reading the file again: only an error needs them."""

    def where(row: int) -> str:
        _, separator = _csv_header(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator)
            full = (reader.line_num for cells in reader if cells)
            line = next((line for i, line in enumerate(full) if i == row + 1), row + 2)
        return f"{path.name}, line {line}"

    return where


def _parquet_table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            wanted = list(_match(path, file.schema_arrow.names).values())
            return file.read(columns=wanted)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def _match(path: Path, names: list[str]) -> dict[str, str]:
    """Our names of columns to those of the file."""
    plain = {_plain(name): name for name in reversed(names)}
    found = {}
    for column, aliases in NAMES.items():
        known = [plain[_plain(alias)] for alias in aliases if _plain(alias) in plain]
        if known:
            found[column] = known[0]
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        raise DataError(
            f"{path} has no column {' and no column '.join(missing)}: it has "
            f"{', '.join(names) or 'no columns'}; expected user_id, item_id and, if there are "
            "any, rating and timestamp"
        )
    return found


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

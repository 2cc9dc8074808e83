"""CSV files as tables of text: header or none, one-character delimiters or longer ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsearch.data.reading import Reading
from recsearch.data.validate import Where
from recsearch.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = (",", "\t", ";", "|")
NULLS = ("", "null", "NULL", "NA", "N/A")


@dataclass(frozen=True)
class Layout:
    """How a CSV file is laid out.

    Attributes:
        names: Names of its columns; without a line of names their numbers, ``1``, ``2``, …
        delimiter: What separates them.
        header: Lines before the first rating: 1 or 0.
    """

    names: list[str]
    delimiter: str
    header: int


def csv_layout(path: Path, reading: Reading) -> Layout:
    """The layout that the first line shows.

    Raises:
        DataError: the file is empty or no UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    if not line.strip():
        raise DataError(f"{path} is empty: expected a line of column names, then ratings")
    delimiter = reading.delimiter or max(SEPARATORS, key=line.count)
    cells = _cells(line, delimiter)
    if reading.by_number:
        return Layout([str(number + 1) for number in range(len(cells))], delimiter, 0)
    return Layout(cells, delimiter, 1)


def csv_table(path: Path, layout: Layout, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as text: types are decided over whole columns, not by the first rows.

    Raises:
        DataError: a line has more or fewer columns than the first, or is no UTF-8 text.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    if not _is_plain(layout.delimiter):
        return _table_of_lines(path, layout, wanted)
    try:
        return pc.read_csv(
            path,
            read_options=pc.ReadOptions(column_names=None if layout.header else layout.names),
            parse_options=pc.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
            convert_options=pc.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(wanted, pa.large_string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=list(NULLS),
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error


def csv_where(path: Path, layout: Layout) -> Where:
    """Rows to line numbers, by reading the file again: only an error needs them."""

    def where(row: int) -> str:
        # Of columns that are not read, bytes may be anything.
        full = (line for line, _ in _lines(path, layout.delimiter, errors="replace"))
        at = next((n for i, n in enumerate(full) if i == row + layout.header), None)
        return f"{path.name}, line {row + 1 + layout.header if at is None else at}"

    return where


def _table_of_lines(path: Path, layout: Layout, wanted: Sequence[str]) -> pa.Table:
    """Others read no CSV with long or foreign delimiters: lines are cut, quotes mean nothing."""
    import pyarrow as pa

    places = [layout.names.index(name) for name in wanted]
    columns: list[list[str | None]] = [[] for _ in places]
    try:
        for row, (line, cells) in enumerate(_lines(path, layout.delimiter)):
            if len(cells) != len(layout.names):
                raise DataError(
                    f"{path.name}, line {line}: {len(cells)} columns, expected "
                    f"{len(layout.names)} as in the first line (separated by {layout.delimiter!r})"
                )
            if row < layout.header:
                continue
            for column, place in zip(columns, places, strict=True):
                text = cells[place].strip()
                column.append(None if text in NULLS else text)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    arrays = [pa.array(column, pa.large_string()) for column in columns]
    return pa.table(dict(zip(wanted, arrays, strict=True)))


def _lines(path: Path, delimiter: str, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not empty."""
    with path.open(encoding="utf-8-sig", errors=errors, newline="") as file:
        if _is_plain(delimiter):
            reader = csv.reader(file, delimiter=delimiter)
            yield from ((reader.line_num, cells) for cells in reader if cells)
            return
        for number, line in enumerate(file, 1):
            text = line.rstrip("\r\n")
            if text:
                yield number, text.split(delimiter)


def _cells(line: str, delimiter: str) -> list[str]:
    if not _is_plain(delimiter):
        return [cell.strip() for cell in line.rstrip("\r\n").split(delimiter)]
    return next(csv.reader([line], delimiter=delimiter))


def _is_plain(delimiter: str) -> bool:
    """Whether CSV readers know such delimiters."""
    return len(delimiter) == 1 and delimiter.isascii()

"""Amazon ratings of Julian McAuley's group.

One CSV file, compressed or not, in the layout of 2014, 2018 or 2023, told apart as LensKit's
``load_amazon_ratings`` does. That refuses a file in which a user rated an item twice, as many of
them have it, without saying where, and infers the types of ids from the first rows. Here all
columns are read as text, and what is wrong is named by its line.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple, cast

from recsearch.data.assemble import Columns, assemble
from recsearch.data.cache import recall, remember
from recsearch.data.columns import ids_of, numbers_of, seconds_of_times
from recsearch.data.reading import Reading
from recsearch.data.tables import own_file
from recsearch.data.types import Ratings, Source
from recsearch.errors import DataError
from recsearch.identity import digest

READER_VERSION = 2
LIMITS = (1.0, 5.0)
OTHERS = ("rating", "timestamp")
HEADER_2023 = b"user_id,parent_asin,"


def load_amazon(name: str, reading: Reading) -> Ratings:
    """Ratings from ``amazon:PATH``.

    Raises:
        UsageError: no path was given.
        DataNotFoundError: there is no such file.
        DataError: the file cannot be used; names the line of a bad rating.
    """
    path, source = own_file("amazon", name, f"Amazon ratings of {Path(name).name}", reading)
    key = digest(["amazon", READER_VERSION, source.sha256, reading.table()])
    ratings = recall(key, source)
    if ratings is None:
        ratings = _read(path, source, reading)
        remember(key, ratings)
    return ratings


def _read(path: Path, source: Source, reading: Reading) -> Ratings:
    import pyarrow as pa
    import pyarrow.csv as pc
    from xopen import xopen

    try:
        with (
            xopen(path, "rb", threads=0) as unpacked,
            io.BufferedReader(cast(Any, unpacked)) as file,
        ):
            layout = _layout(file.peek(64))
            table = pc.read_csv(
                file,
                read_options=pc.ReadOptions(column_names=layout.names),
                convert_options=pc.ConvertOptions(
                    include_columns=[layout.user, layout.item, *OTHERS],
                    column_types=dict.fromkeys(
                        [layout.user, layout.item, *OTHERS], pa.large_string()
                    ),
                    strings_can_be_null=True,
                ),
            )
    except Exception as error:  # whatever hostile bytes make Arrow and the decompressors raise
        raise DataError(
            f"{path} cannot be read as Amazon ratings: {str(error) or type(error).__name__}"
        ) from error

    def where(row: int) -> str:
        return f"{path.name}, line {row + 1 + (layout.names is None)}"

    columns = Columns(
        users=ids_of(table.column(layout.user), "user_id", where),
        items=ids_of(table.column(layout.item), "item_id", where),
        values=numbers_of(table.column("rating"), "rating", where),
        times=seconds_of_times(table.column("timestamp"), "timestamp", where) // layout.ticks,
    )
    return assemble(source, columns, limits=LIMITS, where=where, duplicates=reading.duplicates)


class _Layout(NamedTuple):
    """The columns of a file.

    Attributes:
        names: of all columns, None where the first line has them.
        user, item: those of the ids.
        ticks: units of its times in a second.
    """

    names: list[str] | None
    user: str = "user_id"
    item: str = "item_id"
    ticks: int = 1


def _layout(begin: bytes) -> _Layout:
    """The layout of a file that begins so.

    The rule is LensKit's: 2023 has a line of names, 2014 begins with a user, whose id begins with
    A, and 2018 with an item.
    """
    if begin.startswith(HEADER_2023):
        return _Layout(None, item="parent_asin", ticks=1000)
    ids = ["user_id", "item_id"] if begin[:1] == b"A" else ["item_id", "user_id"]
    return _Layout([*ids, *OTHERS])

"""Amazon ratings of Julian McAuley's group, by the readers of LensKit.

One CSV file, compressed or not, in the layout of 2014, 2018 or 2023. ``load_amazon_ratings``
refuses a file in which a user rated an item twice, as many of them have it, without saying where;
so LensKit's reader of each layout is called here, and repeated ratings are treated as elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from recsearch.data.assemble import Columns, assemble
from recsearch.data.cache import recall, remember
from recsearch.data.reading import Reading
from recsearch.data.tables import own_file
from recsearch.data.types import Ratings, Source
from recsearch.errors import DataError
from recsearch.identity import digest

if TYPE_CHECKING:
    import pyarrow as pa

READER_VERSION = 1
LIMITS = (1.0, 5.0)
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
    from xopen import xopen

    try:
        with (
            xopen(path, "rb", threads=0) as unpacked,
            io.BufferedReader(cast(Any, unpacked)) as file,
        ):
            read, header = _layout(file.peek(64))
            table = pa.concat_tables(list(_tables(read, file)))
    except Exception as error:  # whatever hostile bytes make Arrow and the decompressors raise
        raise DataError(
            f"{path} cannot be read as Amazon ratings: {str(error) or type(error).__name__}"
        ) from error
    columns = Columns(
        users=_ids(table, "user_id", path),
        items=_ids(table, "item_id", path),
        values=table.column("rating").to_numpy().astype(np.float64),
        times=table.column("timestamp").to_numpy().astype("datetime64[s]").astype(np.int64),
    )
    return assemble(
        source,
        columns,
        limits=LIMITS,
        where=lambda row: f"{path.name}, line {row + 1 + header}",
        duplicates=reading.duplicates,
    )


def _layout(begin: bytes) -> tuple[Callable[[BinaryIO], Iterator[pa.Table]], int]:
    """LensKit's reader of a file that begins so, and the number of its header lines.

    The rule is LensKit's: 2023 has a line of names, 2014 begins with a user, whose id begins with
    A, and 2018 with an item.
    """
    from lenskit.data.amazon import open_az_2014, open_az_2018, open_az_2023

    if begin.startswith(HEADER_2023):
        return open_az_2023, 1
    return (open_az_2014, 0) if begin[:1] == b"A" else (open_az_2018, 0)


def _tables(read: Callable[[BinaryIO], Iterator[Any]], file: BinaryIO) -> Iterator[pa.Table]:
    import pyarrow as pa

    for batch in read(file):
        yield batch if isinstance(batch, pa.Table) else pa.table(batch)


def _ids(table: pa.Table, name: str, path: Path) -> np.ndarray:
    column = table.column(name)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{path.name}, rating {row + 1}: {name} is missing")
    ids = np.asarray(column.to_numpy())
    return ids if ids.dtype.kind == "i" else ids.astype(np.str_)

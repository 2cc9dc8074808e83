"""MovieLens archives, read by LensKit from inside the zip file."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsearch.data.archive import check_archive, opened
from recsearch.data.assemble import Columns, assemble
from recsearch.data.catalogue import Archive, Entry, Shape
from recsearch.data.fetch import Found
from recsearch.data.types import Ratings, Source
from recsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

READER_VERSION = 1
NOTE = re.compile(r"(?:^|/)NOTE[^/]*$")


def archive_source(
    entry: Entry, archive: Archive, found: Found, more: tuple[str, ...] = ()
) -> Source:
    """What is known about an archive before it is read; ``more`` are further notes.

    Raises:
        DataError: the archive is hostile or incomplete.
    """
    notes: list[str] = [*entry.notes, *more]
    official = found.official(archive)
    if found.unpacked:
        notes.append(f"read from an unpacked folder, not compared with the official {archive.file}")
    else:
        names = check_archive(found.path, archive)
        if official is False:
            notes.append(
                f"{archive.file} is not the official archive of {entry.title}: its SHA-256 is "
                f"{found.sha256}, the official one is {archive.sha256}; users, items and numbers "
                "of ratings are as published, other content was not compared"
            )
            notes += [f"the archive holds {name}" for name in names if NOTE.search(name)]
    return Source(
        name=entry.name,
        title=entry.title,
        origin=found.path.name,
        sha256=found.sha256,
        official=official,
        generated=False,
        notes=tuple(notes),
    )


def read_movielens(
    entry: Entry, archive: Archive, found: Found, source: Source, duplicates: str = "error"
) -> Ratings:
    """All ratings, and all items that the archive lists, rated or not.

    Raises:
        DataError: damaged, malformed, or bad ratings; the error names member and line.
    """
    frame = _ratings(found.path, archive)
    ids, titles = _movies(found, archive)
    header = 2 if archive.ratings.endswith(".csv") else 1
    columns = Columns(
        users=frame["user_id"].to_numpy(np.int64),
        items=frame["item_id"].to_numpy(np.int64),
        values=frame["rating"].to_numpy(np.float32),
        times=frame["timestamp"].to_numpy("datetime64[s]").astype(np.int64),
        known_items=ids,
        titles=titles,
    )
    return assemble(
        source,
        columns,
        limits=entry.limits,
        where=lambda row: f"{found.path.name}, {archive.ratings}, line {row + header}",
        duplicates=duplicates,
    )


def check_shape(entry: Entry, ratings: Ratings) -> None:
    """Refuse contents that are not those of the data set they claim to be.

    Raises:
        DataError: names every count that differs.
    """
    has = Shape(
        users=ratings.n_users,
        ratings=len(ratings.values),
        items=ratings.n_items,
        rated_items=len(np.unique(ratings.items)),
    )
    wrong = [
        f"{getattr(has, name):,} {name.replace('_', ' ')} (expected {expected:,})"
        for name, expected in vars(entry.shape).items()
        if expected is not None and getattr(has, name) != expected
    ]
    if wrong:
        raise DataError(
            f"{ratings.source.origin} is not {entry.title}: it has {', '.join(wrong)}",
            hint=f"Remove it and fetch the official archive: recsearch data fetch {entry.name}",
        )


def _ratings(path: Path, archive: Archive) -> pd.DataFrame:
    from lenskit.data import load_movielens_df

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, about which parser it chose
            return load_movielens_df(path)
    except Exception as error:  # whatever hostile bytes make pandas or zipfile raise
        raise DataError(
            f"{path}: {archive.ratings} cannot be read: {str(error) or type(error).__name__}",
            hint=f"Remove it and fetch it again: rm {path}",
        ) from error


def _movies(found: Found, archive: Archive) -> tuple[np.ndarray, np.ndarray]:
    """Ids and titles. LensKit cuts titles at colons, so the member is read here."""
    text = member_text(found, archive, archive.movies, archive.encoding)
    try:
        pairs = list(_pairs(text, archive.movies))
        ids = np.array([int(item) for item, _ in pairs], dtype=np.int64)
    except (ValueError, KeyError, OverflowError, csv.Error) as error:
        raise DataError(f"{found.path}: {archive.movies} cannot be read: {error}") from error
    return ids, np.array([title for _, title in pairs], dtype=np.str_)


def _pairs(text: str, member: str) -> Iterable[tuple[str, str]]:
    if member.endswith(".csv"):
        for row in csv.DictReader(io.StringIO(text)):
            yield row["movieId"], row["title"] or ""
        return
    mark = "::" if member.endswith(".dat") else "|"
    for line in text.split("\n"):  # splitlines would also split at U+0085, a Latin-1 letter's byte
        if not line:
            continue
        item, _, rest = line.partition(mark)
        yield item, rest.rpartition(mark)[0] if mark == "::" else rest.partition(mark)[0]


def member_text(found: Found, archive: Archive, member: str, encoding: str) -> str:
    """The text of one member.

    Raises:
        DataError: it cannot be read, or has bytes that are none of ``encoding``.
    """
    try:
        if found.unpacked:
            data = (found.path / member).read_bytes()
        else:
            with opened(found.path) as file:
                data = file.read(archive.inside(member))
        return data.decode(encoding)
    except (UnicodeDecodeError, OSError, RuntimeError) as error:
        raise DataError(f"{found.path}: {member} cannot be read: {error}") from error

"""Last.fm of HetRec 2011: how often each user listened to each artist."""

from __future__ import annotations

import numpy as np

from recsearch.data.assemble import Columns, assemble
from recsearch.data.catalogue import Archive, Entry
from recsearch.data.fetch import Found
from recsearch.data.movielens import member_text
from recsearch.data.types import Ratings, Source
from recsearch.errors import DataError

READER_VERSION = 1


def read_lastfm(
    entry: Entry, archive: Archive, found: Found, source: Source, duplicates: str = "error"
) -> Ratings:
    """All listening counts as values, and all artists that the archive lists.

    There are no times of listening; those in the archive are of tags.

    Raises:
        DataError: damaged, malformed or bad counts; the error names member and line.
    """
    lines, counts = _numbers(found, archive)
    artists, names = _artists(found, archive)
    return assemble(
        source,
        Columns(counts[:, 0], counts[:, 1], counts[:, 2], None, artists, names),
        limits=entry.limits,
        where=lambda row: f"{found.path.name}, {archive.ratings}, line {lines[row]}",
        duplicates=duplicates,
    )


def _numbers(found: Found, archive: Archive) -> tuple[list[int], np.ndarray]:
    """Line numbers, and (n, 3) int64: user, artist, how often."""
    lines, rows = [], []
    for number, cells in _cells(found, archive, archive.ratings):
        try:
            user, artist, weight = map(int, cells)
        except ValueError:
            raise _bad(found, archive.ratings, number, cells, "userID, artistID, weight") from None
        lines.append(number)
        rows.append((user, artist, weight))
    return lines, np.array(rows, dtype=np.int64).reshape(-1, 3)


def _artists(found: Found, archive: Archive) -> tuple[np.ndarray, np.ndarray]:
    ids, names = [], []
    for number, cells in _cells(found, archive, archive.movies):
        if len(cells) < 2 or not cells[0].isdecimal():
            raise _bad(found, archive.movies, number, cells, "id, name, url, pictureURL")
        ids.append(int(cells[0]))
        names.append(cells[1])
    return np.array(ids, dtype=np.int64), np.array(names, dtype=np.str_)


def _cells(found: Found, archive: Archive, member: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line after the line of names."""
    text = member_text(found, archive, member, archive.encoding)
    lines = enumerate(text.split("\n"), 1)  # splitlines would also split inside of names
    return [(number, line.rstrip("\r").split("\t")) for number, line in lines if line.strip()][1:]


def _bad(found: Found, member: str, line: int, cells: list[str], expected: str) -> DataError:
    return DataError(
        f"{found.path.name}, {member}, line {line}: it says {chr(9).join(cells)[:80]!r}, expected "
        f"{expected}, separated by tabs"
    )

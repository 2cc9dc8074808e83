"""Steam: how long Australian players played each game (``australian_users_items.json.gz``).

The file is not JSON: each line is a Python literal, the record of one player. ``ast.literal_eval``
builds plain values of it and runs no code; it is given one line at a time, of bounded length.
LensKit 2025.8.1 has no reader for it and that of 2026.3 is unfinished; the fields are those of its
schema.
"""

from __future__ import annotations

import ast
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from recsearch.data.assemble import Columns, assemble
from recsearch.data.cache import recall, remember
from recsearch.data.reading import Reading
from recsearch.data.tables import own_file
from recsearch.data.types import Ratings, Source
from recsearch.errors import DataError
from recsearch.identity import digest

READER_VERSION = 1
MAX_LINE = 1 << 24
"""Bytes of a line; the longest of the published file has about a million."""

GZIP = b"\x1f\x8b"
NOTE = "values are minutes played, not ratings; 0 is a game that was never started"
Game = tuple[str, str, float]
"""Id, name, minutes played."""


def load_steam(name: str, reading: Reading) -> Ratings:
    """Minutes played, from ``steam:PATH``.

    Raises:
        UsageError: no path was given.
        DataNotFoundError: there is no such file.
        DataError: the file cannot be used; names the line.
    """
    path, source = own_file("steam", name, f"Steam players of {Path(name).name}", reading)
    source = replace(source, notes=(NOTE, *source.notes))
    key = digest(["steam", READER_VERSION, source.sha256, reading.table()])
    ratings = recall(key, source)
    if ratings is None:
        ratings = _read(path, source, reading)
        remember(key, ratings)
    return ratings


def _read(path: Path, source: Source, reading: Reading) -> Ratings:
    users: list[str] = []
    lines: list[int] = []
    lengths: list[int] = []
    games: list[Game] = []
    for number, (user, owned) in _players(path):
        users.append(user)
        lines.append(number)
        lengths.append(len(owned))
        games += owned
    rows = np.repeat(np.arange(len(users)), lengths)
    titles = {item: name for item, name, _ in reversed(games)}  # the first name counts
    columns = Columns(
        users=np.array(users, dtype=np.str_)[rows],
        items=np.array([item for item, _, _ in games], dtype=np.str_),
        values=np.array([minutes for _, _, minutes in games], dtype=np.float64),
        times=None,
        known_items=np.array(list(titles), dtype=np.str_),
        titles=np.array(list(titles.values()), dtype=np.str_),
    )
    return assemble(
        source,
        columns,
        limits=(0.0, np.inf),
        where=lambda row: f"{path.name}, line {lines[rows[row]]}",
        duplicates=reading.duplicates,
    )


def _players(path: Path) -> Iterator[tuple[int, tuple[str, list[Game]]]]:
    """Line number, player and games of every line that is not empty."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise DataError(
                        f"{path.name}, line {number} has more than {MAX_LINE} bytes, expected the "
                        "record of one player"
                    )
                if line.strip():
                    yield number, _player(line, f"{path.name}, line {number}")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} broke off after line {number}: {error}") from error


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _player(line: bytes, where: str) -> tuple[str, list[Game]]:
    try:
        record = ast.literal_eval(line.decode())
        return str(record["user_id"]), [_game(game) for game in record["items"]]
    except (
        ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError, OverflowError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{where} is no record of a player ({type(error).__name__}), expected a Python literal "
            "with user_id and items, each with item_id, item_name and playtime_forever"
        ) from error


def _game(game: Any) -> Game:
    return str(game["item_id"]), str(game["item_name"]), float(game["playtime_forever"])

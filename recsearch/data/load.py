"""``load_dataset``: from a name to ratings."""

from __future__ import annotations

from collections.abc import Sequence

from recsearch.data.cache import recall, remember
from recsearch.data.catalogue import FILE_KINDS, Archive, Entry, find_entry
from recsearch.data.demo import generate
from recsearch.data.fetch import ensure
from recsearch.data.prepare import prepare
from recsearch.data.reading import Reading
from recsearch.data.steps import Step
from recsearch.data.types import Ratings
from recsearch.identity import digest


def load_dataset(
    name: str,
    *,
    allow_download: bool = True,
    reading: Reading | None = None,
    steps: Sequence[Step] = (),
) -> Ratings:
    """Load a data set.

    Args:
        name: A catalogue name, ``demo``, ``demo:SIZE``, ``demo:SIZE@SEED``, or the path of a file
            after its kind, such as ``csv:PATH`` (`FILE_KINDS`).
        allow_download: Whether an archive that is not on this machine may be fetched.
        reading: How a file is read, where it does not speak for itself.
        steps: What is then done to the ratings, in this order.

    Raises:
        UsageError: there is no such data set, or the reading does not fit it.
        DataNotFoundError: the archive or file is absent and cannot be fetched.
        DataError: the archive or file cannot be used, or a step leaves nothing of it.
    """
    return prepare(_load(name, allow_download, reading or Reading()), steps)


def _load(name: str, allow_download: bool, reading: Reading) -> Ratings:
    kind, mark, rest = name.partition(":")
    reading.check(kind.lower())
    if mark and kind.lower() in FILE_KINDS:
        return _load_file(kind.lower(), rest, reading)
    if kind.lower().partition("@")[0] == "demo":
        return generate(name)
    entry = find_entry(name)
    if entry.archive is None:
        return generate(entry.name)
    return _load_archive(entry, entry.archive, allow_download, reading)


def _load_file(kind: str, path: str, reading: Reading) -> Ratings:
    # Imported here: each costs time that other data sets need not pay.
    if kind == "amazon":
        from recsearch.data.amazon import load_amazon

        return load_amazon(path, reading)
    if kind == "steam":
        from recsearch.data.steam import load_steam

        return load_steam(path, reading)
    from recsearch.data.tables import load_table

    return load_table(kind, path, reading)


def _load_archive(
    entry: Entry, archive: Archive, allow_download: bool, reading: Reading
) -> Ratings:
    from recsearch.data import lastfm, movielens

    found = ensure(entry, allow_download=allow_download)
    source = movielens.archive_source(entry, archive, found, reading.notes())
    reader = lastfm if entry.reader == "lastfm" else movielens
    key = digest(
        [
            entry.reader,
            reader.READER_VERSION,
            _expected(entry),
            found.unpacked,
            found.sha256,
            *filter(None, [reading.table()]),
        ]
    )
    ratings = recall(key, source)
    if ratings is not None:
        return ratings
    read = lastfm.read_lastfm if entry.reader == "lastfm" else movielens.read_movielens
    ratings = read(entry, archive, found, source, reading.duplicates)
    movielens.check_shape(entry, ratings)
    remember(key, ratings)
    return ratings


def _expected(entry: Entry) -> dict[str, object]:
    """What the contents were checked against; another expectation is another cache key."""
    return {"name": entry.name, "shape": vars(entry.shape), "limits": entry.limits}

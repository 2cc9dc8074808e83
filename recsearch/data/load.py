"""``load_dataset``: from a name to ratings."""

from __future__ import annotations

from recsearch.data.cache import recall, remember
from recsearch.data.catalogue import FILE_KINDS, Archive, Entry, find_entry
from recsearch.data.demo import generate
from recsearch.data.fetch import ensure
from recsearch.data.types import Ratings
from recsearch.identity import digest


def load_dataset(name: str, *, allow_download: bool = True) -> Ratings:
    """Load a data set.

    Args:
        name: A catalogue name, ``demo``, ``demo:SIZE``, ``demo:SIZE@SEED``, ``csv:PATH`` or
            ``parquet:PATH``.
        allow_download: Whether an archive that is not on this machine may be fetched.

    Raises:
        UsageError: there is no such data set.
        DataNotFoundError: the archive or file is absent and cannot be fetched.
        DataError: the archive or file cannot be used.
    """
    kind, mark, rest = name.partition(":")
    if mark and kind.lower() in FILE_KINDS:
        from recsearch.data.tables import load_table

        return load_table(kind.lower(), rest)
    if kind.lower().partition("@")[0] == "demo":
        return generate(name)
    entry = find_entry(name)
    if entry.archive is None:
        return generate(entry.name)
    return _load_archive(entry, entry.archive, allow_download)


def _load_archive(entry: Entry, archive: Archive, allow_download: bool) -> Ratings:
    from recsearch.data.movielens import (
        READER_VERSION,
        check_shape,
        movielens_source,
        read_movielens,
    )

    found = ensure(entry, allow_download=allow_download)
    source = movielens_source(entry, archive, found)
    key = digest(["movielens", READER_VERSION, _expected(entry), found.unpacked, found.sha256])
    ratings = recall(key, source)
    if ratings is not None:
        return ratings
    ratings = read_movielens(entry, archive, found, source)
    check_shape(entry, ratings)
    remember(key, ratings)
    return ratings


def _expected(entry: Entry) -> dict[str, object]:
    """What the contents were checked against; another expectation is another cache key."""
    return {"name": entry.name, "shape": vars(entry.shape), "limits": entry.limits}

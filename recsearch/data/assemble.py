"""From columns as they were read to checked, sorted and identified ratings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from recsearch.data.duplicates import settle
from recsearch.data.types import Ratings, Source
from recsearch.data.validate import Where, check_pairs, check_values
from recsearch.errors import DataError

CONTENT_TAG = b"recsearch-ratings-1"


@dataclass(frozen=True, eq=False)
class Columns:
    """Ratings in the order of their file.

    Attributes:
        users: (n,) original ids, int64 or ``<U``.
        items: (n,) original ids, int64 or ``<U``.
        values: (n,) floating point.
        times: (n,) int64 seconds since 1970 (UTC), or None.
        known_items: (m,) ids of items that the source knows, in any order, or None.
        titles: (m,) ``<U``, title of each of ``known_items``, or None.
    """

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    times: np.ndarray | None
    known_items: np.ndarray | None = None
    titles: np.ndarray | None = None


def assemble(
    source: Source,
    columns: Columns,
    *,
    limits: tuple[float, float] | None,
    where: Where,
    duplicates: str = "error",
) -> Ratings:
    """Number users and items, check every row, sort, and work out the identity.

    Args:
        source: Where the rows came from.
        columns: The rows, in the order of the file.
        limits: Lowest and highest rating allowed, or None.
        where: Names a row of the file in errors.
        duplicates: What becomes of a pair that occurs twice, see `recsearch.data.reading`.

    Raises:
        DataError: no ratings, a bad rating, or, with ``error``, a pair that occurs twice.
    """
    check_values(source.origin, columns.values, limits, where)
    user_ids, users = np.unique(columns.users, return_inverse=True)
    item_ids, titles = _vocabulary(source, columns)
    items = np.searchsorted(item_ids, columns.items)
    keys = users * np.int64(len(item_ids)) + items
    if duplicates == "error":
        order = np.argsort(keys, kind="stable")
        values = columns.values[order]
        keys = keys[order]
        check_pairs(
            order,
            keys[1:] == keys[:-1],
            lambda row: f"user {columns.users[row]}, item {columns.items[row]}",
            where,
        )
    else:
        order, values = settle(duplicates, keys, columns.values, columns.times)
    return identified(
        source,
        user_ids,
        item_ids,
        titles,
        users[order].astype(np.int32),
        items[order].astype(np.int32),
        values.astype(np.float32),
        None if columns.times is None else columns.times[order].astype(np.int64),
    )


def identified(
    source: Source,
    user_ids: np.ndarray,
    item_ids: np.ndarray,
    titles: np.ndarray | None,
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    times: np.ndarray | None,
) -> Ratings:
    """Ratings of columns that already satisfy the invariants of :class:`Ratings`."""
    dataset_id = content_id(user_ids, item_ids, users, items, values, times)
    return Ratings(source, dataset_id, user_ids, item_ids, titles, users, items, values, times)


def content_id(
    user_ids: np.ndarray,
    item_ids: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    times: np.ndarray | None,
) -> str:
    """SHA-256 over what the data set says, not over the file that says it.

    The arguments are the arrays of :class:`Ratings`: sorted vocabularies and rows sorted by
    (user, item) make the encoding canonical, so neither the order of rows in a file nor its
    format matters. Items that nobody rated count, because they change the candidates of every
    recommendation. Titles do not count.
    """
    sha = hashlib.sha256(CONTENT_TAG)
    for name, array in (
        ("user_ids", user_ids),
        ("item_ids", item_ids),
        ("users", users),
        ("items", items),
        ("values", values),
        ("times", times),
    ):
        kind, data = _encoded(array)
        sha.update(f"\n{name} {kind} {0 if array is None else len(array)}\n".encode())
        sha.update(data)
    return sha.hexdigest()


def _encoded(array: np.ndarray | None) -> tuple[str, bytes | memoryview]:
    if array is None:
        return "none", b""
    if array.dtype.kind == "U":
        # A length before each id keeps ("ab", "c") and ("a", "bc") apart.
        words = [str(word).encode() for word in array]
        return "text", b"".join(len(word).to_bytes(4, "little") + word for word in words)
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return plain.dtype.str, plain.data.cast("B")


def _vocabulary(source: Source, columns: Columns) -> tuple[np.ndarray, np.ndarray | None]:
    """All known items, sorted, with the title of each."""
    if columns.known_items is None:
        return np.unique(columns.items), None
    known, first = np.unique(columns.known_items, return_index=True)
    if len(known) < len(columns.known_items):
        raise DataError(f"{source.origin}: an item occurs twice in the list of items")
    item_ids = np.union1d(known, columns.items)
    if columns.titles is None:
        return item_ids, None
    titles = np.zeros(len(item_ids), dtype=columns.titles.dtype)
    titles[np.searchsorted(item_ids, known)] = columns.titles[first]
    return item_ids, titles

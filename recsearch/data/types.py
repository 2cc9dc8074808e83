"""Ratings, their source, and their division into training and held-out parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Source:
    """Where ratings came from. Goes into ``run.json`` and onto the page.

    Attributes:
        name: What ``load_dataset`` takes: ``ml1m``, ``demo:ml1m@7``, ``csv:ratings.csv``.
        title: For people: ``MovieLens 1M``.
        origin: File name of the archive, never its path, or ``generated``.
        sha256: Digest of the file that was read.
        official: True when the digest is the official one, False when it differs, None when no
            official digest is known.
        generated: True when no human being ever gave these ratings.
        notes: What a reader of the results must know.
    """

    name: str
    title: str
    origin: str
    sha256: str | None
    official: bool | None
    generated: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Ratings:
    """A whole data set. Rows are sorted by (user, item) and no pair occurs twice.

    Attributes:
        dataset_id: SHA-256 over the content, see :func:`recsearch.data.assemble.content_id`.
        user_ids: (n_users,) original ids, sorted and unique, int64 or ``<U``. Each has a rating.
        item_ids: (n_items,) likewise, with the items that the source knows but nobody rated.
        titles: (n_items,) ``<U``, empty where unknown, or None when the source has none.
        users: (n,) int32 indices into ``user_ids``.
        items: (n,) int32 indices into ``item_ids``.
        values: (n,) float32 ratings, finite.
        times: (n,) int64 seconds since 1970 (UTC), or None.
    """

    source: Source
    dataset_id: str
    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray | None
    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    times: np.ndarray | None

    @property
    def n_users(self) -> int:
        """Users of the vocabulary."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Items of the vocabulary, rated or not."""
        return len(self.item_ids)


@dataclass(frozen=True, eq=False)
class Interactions:
    """Ratings in compressed rows: row ``u`` is ``indptr[u]:indptr[u + 1]``, items ascending.

    Attributes:
        indptr: (n_rows + 1,) int64.
        items: (n,) int32 item numbers.
        values: (n,) float32 ratings.
        times: (n,) int64 seconds since 1970 (UTC), or None.
    """

    indptr: np.ndarray
    items: np.ndarray
    values: np.ndarray
    times: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a split: what models train on, and what they are measured on.

    Training and held-out ratings are disjoint. Together with those that are left out (those after
    the period measured, those that other parts hold out where the split isolates its parts, and
    those of users who are not measured) they are the whole data set. Every measured user has
    held-out ratings and training ratings.

    Attributes:
        split_id: SHA-256 over the data set, the method and the resulting pairs.
        method: The method and the parameters that play a part in it, as JSON values.
        part: 0-based number of the part.
        train: One row for each user of the vocabulary.
        eval_users: (n_eval,) int32 users with held-out ratings, ascending.
        heldout: One row for each of ``eval_users``.
        left_out: Number of ratings of the data set that are in neither.
    """

    source: Source
    dataset_id: str
    split_id: str
    method: dict[str, Any]
    part: int
    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray | None
    train: Interactions
    eval_users: np.ndarray
    heldout: Interactions
    left_out: int = 0

    @property
    def n_users(self) -> int:
        """Users of the vocabulary."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Items of the vocabulary, rated or not."""
        return len(self.item_ids)

    @property
    def n_ratings(self) -> int:
        """Ratings of the whole data set."""
        return len(self.train.items) + len(self.heldout.items) + self.left_out

"""Splits: which ratings a model trains on and which ones it is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import islice
from typing import Any

import numpy as np

from recsearch.data.holdout import dealt_users, heldout_parts, time_part
from recsearch.data.splitspec import SplitSpec, check_spec
from recsearch.data.types import Interactions, Ratings, Split
from recsearch.errors import DataError
from recsearch.identity import canonical_json

__all__ = ["SplitSpec", "load_split", "spec_of_table"]


def load_split(ratings: Ratings, spec: SplitSpec | None = None, part: int = 0) -> Split:
    """One part of a split.

    Equal to part ``part`` of LensKit's splitter of that name with ``rng=seed`` for it and for its
    holdout method; ``docs/data.md`` says where LensKit 2025.8.1 is not followed, and why.

    A user without a training rating cannot be recommended anything: methods that hold ratings out
    of whole users refuse such a user, the others leave them unmeasured, and a note of the source
    counts them. So it does for users whose share of held-out ratings rounds to none.

    Raises:
        UsageError: an unknown method, or a parameter out of range.
        DataError: a user would have no training ratings, or a part no users or no ratings.
    """
    spec = spec or SplitSpec()
    check_spec(spec, part)
    train, rows = _rows(ratings, spec, part)
    known = np.bincount(ratings.users[train], minlength=ratings.n_users) > 0
    kept = rows[known[ratings.users[rows]]]
    for what, found in (("training", np.count_nonzero(train)), ("held-out", len(kept))):
        if not found:
            raise DataError(
                f"{ratings.source.name}: part {part} of the split {spec} has no {what} ratings"
                + (" of users who also have training ratings" if len(rows) > len(kept) else ""),
                hint="See every part: recsearch data split NAME --split KEY=VALUE",
            )
    eval_users = np.unique(ratings.users[kept])
    left = ~train
    left[kept] = False
    notes = _notes(ratings, spec, part, rows, eval_users)
    return Split(
        source=replace(ratings.source, notes=(*ratings.source.notes, *notes)),
        dataset_id=ratings.dataset_id,
        split_id=_split_id(ratings, spec, part, kept, left),
        method=spec.table(),
        part=part,
        user_ids=ratings.user_ids,
        item_ids=ratings.item_ids,
        titles=ratings.titles,
        train=_interactions(ratings, train, np.arange(ratings.n_users)),
        eval_users=eval_users,
        heldout=_interactions(ratings, kept, eval_users),
        left_out=int(np.count_nonzero(left)),
    )


def spec_of_table(table: Mapping[str, Any]) -> SplitSpec:
    """The split that a ``run.json`` records; keys of other meaning are passed over."""
    found = {field.name: table[field.name] for field in fields(SplitSpec) if field.name in table}
    if "cuts" in found:
        found["cuts"] = tuple(found["cuts"])
    return SplitSpec(**found)


def _rows(ratings: Ratings, spec: SplitSpec, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Of one part: (n,) bool whether a rating is for training; held-out row numbers, ascending."""
    if spec.method == "global-time":
        return time_part(ratings, spec, part)
    # The draws of a part come after those of all parts before it.
    held = list(islice(heldout_parts(ratings, spec), None if spec.isolate else part + 1))
    train = np.ones(len(ratings.users), dtype=bool)
    for rows in held if spec.isolate else held[part:]:
        train[rows] = False
    return train, held[part]


def _notes(
    ratings: Ratings, spec: SplitSpec, part: int, rows: np.ndarray, eval_users: np.ndarray
) -> list[str]:
    """What a reader must know of users that are not measured."""
    notes = []
    asked = np.unique(ratings.users[rows])
    if len(asked) > len(eval_users):
        unmeasured = len(asked) - len(eval_users)
        notes.append(
            f"split part {part}: {unmeasured:,} of {len(asked):,} users with held-out ratings "
            "have no training ratings and are not measured"
        )
    if spec.method in ("crossfold-users", "sample-users") and isinstance(spec.holdout, float):
        dealt = dealt_users(ratings, spec)
        counts = np.bincount(ratings.users, minlength=ratings.n_users)[dealt]
        short = int(np.count_nonzero(np.rint(counts * spec.holdout) == 0))
        if short:
            notes.append(
                f"split: {short:,} of {len(dealt):,} users have so few ratings that "
                f"{spec.holdout:g} of them rounds to none; they are not measured"
            )
    return notes


def _interactions(ratings: Ratings, rows: np.ndarray, users: np.ndarray) -> Interactions:
    sorted_users = ratings.users[rows]
    indptr = np.append(np.searchsorted(sorted_users, users), len(sorted_users))
    return Interactions(
        indptr.astype(np.int64),
        ratings.items[rows],
        ratings.values[rows],
        None if ratings.times is None else ratings.times[rows],
    )


def _split_id(
    ratings: Ratings, spec: SplitSpec, part: int, rows: np.ndarray, left: np.ndarray
) -> str:
    """The held-out pairs, and those left out if any, say it all: the rest is for training."""
    sha = hashlib.sha256(b"recsearch-split-1\n")
    identity = {"dataset_id": ratings.dataset_id, "part": part, **spec.table()}
    sha.update(canonical_json(identity).encode())
    for column in (ratings.users, ratings.items):
        sha.update(column[rows].astype("<i4").tobytes())
    if left.any():
        sha.update(b"\nleft out\n")
        for column in (ratings.users, ratings.items):
            sha.update(column[left].astype("<i4").tobytes())
    return sha.hexdigest()

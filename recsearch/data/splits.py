"""Splits: which ratings a model trains on and which ones it is measured on."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from recsearch.data.types import Interactions, Ratings, Split
from recsearch.errors import DataError, UsageError
from recsearch.identity import canonical_json

METHODS = ("crossfold-users",)


@dataclass(frozen=True)
class SplitSpec:
    """How to split.

    Attributes:
        method: ``crossfold-users``: users are dealt into ``folds`` parts; each user of a part
            has ``holdout`` random ratings held out, and everything else is for training.
        folds: Number of parts.
        holdout: Ratings held out per user of the part.
        seed: Seed of the two generators: one deals the users, one picks the ratings.
    """

    method: str = "crossfold-users"
    folds: int = 5
    holdout: int = 5
    seed: int = 20260701

    @property
    def parts(self) -> int:
        """Number of parts. A search validates on the first; what it leaves is for testing."""
        return self.folds


def load_split(ratings: Ratings, spec: SplitSpec | None = None, part: int = 0) -> Split:
    """One part of a split.

    Equal to part ``part`` of LensKit's ``crossfold_users(data, folds, SampleN(holdout,
    rng=seed), rng=seed)``.

    Raises:
        UsageError: an unknown method, or a parameter out of range.
        DataError: a user would have no training ratings, or a part no users.
    """
    spec = spec or SplitSpec()
    _check(ratings, spec, part)
    rows = _crossfold_users(ratings, spec, part)
    train = np.ones(len(ratings.users), dtype=bool)
    train[rows] = False
    eval_users = np.unique(ratings.users[rows])
    return Split(
        source=ratings.source,
        dataset_id=ratings.dataset_id,
        split_id=_split_id(ratings, spec, part, rows),
        method=asdict(spec),
        part=part,
        user_ids=ratings.user_ids,
        item_ids=ratings.item_ids,
        titles=ratings.titles,
        train=_interactions(ratings, train, np.arange(ratings.n_users)),
        eval_users=eval_users,
        heldout=_interactions(ratings, rows, eval_users),
    )


def _crossfold_users(ratings: Ratings, spec: SplitSpec, part: int) -> np.ndarray:
    """Row numbers of the held-out ratings, ascending.

    The draws follow LensKit 2025.8.1 (``lenskit.splitting``) exactly: users are shuffled by one
    generator and cut into parts; a second one, seeded alike, picks ratings user after user, so
    the picks of a part depend on those of all parts before it.
    """
    dealt = np.arange(ratings.n_users)
    np.random.default_rng(spec.seed).shuffle(dealt)
    picker = np.random.default_rng(spec.seed)
    starts = _indptr(ratings.users, np.arange(ratings.n_users))
    counts = np.diff(starts)
    picked: list[np.ndarray] = []
    for members in np.array_split(dealt, spec.folds)[: part + 1]:
        picked = [
            picker.choice(counts[u], spec.holdout, replace=False) + starts[u] for u in members
        ]
    return np.sort(np.concatenate(picked))


def _check(ratings: Ratings, spec: SplitSpec, part: int) -> None:
    if spec.method not in METHODS:
        near = difflib.get_close_matches(spec.method, METHODS, n=1, cutoff=0)
        raise UsageError(f"there is no split method {spec.method!r}; the nearest is {near[0]!r}")
    if spec.folds < 2 or spec.holdout < 1 or spec.seed < 0:
        raise UsageError(
            f"a split needs folds >= 2, holdout >= 1 and seed >= 0, not folds = {spec.folds}, "
            f"holdout = {spec.holdout}, seed = {spec.seed}"
        )
    if not 0 <= part < spec.folds:
        raise UsageError(
            f"there is no part {part}: a split into {spec.folds} has parts 0 to {spec.folds - 1}"
        )
    name = ratings.source.name
    if ratings.n_users < spec.folds:
        raise DataError(
            f"{name}: {ratings.n_users} users cannot be dealt into {spec.folds} parts; part "
            f"{ratings.n_users} would be empty"
        )
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    short = np.flatnonzero(counts <= spec.holdout)
    if len(short):
        raise DataError(
            f"{name}: {len(short)} of {ratings.n_users} users have at most {spec.holdout} "
            f"ratings (the first is user {ratings.user_ids[short[0]]} with "
            f"{counts[short[0]]}), so nothing of theirs would remain for training after "
            f"{spec.holdout} are held out",
            hint=f"Leave out users with fewer than {spec.holdout + 1} ratings.",
        )


def _interactions(ratings: Ratings, rows: np.ndarray, users: np.ndarray) -> Interactions:
    return Interactions(
        _indptr(ratings.users[rows], users),
        ratings.items[rows],
        ratings.values[rows],
        None if ratings.times is None else ratings.times[rows],
    )


def _indptr(sorted_users: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Where the rows of each of ``users`` (ascending) begin, and where the last ends; int64."""
    return np.append(np.searchsorted(sorted_users, users), len(sorted_users)).astype(np.int64)


def _split_id(ratings: Ratings, spec: SplitSpec, part: int, rows: np.ndarray) -> str:
    """The held-out pairs say it all: the rest of the data set is the training part."""
    sha = hashlib.sha256(b"recsearch-split-1\n")
    identity = {"dataset_id": ratings.dataset_id, "part": part, **asdict(spec)}
    sha.update(canonical_json(identity).encode())
    for column in (ratings.users, ratings.items):
        sha.update(column[rows].astype("<i4").tobytes())
    return sha.hexdigest()

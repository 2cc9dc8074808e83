"""Which ratings each part of a split holds out.

The draws follow LensKit 2025.8.1 (``lenskit.splitting``) exactly: one generator deals users or
ratings into parts, a second one, seeded alike, or the same one going on, picks ratings user after
user, so the picks of a part depend on those of all parts before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from recsearch.data.splitspec import FRACTIONS, SplitSpec, amount_of, seconds_of_cut
from recsearch.data.types import Ratings
from recsearch.errors import DataError

Picker = Callable[[int], np.ndarray]
"""User number to the row numbers of the ratings held out."""


def heldout_parts(ratings: Ratings, spec: SplitSpec) -> Iterator[np.ndarray]:
    """Row numbers of the held-out ratings of part 0, 1, …, each ascending.

    Raises:
        DataError: too few users or ratings for the parts, a user of a part of whom nothing would
            remain for training, or ratings without times where the last are wanted.
    """
    if spec.method.endswith("records"):
        for rows in _dealt(ratings, spec, _generator(spec), len(ratings.users), "ratings"):
            yield np.sort(rows)
        return
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    rng = _generator(spec)
    parts = _dealt(ratings, spec, rng, ratings.n_users, "users")
    taken = _taken(spec, counts)
    _check_rest(ratings, spec, np.concatenate(parts), counts, taken)
    pick = _picker(ratings, spec, rng if spec.rng == "shared" else _generator(spec), counts, taken)
    for members in parts:
        yield np.sort(np.concatenate([pick(user) for user in members])).astype(np.int64)


def dealt_users(ratings: Ratings, spec: SplitSpec) -> np.ndarray:
    """Numbers of all users of all parts; errors as for `heldout_parts`."""
    return np.concatenate(_dealt(ratings, spec, _generator(spec), ratings.n_users, "users"))


def time_part(ratings: Ratings, spec: SplitSpec, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Training mask and held-out row numbers of a part of ``global-time``.

    Raises:
        DataError: no times, or the second cut is not after the first.
    """
    times = times_of(ratings, "a split by global time")
    cuts = cut_times(times, spec)
    if cuts[0] >= cuts[1]:
        first, second = (str(np.datetime64(cut, "s")) for cut in cuts)
        raise DataError(
            f"{ratings.source.name}: the validation period from {first} to {second} holds nothing: "
            f"the second cut must be after the first; the ratings were given from "
            f"{times.min().astype('datetime64[s]')} to {times.max().astype('datetime64[s]')}"
        )
    train = times < cuts[part]
    held = ~train if part == 1 else ~train & (times < cuts[1])
    return train, np.flatnonzero(held)


def cut_times(times: np.ndarray, spec: SplitSpec) -> tuple[int, int]:
    """The two cuts in seconds since 1970; a share is the time that this share of ratings precede.

    A share falls where LensKit's ``split_temporal_fraction`` has it, at the interpolated quantile;
    as times are whole seconds, the next whole second divides them alike.
    """
    found = []
    for cut in spec.cuts or FRACTIONS:
        seconds = seconds_of_cut(cut)
        found.append(int(np.ceil(np.quantile(times, float(cut)))) if seconds is None else seconds)
    return found[0], found[1]


def times_of(ratings: Ratings, what: str) -> np.ndarray:
    """The times of the ratings.

    Raises:
        DataError: there are none; ``what`` needs them.
    """
    if ratings.times is None:
        raise DataError(f"{ratings.source.name}: {what} needs times, and the ratings have none")
    return ratings.times


def _generator(spec: SplitSpec) -> np.random.Generator:
    return np.random.default_rng(spec.seed)


def _dealt(
    ratings: Ratings, spec: SplitSpec, rng: np.random.Generator, total: int, noun: str
) -> list[np.ndarray]:
    """Numbers of the users or ratings of each part."""
    name = ratings.source.name
    sampled = spec.size is not None
    dealt = np.arange(total, dtype=np.int32 if sampled and noun == "ratings" else np.int64)
    rng.shuffle(dealt)
    if spec.size is not None:
        size = amount_of(spec.size, total)
        if size < 1 or size * spec.folds > total:
            raise DataError(
                f"{name}: {spec.folds} samples of {size} of {total} {noun} cannot be taken without "
                "overlap"
            )
        return [dealt[part * size : (part + 1) * size] for part in range(spec.folds)]
    if total < spec.folds:
        raise DataError(
            f"{name}: {total} {noun} cannot be dealt into {spec.folds} parts; part "
            f"{total} would be empty"
        )
    return np.array_split(dealt, spec.folds)


def _taken(spec: SplitSpec, counts: np.ndarray) -> np.ndarray:
    """Ratings held out of each user; halves go to the even number, as ``round`` has it."""
    if isinstance(spec.holdout, float):
        return np.rint(counts * spec.holdout).astype(np.int64)
    return np.full(len(counts), spec.holdout)


def _check_rest(
    ratings: Ratings, spec: SplitSpec, members: np.ndarray, counts: np.ndarray, taken: np.ndarray
) -> None:
    members = np.sort(members)
    short = members[counts[members] <= taken[members]]
    if not len(short):
        return
    first, count = ratings.user_ids[short[0]], counts[short[0]]
    if isinstance(spec.holdout, float):
        raise DataError(
            f"{ratings.source.name}: {len(short)} of {len(members)} users have so few ratings (the "
            f"first is user {first} with {count}) that nothing of theirs would remain for "
            f"training after {spec.holdout:g} of them are held out",
            hint="Leave out users with fewer ratings: "
            f"--prepare 'minimum={{ users = {_least(spec.holdout)} }}'",
        )
    raise DataError(
        f"{ratings.source.name}: {len(short)} of {len(members)} users have at most {spec.holdout} "
        f"ratings (the first is user {first} with {count}), so nothing of theirs would remain for "
        f"training after {spec.holdout} are held out",
        hint=f"Leave out users with fewer than {spec.holdout + 1} ratings: "
        f"--prepare 'minimum={{ users = {spec.holdout + 1} }}'",
    )


def _least(share: float) -> int:
    """The number of ratings from which on something of a user remains for training."""
    # One is left for certain from 1 / (1 - share) on; rounding may leave one a little earlier.
    enough = int(np.ceil(1 / (1 - share))) + 1
    while enough > 1 and np.rint((enough - 1) * share) < enough - 1:
        enough -= 1
    return enough


def _picker(
    ratings: Ratings,
    spec: SplitSpec,
    rng: np.random.Generator,
    counts: np.ndarray,
    taken: np.ndarray,
) -> Picker:
    ends = np.cumsum(counts)
    if spec.pick == "last":
        # lexsort is stable, so of equal times the rows keep the order of their items.
        order = np.lexsort(
            (times_of(ratings, "a split by each user's last ratings"), ratings.users)
        )
        return lambda user: order[ends[user] - taken[user] : ends[user]]
    starts = ends - counts
    return lambda user: rng.choice(counts[user], taken[user], replace=False) + starts[user]

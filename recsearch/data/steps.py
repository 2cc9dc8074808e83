"""The steps of preparing ratings: small values, each with a pure function on ratings."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np

from recsearch.data.assemble import identified
from recsearch.data.moments import seconds_of
from recsearch.data.types import Ratings
from recsearch.errors import DataError, UsageError
from recsearch.identity import derive_seed


class Step(Protocol):
    """One step of preparing ratings; an immutable value."""

    name: ClassVar[str]

    def apply(self, ratings: Ratings) -> Ratings:
        """The ratings that this step makes of others, which stay as they are.

        Raises:
            DataError: nothing would be left, or the ratings have no times where they are needed.
        """


@dataclass(frozen=True)
class Implicit:
    """``implicit = 4``: ratings of at least 4 become 1, lower ones are left out."""

    name: ClassVar[str] = "implicit"
    at_least: float

    def __post_init__(self) -> None:
        _check_number(self, "at_least", self.at_least)

    def apply(self, ratings: Ratings) -> Ratings:
        """See `Step`."""
        kept = kept_rows(self, ratings, ratings.values >= np.float32(self.at_least))
        return with_values(kept, np.ones(len(kept.values), dtype=np.float32))


@dataclass(frozen=True)
class Rating:
    """``rating = { min = 1, max = 5 }``: only ratings in that range, both ends included."""

    name: ClassVar[str] = "rating"
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        for key in ("min", "max"):
            _check_number(self, key, getattr(self, key), optional=True)
        _check_range(self, self.min, self.max, ("min", "max"))

    def apply(self, ratings: Ratings) -> Ratings:
        """See `Step`."""
        keep = np.ones(len(ratings.values), dtype=bool)
        if self.min is not None:
            keep &= ratings.values >= np.float32(self.min)
        if self.max is not None:
            keep &= ratings.values <= np.float32(self.max)
        return kept_rows(self, ratings, keep)


@dataclass(frozen=True)
class Time:
    """``time = { since = "2000-01-01", until = 978307200 }``: ``since`` included, ``until`` not.

    Times are ISO dates (UTC) or seconds since 1970.
    """

    name: ClassVar[str] = "time"
    since: str | int | None = None
    until: str | int | None = None

    def __post_init__(self) -> None:
        _check_range(self, _seconds(self, "since"), _seconds(self, "until"), ("since", "until"))

    def apply(self, ratings: Ratings) -> Ratings:
        """See `Step`."""
        if ratings.times is None:
            raise DataError(f"{ratings.source.name}: {word_of(self)} needs times, there are none")
        since, until = _seconds(self, "since"), _seconds(self, "until")
        keep = np.ones(len(ratings.values), dtype=bool)
        if since is not None:
            keep &= ratings.times >= since
        if until is not None:
            keep &= ratings.times < until
        return kept_rows(self, ratings, keep)


@dataclass(frozen=True)
class Minimum:
    """``minimum = { users = 6 }``: only users, or items, with at least so many ratings.

    Both are counted once, in the ratings that come to the step. ``minimum = 6`` is for both.
    """

    name: ClassVar[str] = "minimum"
    users: int = 1
    items: int = 1

    def __post_init__(self) -> None:
        _check_counts(self, {"users": self.users, "items": self.items})

    def apply(self, ratings: Ratings) -> Ratings:
        """See `Step`."""
        return kept_rows(self, ratings, _frequent(ratings.users, ratings.items, self))


@dataclass(frozen=True)
class Core:
    """``core = 5``: `Minimum` again and again until every user and item left has that many."""

    name: ClassVar[str] = "core"
    users: int = 1
    items: int = 1

    def __post_init__(self) -> None:
        _check_counts(self, {"users": self.users, "items": self.items})

    def apply(self, ratings: Ratings) -> Ratings:
        """See `Step`."""
        rows = np.arange(len(ratings.values))
        while True:
            keep = _frequent(ratings.users[rows], ratings.items[rows], self)
            if keep.all():
                break
            rows = rows[keep]
        mask = np.zeros(len(ratings.values), dtype=bool)
        mask[rows] = True
        return kept_rows(self, ratings, mask)


@dataclass(frozen=True)
class Sample:
    """``sample = { users = 0.5, seed = 7 }``: users with all their ratings, or ratings, at random.

    A whole number is how many, a number below 1 the share of them. The same seed chooses the same
    ones of the same ratings, whatever the order of rows in the file.
    """

    name: ClassVar[str] = "sample"
    users: int | float | None = None
    ratings: int | float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        amounts = [amount for amount in (self.users, self.ratings) if amount is not None]
        good = len(amounts) == 1 and _is_number(amounts[0]) and type(self.seed) is int
        if not good or not (
            0 < amounts[0] < 1 if isinstance(amounts[0], float) else amounts[0] >= 1
        ):
            raise _refused(self, "users or ratings, a whole number or a share between 0 and 1")
        if self.seed < 0:
            raise _refused(self, "seed >= 0")

    def apply(self, ratings: Ratings) -> Ratings:
        """See `Step`."""
        users = self.users is not None
        total = ratings.n_users if users else len(ratings.values)
        amount = next(each for each in (self.users, self.ratings) if each is not None)
        size = round(total * amount) if isinstance(amount, float) else amount
        if size > total:
            noun = "users" if users else "ratings"
            raise DataError(f"{ratings.source.name}: {word_of(self)}: there are {total} {noun}")
        rng = np.random.default_rng(derive_seed(self.seed, "sample", "users" if users else "rows"))
        chosen = np.zeros(total, dtype=bool)
        chosen[rng.permutation(total)[:size]] = True
        return kept_rows(self, ratings, chosen[ratings.users] if users else chosen)


def table_of(step: Step) -> dict[str, Any]:
    """A step as a search file has it, without what is left at its default."""
    found = {
        field.name: getattr(step, field.name)
        for field in fields(step)  # type: ignore[arg-type]
        if getattr(step, field.name) != field.default
    }
    return {step.name: found}


def word_of(step: Step) -> str:
    """A step for people: ``core (users 5, items 5)``."""
    ((name, table),) = table_of(step).items()
    return f"{name} ({', '.join(f'{key} {value}' for key, value in table.items())})"


def kept_rows(step: Step, ratings: Ratings, keep: np.ndarray) -> Ratings:
    """Ratings whose rows are those of ``keep`` and whose users and items are those that are left.

    Args:
        step: for the error.
        ratings: what it works on.
        keep: (n,) bool.

    Raises:
        DataError: no row is kept.
    """
    if not keep.any():
        raise DataError(
            f"{ratings.source.name}: {word_of(step)} leaves nothing of {len(keep):,} ratings of "
            f"{ratings.n_users:,} users and {ratings.n_items:,} items",
            hint=f"See what is in it: recsearch data show {ratings.source.name}",
        )
    user_numbers, users = np.unique(ratings.users[keep], return_inverse=True)
    item_numbers, items = np.unique(ratings.items[keep], return_inverse=True)
    return identified(
        ratings.source,
        ratings.user_ids[user_numbers],
        ratings.item_ids[item_numbers],
        None if ratings.titles is None else ratings.titles[item_numbers],
        users.astype(np.int32),
        items.astype(np.int32),
        ratings.values[keep],
        None if ratings.times is None else ratings.times[keep],
    )


def with_values(ratings: Ratings, values: np.ndarray) -> Ratings:
    """The same pairs with other ratings, and so another identity."""
    return identified(
        ratings.source,
        ratings.user_ids,
        ratings.item_ids,
        ratings.titles,
        ratings.users,
        ratings.items,
        values,
        ratings.times,
    )


def _frequent(users: np.ndarray, items: np.ndarray, least: Minimum | Core) -> np.ndarray:
    """(n,) bool: rows whose user and item both have at least so many of these rows."""
    enough_users = np.bincount(users)[users] >= least.users
    return np.asarray(enough_users & (np.bincount(items)[items] >= least.items))


def _seconds(step: Time, key: str) -> int | None:
    moment = getattr(step, key)
    try:
        return None if moment is None else seconds_of(moment)
    except ValueError:
        raise _refused(step, f"{key}, an ISO date or whole seconds since 1970") from None


def _check_number(step: Step, key: str, value: Any, *, optional: bool = False) -> None:
    if (value is None and optional) or _is_number(value):
        return
    raise _refused(step, f"{key}, a number")


def _check_range(step: Step, low: float | None, high: float | None, keys: tuple[str, str]) -> None:
    if low is None and high is None:
        raise _refused(step, " or ".join(keys))
    if low is not None and high is not None and low > high:
        raise _refused(step, f"{keys[0]} no greater than {keys[1]}")


def _check_counts(step: Step, counts: dict[str, Any]) -> None:
    whole = all(type(count) is int and count >= 1 for count in counts.values())
    if whole and max(counts.values()) > 1:
        return
    raise _refused(step, f"{' or '.join(counts)}, whole numbers of which one is 2 or more")


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _refused(step: Step, expected: str) -> UsageError:
    return UsageError(f"{word_of(step)} does not fit, expected {expected}")

"""``data-profile.json`` of a run, checked: what is in its data set."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from analysis.values import dig
from recsearch.run import RunView
from recsearch.run_paths import RunPaths

FORMAT = 1
"""That of `recsearch.data.profile`, which pages do not import: they need no ratings."""


class Concentration(NamedTuple):
    """How ratings are spread over those users, or items, that have any.

    Attributes:
        number: of users or items.
        least, median, mean, most: ratings of one.
        gini: 0 where all have the same number.
        lorenz: (share of the least rated, share of the ratings that they have), from 0 to 1.
        ranks: (rank, ratings at that rank), the most rated first.
    """

    number: int
    least: int
    median: float
    mean: float
    most: int
    gini: float
    lorenz: tuple[tuple[float, float], ...]
    ranks: tuple[tuple[int, int], ...]


class RatingBin(NamedTuple):
    """Ratings from ``low`` to ``high``, inclusive; one value where they are equal."""

    low: float
    high: float
    ratings: int


class Unknown(NamedTuple):
    """Of one part: held-out items and ratings, and those of items without a training rating."""

    heldout_items: int
    unknown_items: int
    heldout_ratings: int
    unknown_ratings: int


class Profile(NamedTuple):
    """What is in a data set; ``unknown`` is by split id."""

    n_users: int
    n_items: int
    n_ratings: int
    density: float
    first: str | None
    last: str | None
    histogram: tuple[RatingBin, ...]
    users: Concentration
    items: Concentration
    unknown: dict[str, Unknown]


def read_profile(run: RunView) -> Profile | None:
    """The profile in a run folder; None where it is absent, damaged or of other ratings."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        document = json.loads(RunPaths(run.path).data_profile.read_text(encoding="utf-8"))
        if document["dataset_id"] == dig(run.identity, "dataset", "dataset_id"):
            return _profile(document)
    return None


def _profile(document: dict[str, Any]) -> Profile:
    if document["format"] != FORMAT:
        raise ValueError("another format")
    return Profile(
        n_users=int(document["n_users"]),
        n_items=int(document["n_items"]),
        n_ratings=int(document["n_ratings"]),
        density=_finite(document["density"]),
        first=None if document["first"] is None else str(document["first"]),
        last=None if document["last"] is None else str(document["last"]),
        histogram=tuple(
            RatingBin(_finite(row["low"]), _finite(row["high"]), int(row["ratings"]))
            for row in document["histogram"]
        ),
        users=_concentration(document["users"]),
        items=_concentration(document["items"]),
        unknown={
            str(part["split_id"]): Unknown(*(int(part[name]) for name in Unknown._fields))
            for part in document["parts"]
        },
    )


def _concentration(found: dict[str, Any]) -> Concentration:
    return Concentration(
        number=int(found["number"]),
        least=int(found["least"]),
        median=_finite(found["median"]),
        mean=_finite(found["mean"]),
        most=int(found["most"]),
        gini=_finite(found["gini"]),
        lorenz=tuple((_finite(x), _finite(y)) for x, y in _pairs(found["lorenz"])),
        ranks=tuple((int(rank), int(n)) for rank, n in _pairs(found["ranks"])),
    )


def _pairs(rows: Iterable[Any]) -> list[tuple[Any, Any]]:
    found = [(first, second) for first, second in rows]
    if not found:
        raise ValueError("a curve without points")
    return found


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number

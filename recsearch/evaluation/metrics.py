"""Metric names: what each one is called, which direction is better, where its list is cut."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from recsearch.errors import UsageError

EVALUATION_VERSION = 1
"""Part of every trial's key: raised whenever a metric's numbers change."""

Direction: TypeAlias = Literal["min", "max"]
Kind: TypeAlias = Literal["rating", "ranking"]

RATING = ("RMSE", "RMSE-pooled", "MAE", "MAE-pooled")
"""Errors of predicted ratings; lower is better."""

RANKING = ("NDCG", "DCG", "RBP", "RecipRank", "Hit", "Precision", "Recall", "MAP")
"""Metrics of ranked lists; higher is better."""

NEEDS_CUTOFF = frozenset({"Hit", "Precision", "Recall"})
"""On a full ranking these say nothing about the order, so they exist at a cutoff only."""

_USUAL = ("NDCG", "NDCG@10", "RBP", "RecipRank", "Hit@10", "Precision@10", "Recall@10", "MAP@10")
_SHAPE = re.compile(r"(?P<base>[^@]+)(?:@(?P<k>[1-9][0-9]*))?")
_OTHER_NAMES = {
    "mrr": "RecipRank",
    "reciprocalrank": "RecipRank",
    "hitrate": "Hit",
    "hr": "Hit",
    "ap": "MAP",
    "averageprecision": "MAP",
    "prec": "Precision",
}


@dataclass(frozen=True)
class Metric:
    """A metric by name.

    Attributes:
        name: as in files and reports, such as ``NDCG@10``.
        kind: ``rating`` (errors of predictions) or ``ranking`` (quality of a ranked list).
        direction: ``min`` if lower is better, else ``max``.
        k: length at which the list is cut; None for the whole ranking.
    """

    name: str
    kind: Kind
    direction: Direction
    k: int | None = None

    @property
    def base(self) -> str:
        """The name without its cutoff."""
        return self.name.partition("@")[0]

    @property
    def pooled(self) -> bool:
        """Whether it is over all ratings, so that no values of users have it as their mean."""
        return self.base.endswith("-pooled")


@lru_cache(maxsize=256)
def parse(name: str) -> Metric:
    """Look up a metric; names are case-sensitive, ranking metrics take ``@k``.

    Raises:
        UsageError: no such metric; the nearest valid name is in the hint.
    """
    shape = _SHAPE.fullmatch(name)
    if shape is not None:
        base, cut = shape["base"], shape["k"]
        if base in RATING and cut is None:
            return Metric(name, "rating", "min")
        if base in RANKING and (cut is not None or base not in NEEDS_CUTOFF):
            return Metric(name, "ranking", "max", None if cut is None else int(cut))
    raise _unknown(name)


def better(metric: Metric, a: float, b: float) -> bool:
    """Whether ``a`` is strictly better than ``b``.

    A value that is not finite is never better; a finite one is better than one that is not.
    """
    if not math.isfinite(a):
        return False
    if not math.isfinite(b):
        return True
    return a < b if metric.direction == "min" else a > b


def default_metrics(predicts_ratings: bool) -> tuple[str, ...]:
    """What is measured after every epoch unless a search asks for more."""
    return (*RATING, *_USUAL) if predicts_ratings else _USUAL


def _unknown(name: str) -> UsageError:
    base, _, cut = name.partition("@")
    if base in NEEDS_CUTOFF and not cut:
        return UsageError(
            f"{name}: this metric needs a cutoff, the length of the list it looks at.",
            hint=f"For example {base}@10.",
        )
    valid = ", ".join([*RATING, *(b + "@k" if b in NEEDS_CUTOFF else f"{b}[@k]" for b in RANKING)])
    near = nearest(name)
    return UsageError(
        f"{name!r} is no metric. Metrics are {valid}, with k a whole number from 1.",
        hint=None if near is None else f"Did you mean {near}?",
    )


def nearest(name: str) -> str | None:
    """The valid metric name that ``name`` most likely stands for, if any comes near."""
    letters, cut = _split_digits(name)
    known = {**{b.lower(): b for b in (*RATING, *RANKING)}, **_OTHER_NAMES}
    close = difflib.get_close_matches(letters, known, n=1, cutoff=0.6)
    if not close:
        return None
    base = known[close[0]]
    if base in RATING:
        return base
    if cut:
        return f"{base}@{cut}"
    return f"{base}@10" if base in NEEDS_CUTOFF else base


def _split_digits(name: str) -> tuple[str, str]:
    plain = name.strip().lower().replace("_", "-")
    letters = plain.rstrip("0123456789")
    cut = plain[len(letters) :].lstrip("0")
    letters = letters.rstrip("@- ")
    return (letters if letters in {b.lower() for b in RATING} else letters.replace("-", "")), cut

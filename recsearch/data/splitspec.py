"""What a split can be asked for: methods, their parameters and what those may be."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any

from recsearch.data.moments import seconds_of
from recsearch.errors import UsageError

FRACTIONS = (0.8, 0.9)
"""Where global time is cut unless told otherwise: 80 % to train, 10 % each to validate and test."""

USES = {
    "crossfold-users": ("folds", "holdout", "seed", "rng", "pick", "isolate"),
    "crossfold-records": ("folds", "seed"),
    "sample-users": ("folds", "holdout", "seed", "rng", "size", "pick", "isolate"),
    "sample-records": ("folds", "seed", "size", "isolate"),
    "global-time": ("cuts",),
}
"""Method to the parameters that play a part in it."""

METHODS = tuple(USES)
PICKS = ("random", "last")
GENERATORS = ("separate", "shared")
OPTIONAL = ("rng", "pick", "isolate")
"""Parameters that are recorded only where they are not the default: older splits lack them."""


@dataclass(frozen=True)
class SplitSpec:
    """How to split.

    Attributes:
        method: ``crossfold-users``: users are dealt into ``folds`` parts; each user of a part
            has ratings held out, and everything else is for training. ``sample-users``: the same
            for ``folds`` disjoint samples of ``size`` users. ``crossfold-records`` and
            ``sample-records``: ratings are dealt or sampled whoever gave them. ``global-time``:
            one moment ends the training period, another the validation period; part 0 trains
            before the first and is measured between them, part 1 trains before the second and
            is measured from then on.
        folds: Number of parts.
        holdout: Ratings held out per user of the part: a number (int), or a share of the user's
            ratings (float between 0 and 1), rounded as LensKit rounds.
        seed: Seed of the generators that deal the users and pick the ratings.
        rng: ``separate``: these are two generators, both seeded alike. ``shared``: they are one, as
            LensKit's is after ``set_global_rng(seed)``; the LensKit Codex has split so, with this
            seed, since July 2026.
        pick: Which of a user's ratings are held out, ``random`` or the ``last`` in time; of equal
            times the items with the higher numbers.
        size: Users or ratings in each sample: a number, or a share of all (float).
        cuts: The two moments of ``global-time``: shares of all ratings (float between 0 and 1),
            seconds since 1970 (int) or ISO dates (str, UTC). Empty for `FRACTIONS`.
        isolate: Whether what any part holds out is left out of the training ratings of all
            parts, so that no training set has seen a rating of another part's users that is
            held out there. LensKit and its Codex do not do so.
    """

    method: str = "crossfold-users"
    folds: int = 5
    holdout: int | float = 5
    seed: int = 20260701
    rng: str = "separate"
    pick: str = "random"
    size: int | float | None = None
    cuts: tuple[int | float | str, ...] = ()
    isolate: bool = False

    @property
    def parts(self) -> int:
        """Number of parts. A search validates on the first; what it leaves is for testing."""
        return 2 if self.method == "global-time" else self.folds

    def table(self) -> dict[str, Any]:
        """The parameters that play a part, as JSON values; optional ones where not the default."""
        found: dict[str, Any] = {"method": self.method}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in USES.get(self.method, ()) and (
                field.name not in OPTIONAL or value != field.default
            ):
                found[field.name] = value
        if "cuts" in found:
            found["cuts"] = list(self.cuts or FRACTIONS)
        return found

    def __str__(self) -> str:
        """``crossfold-users (folds 5, holdout 5, seed 20260701)``."""
        words = [f"{key} {_word(value)}" for key, value in list(self.table().items())[1:]]
        return f"{self.method} ({', '.join(words)})"


def check_spec(spec: SplitSpec, part: int = 0) -> None:
    """Refuse what cannot be meant, whatever the data set.

    Raises:
        UsageError: an unknown method, pick or rng, a parameter out of range or without a part in
            the method, or no such part.
    """
    for what, word, known in (
        ("method", spec.method, METHODS),
        ("pick", spec.pick, PICKS),
        ("rng", spec.rng, GENERATORS),
    ):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0)
            raise UsageError(
                f"there is no split {what} {word!r}; the nearest is {near[0]!r}",
                hint=f"One of: {', '.join(known)}.",
            )
    for field in fields(spec):
        unused = field.name != "method" and field.name not in USES[spec.method]
        if unused and getattr(spec, field.name) != field.default:
            raise UsageError(
                f"{field.name} plays no part in the split method {spec.method}, which takes "
                f"{', '.join(USES[spec.method])}"
            )
    if spec.folds < 2 or not _amount(spec.holdout) or spec.seed < 0:
        raise UsageError(
            f"a split needs folds >= 2, holdout >= 1 (or a share between 0 and 1) and seed >= 0, "
            f"not folds = {spec.folds}, holdout = {spec.holdout}, seed = {spec.seed}"
        )
    if "size" in USES[spec.method] and (spec.size is None or not _amount(spec.size)):
        raise UsageError(
            f"the split method {spec.method} needs size, a number >= 1 or a share between 0 and "
            f"1, not {spec.size}"
        )
    if spec.cuts and len(spec.cuts) != 2:
        raise UsageError(
            f"global-time needs two cuts, the ends of the training and the validation period, "
            f"not {len(spec.cuts)}"
        )
    for cut in spec.cuts:
        seconds_of_cut(cut)
    if not 0 <= part < spec.parts:
        raise UsageError(
            f"there is no part {part}: a split into {spec.parts} has parts 0 to {spec.parts - 1}"
        )


def seconds_of_cut(cut: int | float | str) -> int | None:
    """Seconds since 1970 (UTC) of a cut, or None for a share of all ratings.

    Raises:
        UsageError: it is neither a share, nor seconds, nor an ISO date.
    """
    if isinstance(cut, float) and 0 < cut < 1:
        return None
    try:
        return seconds_of(cut)  # type: ignore[arg-type]
    except ValueError:
        raise UsageError(
            f"a cut of global-time is {cut!r}, expected a share between 0 and 1, whole seconds "
            "since 1970 or an ISO date such as 2000-12-31"
        ) from None


def amount_of(amount: int | float, total: int) -> int:
    """A number as it is; a share as the rounded number it comes to."""
    return round(total * amount) if isinstance(amount, float) else amount


def _amount(value: int | float) -> bool:
    return 0 < value < 1 if isinstance(value, float) else value >= 1


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(_word(each) for each in value)
    return str(value).lower() if isinstance(value, bool) else str(value)

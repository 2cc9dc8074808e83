"""What the searches are to reach, as pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.search.best_so_far import time_until
from benchmarks.search.equal import TOLERANCE, totals

Steps = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One target.

    Attributes:
        target: What is to be reached.
        limit: The figure to reach.
        figure: What was measured; None where it was not.
        met: Whether it is reached; None where it was not measured.
        at_least: Whether more is better.
    """

    target: str
    limit: float
    figure: float | None
    met: bool | None
    at_least: bool = True


def verdict(target: str, limit: float, figure: float | None, *, at_least: bool = True) -> Verdict:
    """Compare a figure with its limit."""
    if figure is None:
        return Verdict(target, limit, None, None, at_least)
    met = figure >= limit if at_least else figure <= limit
    return Verdict(target, limit, figure, met, at_least)


def judge(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All targets of the parts that are complete, those of other parts as not measured."""
    whole, equal = (steps_of(parts, name) for name in ("search", "equal"))
    compared = comparison(whole)
    found = [
        verdict("equal configurations, wall time of LensKit / ours", 12, wall_ratio(equal)),
        verdict(
            "RMSE per epoch, distance to LensKit or, beyond it, to float64",
            TOLERANCE,
            farthest(equal),
            at_least=False,
        ),
        verdict("configurations without a comparison", 0, incomparable(equal), at_least=False),
        verdict("whole search, wall time of LensKit / ours, median", 30, compared.get("ratio")),
        verdict("its best RMSE, LensKit's - ours, median", 0, compared.get("better_by")),
    ]
    found += _evaluation(steps_of(parts, "evaluation").get("run", {}))
    return [*map(asdict, found), *_others(parts)]


def _evaluation(found: Mapping[str, Any]) -> list[Verdict]:
    both = found.get("lenskit", {})
    shares = [row["share"] for row in found.get("training", [])]
    differences = both.get("differences", {}).get("same_lists", {}).values()
    return [
        verdict("evaluation, CPU time of LensKit's loop / ours", 50, both.get("ratio")),
        verdict(
            "evaluation, largest difference to LensKit on any list",
            1e-6,
            max(differences, default=None),
            at_least=False,
        ),
        verdict(
            "evaluation, largest share of an epoch's training",
            0.1,
            max(shares, default=None),
            at_least=False,
        ),
    ]


def _others(parts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in parts.values():
        for steps in part.get("steps", {}).values():
            if isinstance(steps, Mapping):
                yield from steps.get("targets", [])


def steps_of(parts: Mapping[str, Any], name: str) -> Steps:
    """The steps of a part if it is complete, else none."""
    part = parts.get(name, {})
    found: Steps = part.get("steps", {}) if part.get("complete") else {}
    return found


def wall_ratio(steps: Steps) -> float | None:
    """Wall seconds of LensKit by those of ours, over all chunks."""
    if not steps:
        return None
    return totals(steps, "lenskit")["wall_s"] / totals(steps, "ours")["wall_s"]


def farthest(steps: Steps) -> float | None:
    """The largest distance of ours: to LensKit, or to float64 where that is nearer."""
    found = [distance(row) for row in steps.get("configurations", [])]
    return max((d for d in found if d is not None), default=None)


def incomparable(steps: Steps) -> int | None:
    """Configurations whose epochs one side has and the other lacks, or where one diverged."""
    rows = steps.get("configurations")
    return None if rows is None else sum(distance(row) is None for row in rows)


def distance(row: Mapping[str, Any]) -> float | None:
    """Of one configuration, see :func:`farthest`."""
    found = [row["difference"], row.get("ours_from_float64")]
    return min((d for d in found if d is not None), default=None)


def comparison(steps: Steps) -> dict[str, Any]:
    """Our seeds and LensKit side by side; medians over the seeds.

    Returns:
        ``ratio`` of wall seconds, ``cpu_ratio``, ``better_by`` in RMSE, and by seed the seconds
        ``until_beaten`` (None where LensKit's best was never reached). Empty where there is
        nothing to compare.
    """
    theirs = steps.get("lenskit")
    seeds = ours_by_seed(steps)
    if not theirs or not seeds or theirs["best"] is None:
        return {}
    bests = [found["best"] for found in seeds.values()]
    return {
        "ratio": theirs["wall_s"] / median(found["wall_s"] for found in seeds.values()),
        "cpu_ratio": theirs["cpu_s"] / median(found["cpu_s"] for found in seeds.values()),
        "better_by": None if None in bests else theirs["best"] - median(bests),
        "until_beaten": {
            seed: time_until(found["best_so_far"], theirs["best"]) for seed, found in seeds.items()
        },
    }


def ours_by_seed(steps: Steps) -> dict[str, Mapping[str, Any]]:
    """Our searches by seed."""
    return {
        name.removeprefix("ours "): found
        for name, found in steps.items()
        if name.startswith("ours ")
    }


def passed(steps: Steps, value: float | None) -> float | None:
    """Median seconds after which our searches had reached ``value``; None where not all did."""
    times = (
        [time_until(found["best_so_far"], value) for found in ours_by_seed(steps).values()]
        if (value is not None)
        else []
    )
    return median(t for t in times if t is not None) if times and None not in times else None

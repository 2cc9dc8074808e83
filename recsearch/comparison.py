"""Are two runs different? Paired statistics over users, corrected for the number of questions.

The test statistics are scipy's. Intervals are percentile bootstraps over users (Efron & Tibshirani
1993), effect sizes Cohen's d of paired differences (d_z) and the matched-pairs rank-biserial
correlation (Kerby 2014), and the correction is Holm's (1979).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from recsearch.errors import UsageError, VerificationError
from recsearch.evaluation import parse
from recsearch.identity import derive_seed

RESAMPLES = 10_000
LEVEL = 0.95
BLOCK_BYTES = 32 << 20
"""Memory for the resamples drawn at a time."""

DECIMALS = 12
"""Differences are rounded to these: 0.3 - 0.2 and 0.2 - 0.1 are one difference, not two ranks."""


@dataclass(frozen=True)
class Sample:
    """Values by user of one run.

    Attributes:
        name: of the run.
        split_id: what they were measured on; only equal ones can be compared.
        users: (n,) ids of the users.
        values: metric name to (n,) float64; NaN where a user has none.
        seed_std: metric name to the standard error of its mean that is due to seeds, where known.
        measured: what of the run this is, as `recsearch.comparison_file` records it.
    """

    name: str
    split_id: str
    users: np.ndarray
    values: Mapping[str, np.ndarray]
    seed_std: Mapping[str, float]
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """One metric of two runs.

    Attributes:
        metric: its name.
        one, other: names of the runs.
        mean_one, mean_other: means over the pairs.
        difference: ``mean_one - mean_other``.
        low, high: bootstrap interval of the difference at `LEVEL`.
        p_wilcoxon, p_t: two-sided p values of the Wilcoxon signed-rank and the paired t test.
        p_wilcoxon_holm, p_t_holm: the same after Holm's correction over metrics and pairs.
        cohens_d: mean difference in standard deviations of the differences.
        rank_biserial: from -1 to 1; how much of the rank sum speaks for ``one`` being larger.
        better: name of the run that is better by the metric's direction, None where equal.
        seed_noise: standard deviation of the difference if only seeds differed, where known.
        users: number of pairs: users for whom both have a value.
    """

    metric: str
    one: str
    other: str
    mean_one: float
    mean_other: float
    difference: float
    low: float
    high: float
    p_wilcoxon: float
    p_t: float
    p_wilcoxon_holm: float
    p_t_holm: float
    cohens_d: float
    rank_biserial: float
    better: str | None
    seed_noise: float | None
    users: int


def compare(samples: Sequence[Sample], metrics: Sequence[str] | None = None) -> list[Comparison]:
    """Compare every pair of runs by every metric that all of them have.

    Raises:
        UsageError: fewer than two runs, an unknown metric, none in common, or fewer than two users
            with a value.
        VerificationError: they were measured on other splits, or other users.
    """
    if len(samples) < 2:
        raise UsageError("a comparison needs two runs at least, such as runs/a runs/b.")
    _check_same_users(samples)
    names = _metrics(samples, metrics)
    questions = [(*pair, metric) for pair in combinations(samples, 2) for metric in names]
    columns = np.column_stack([one.values[m] - other.values[m] for one, other, m in questions])
    # Users are resampled alike for all metrics and pairs, so their intervals can be compared.
    intervals = bootstrap_intervals(np.round(columns, DECIMALS), derive_seed(0, "bootstrap"))
    rows = [
        _compare(*question, interval)
        for question, interval in zip(questions, intervals.tolist(), strict=True)
    ]
    wilcoxon = holm([row.p_wilcoxon for row in rows])
    t = holm([row.p_t for row in rows])
    return [
        replace(row, p_wilcoxon_holm=w, p_t_holm=p)
        for row, w, p in zip(rows, wilcoxon, t, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction; values stay in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    corrected, largest = [0.0] * len(p_values), 0.0
    for done, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[at]))
        corrected[at] = largest
    return corrected


def bootstrap_intervals(columns: np.ndarray, seed: int | np.random.SeedSequence) -> np.ndarray:
    """Percentile intervals of the means of columns, over `RESAMPLES` resamples of their rows.

    Args:
        columns: (n, m) values of n users; NaN where a user has none.
        seed: of the resamples, which are the same for all columns.

    Returns:
        (m, 2) lower and upper ends.
    """
    rng, n = np.random.default_rng(seed), len(columns)
    there = ~np.isnan(columns)
    sums, counts = np.where(there, columns, 0.0), there.astype(np.float64)
    block = max(1, BLOCK_BYTES // (8 * n))
    means = np.empty((RESAMPLES, columns.shape[1]))
    for begin in range(0, RESAMPLES, block):
        drawn = rng.integers(0, n, (min(block, RESAMPLES - begin), n))
        times = np.stack([np.bincount(users, minlength=n) for users in drawn]).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a resample of users without a value has no mean
            means[begin : begin + len(drawn)] = (times @ sums) / (times @ counts)
    tail = (1 - LEVEL) / 2
    ends: np.ndarray = np.nanquantile(means, [tail, 1 - tail], axis=0).T
    return ends


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation of (n,) differences; zeros are left out."""
    from scipy.stats import rankdata

    left = differences[differences != 0]
    if not len(left):
        return 0.0
    ranks = rankdata(np.abs(left))
    return float((ranks[left > 0].sum() - ranks[left < 0].sum()) / ranks.sum())


def _compare(one: Sample, other: Sample, metric: str, interval: Sequence[float]) -> Comparison:
    a, b = one.values[metric], other.values[metric]
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    differences = np.round(a - b, DECIMALS)
    difference = float(differences.mean())
    p_wilcoxon, p_t, d = _tests(differences)
    noise = [sample.seed_std[metric] for sample in (one, other) if metric in sample.seed_std]
    gain = difference if parse(metric).direction == "max" else -difference
    low, high = interval
    return Comparison(
        metric=metric,
        one=one.name,
        other=other.name,
        mean_one=float(a.mean()),
        mean_other=float(b.mean()),
        difference=difference,
        low=low,
        high=high,
        p_wilcoxon=p_wilcoxon,
        p_t=p_t,
        p_wilcoxon_holm=p_wilcoxon,
        p_t_holm=p_t,
        cohens_d=d,
        rank_biserial=rank_biserial(differences),
        better=None if gain == 0 else (one.name if gain > 0 else other.name),
        seed_noise=math.hypot(*noise) if len(noise) == 2 else None,
        users=len(differences),
    )


def _tests(differences: np.ndarray) -> tuple[float, float, float]:
    """P of Wilcoxon and of t, and d_z, of two differences or more; 1, 1 and 0 where none is."""
    from scipy.stats import ttest_1samp, wilcoxon

    if not differences.any():
        return 1.0, 1.0, 0.0
    p_wilcoxon = float(wilcoxon(differences).pvalue)
    spread = float(differences.std(ddof=1))
    if spread <= 1e-12 * float(np.abs(differences).max()):
        # All users differ by the same amount: the t statistic is infinite.
        return p_wilcoxon, 0.0, math.copysign(math.inf, differences[0])
    return p_wilcoxon, float(ttest_1samp(differences, 0).pvalue), float(differences.mean() / spread)


def _metrics(samples: Sequence[Sample], wanted: Sequence[str] | None) -> list[str]:
    common = [
        name
        for name in samples[0].values
        if all(name in sample.values for sample in samples) and not parse(name).pooled
    ]
    if not common:
        raise UsageError(
            "these runs have no metric in common.", hint="Name some: --metrics NDCG@10"
        )
    names = common if wanted is None else list(dict.fromkeys(parse(n).name for n in wanted))
    for name in names:
        if parse(name).pooled:
            raise UsageError(
                f"{name}: is over all ratings, so users have no values of it to pair.",
                hint=f"Compare by {name.removesuffix('-pooled')}.",
            )
        if name not in common:
            raise UsageError(
                f"{name}: not measured for all of these runs; they have {', '.join(common)}."
            )
        there = np.all([np.isfinite(sample.values[name]) for sample in samples], axis=0)
        if there.sum() < 2:
            raise UsageError(
                f"{name}: {there.sum()} users have a value in all runs, too few to compare."
            )
    return names


def _check_same_users(samples: Sequence[Sample]) -> None:
    first = samples[0]
    for sample in samples[1:]:
        if sample.split_id != first.split_id or not np.array_equal(sample.users, first.users):
            raise VerificationError(
                f"{first.name} and {sample.name} were measured on other splits or other parts "
                f"of one ({first.split_id[:12]} and {sample.split_id[:12]}), so their users are no "
                "pairs.",
                hint="Search both on the same data with the same --split-seed; with --test, run "
                "recsearch final with the same --parts.",
            )

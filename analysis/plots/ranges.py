"""Axis limits and ticks as pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from analysis.formatting import MINUS, metric, number, power
from analysis.values import Reference

NEAR = 0.35
"""Spans of the data that a reference line may lie beyond it and still widen the axis."""
MANY = 10
"""Values from which on the worse half may be cut."""
ENOUGH = 0.25
"""Share of the values that must be better than a baseline for an axis to end there."""


class Tick(NamedTuple):
    """A position on an axis and its label."""

    value: float
    label: str


class ValueRange(NamedTuple):
    """Limits of an objective axis.

    Attributes:
        low, high: axis limits.
        clipped: number of values beyond the limits, on the bad side; the good side is never cut.
    """

    low: float
    high: float
    clipped: int

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies inside the limits."""
        return self.low <= value <= self.high


def value_range(
    values: Sequence[float],
    direction: str,
    references: Sequence[Reference] = (),
    near: float = NEAR,
) -> ValueRange | None:
    """Limits that show the good values well; None without a finite value.

    Bad values beyond Tukey's fence (third quartile plus 1.5 interquartile ranges, counted towards
    the bad side; Exploratory Data Analysis, 1977) are cut if they take over a third of the axis. A
    reference line at most ``near`` spans beyond the data widens the limits.
    """
    costs = _costs(values, direction)
    if costs.size == 0:
        return None
    best, worst = float(costs.min()), float(costs.max())
    inside = costs[costs <= _fence(costs)]
    kept = float(inside.max()) if inside.size else worst
    if worst - best > 1.5 * (kept - best) > 0:
        worst = kept
    return _limits(costs, worst, direction, references, near)


def good_range(
    values: Sequence[float],
    direction: str,
    references: Sequence[Reference] = (),
    near: float = NEAR,
) -> ValueRange | None:
    """Limits that give the better half of the values about half of the axis.

    The axis ends twice as far from the best as the median; at a baseline already that `ENOUGH` of
    the values are better than, where that is nearer. So it never hides the better half. Below
    `MANY` values, and where that would be no nearer, it is `value_range`.
    """
    costs = _costs(values, direction)
    found = value_range(values, direction, references, near)
    if costs.size < MANY or found is None:
        return found
    best, median = float(costs.min()), float(np.median(costs))
    worst = min(float(costs.max()), 2 * median - best)
    sign = -1.0 if direction == "max" else 1.0
    for reference in references:
        cost = sign * reference.value
        if cost >= median and np.mean(costs < cost) >= ENOUGH:
            worst = min(worst, cost)
    cut = _limits(costs, worst, direction, references, near)
    return cut if worst > best and cut.high - cut.low < found.high - found.low else found


def _costs(values: Sequence[float], direction: str) -> np.ndarray:
    """The finite values, lower is better."""
    sign = -1.0 if direction == "max" else 1.0
    return sign * np.array([value for value in values if math.isfinite(value)], dtype=np.float64)


def _limits(
    costs: np.ndarray, worst: float, direction: str, references: Sequence[Reference], near: float
) -> ValueRange:
    """An axis from the best of ``costs`` to ``worst``, with the references near it."""
    sign = -1.0 if direction == "max" else 1.0
    best = float(costs.min())
    low, high = best, worst
    span = (high - low) or max(abs(high) * 0.02, 1e-6)
    for reference in references:
        cost = sign * reference.value
        if best - near * span <= cost <= worst + near * span:
            low, high = min(low, cost), max(high, cost)
    pad = 0.07 * ((high - low) or 2 * span)
    low, high = low - pad, high + pad
    limits = (low, high) if sign > 0 else (-high, -low)
    return ValueRange(*limits, clipped=int(np.count_nonzero(costs > high)))


def beyond_text(references: Sequence[Reference], limits: ValueRange) -> str:
    """A sentence on the reference lines that fall outside the axis, "" if none does."""
    outside = [f"{r.label} ({metric(r.value)})" for r in references if not limits.holds(r.value)]
    return f" Beyond the axis: {', '.join(outside)}." if outside else ""


def linear_ticks(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[Tick]:
    """Round ticks inside [low, high], all with the same number of decimals."""
    steps = [1, 2, 2.5, 5, 10] if not whole else [1, 2, 5, 10]
    locator = MaxNLocator(nbins=most, steps=steps, integer=whole, min_n_ticks=1)
    slack = 1e-9 * (high - low)
    found = [float(v) for v in locator.tick_values(low, high) if low - slack <= v <= high + slack]
    if whole:
        found = [v for v in found if v.is_integer()]
    if len(found) < 2:
        return [Tick(v, number(v)) for v in found]
    step = found[1] - found[0]
    decimals = next((d for d in range(8) if _is_round(step, d)), 8)
    if decimals > 6 or max(map(abs, found)) >= 1e6:
        return [Tick(v, number(v)) for v in found]
    return [Tick(v, f"{v + 0.0:.{decimals}f}".replace("-", MINUS)) for v in found]


def log_ticks(low: float, high: float, most: int = 5) -> list[Tick]:
    """Ticks of a logarithmic axis: powers of ten, or rounder steps where decades are too few."""
    if high < 6 * low:
        return linear_ticks(low, high, most)
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = list(range(first, last + 1))
    if len(decades) >= 3:
        step = math.ceil(len(decades) / most)
        kept = [exponent for exponent in decades if (exponent - first) % step == 0]
        plain = kept[0] >= -3 and kept[-1] <= 4
        return [Tick(10.0**e, _plain(e) if plain else power(10, e)) for e in kept]
    candidates = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
    inside = [v for v in candidates if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    step = max(1, math.ceil(len(inside) / (most + 1)))
    return [Tick(v, number(v)) for v in inside[::step]]


def binary_ticks(low: float, high: float, most: int = 6) -> list[Tick]:
    """Ticks of an axis of powers of two."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / most))
    return [Tick(2.0**e, number(2.0**e)) for e in range(first, last + 1, step)]


def _fence(costs: np.ndarray) -> float:
    if costs.size < 4:
        return math.inf
    first, third = np.percentile(costs, [25, 75])
    return float(third + 1.5 * (third - first))


def _is_round(step: float, decimals: int) -> bool:
    scaled = step * 10**decimals
    return abs(scaled - round(scaled)) < 1e-6 * scaled


def _plain(exponent: int) -> str:
    return f"{10.0**exponent:.{max(0, -exponent)}f}"

"""Where the trials' values of one parameter lie on the scale that they were sampled from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from analysis.formatting import value_text
from analysis.parameters import Parameter
from analysis.plots.ranges import Tick, binary_ticks, linear_ticks, log_ticks
from analysis.plots.svg import shorten
from analysis.values import finite
from recsearch.identity import canonical_json

MOST_LABELS = 8
FEW_WHOLE = 12
"""Whole numbers spanning no more than this are spread sideways, as categories are."""
_GOLDEN = (math.sqrt(5) - 1) / 2


class SampledAxis(NamedTuple):
    """A horizontal axis.

    Attributes:
        x: one position per trial; None where its value has no place on the scale.
        low, high: the parameter's range, widened where values lie outside.
        spread: whether equal values were moved apart, by a fixed amount per trial.
    """

    x: tuple[float | None, ...]
    low: float
    high: float
    ticks: tuple[Tick, ...]
    spread: bool


def sampled_axis(parameter: Parameter, raw: Sequence[Any], trials: Sequence[int]) -> SampledAxis:
    """Place the values ``raw`` of ``trials``."""
    if parameter.scale == "category":
        return _categories(parameter, raw, trials)
    x = [_on_scale(value, parameter.scale) for value in raw]
    known = [v for v in [*x, parameter.low, parameter.high] if v is not None]
    low, high = min(known), max(known)
    ticks = tuple(_ticks(parameter, low, high))
    if parameter.kind == "int" and parameter.scale == "linear" and high - low <= FEW_WHOLE:
        moved = [None if v is None else v + jitter(t) for v, t in zip(x, trials, strict=True)]
        return SampledAxis(tuple(moved), low - 0.5, high + 0.5, ticks, spread=True)
    return SampledAxis(tuple(x), low, high, ticks, spread=False)


def jitter(trial: int) -> float:
    """A sideways shift in [-0.25, 0.25), well spread over consecutive trials."""
    return ((trial * _GOLDEN) % 1.0 - 0.5) * 0.5


def _categories(parameter: Parameter, raw: Sequence[Any], trials: Sequence[int]) -> SampledAxis:
    names = {canonical_json(value): value for value in [*parameter.choices, *raw]}
    place = {key: rank for rank, key in enumerate(names)}
    x = [place[canonical_json(v)] + jitter(t) for v, t in zip(raw, trials, strict=True)]
    step = math.ceil(len(names) / MOST_LABELS)
    most = max(4, 40 // min(len(names), MOST_LABELS))
    ticks = tuple(
        Tick(float(rank), shorten(value_text(value), most))
        for rank, value in enumerate(names.values())
        if rank % step == 0
    )
    return SampledAxis(tuple(x), -0.5, len(names) - 0.5, ticks, spread=True)


def _on_scale(value: Any, scale: str) -> float | None:
    number = finite(value)
    return None if number is None or (scale != "linear" and number <= 0) else number


def _ticks(parameter: Parameter, low: float, high: float) -> list[Tick]:
    whole = parameter.kind == "int"
    if parameter.scale == "log2" or (parameter.scale == "log" and whole and high >= 8 * low):
        return binary_ticks(low, high)
    if parameter.scale == "log":
        return log_ticks(low, high)
    return linear_ticks(low, high, whole=whole)

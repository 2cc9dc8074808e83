"""Axes in positions: every parameter on 0 to 1 of its own scale, with its own ticks."""

from __future__ import annotations

from typing import NamedTuple

from analysis.parameters import Parameter, relative_position
from analysis.plots.ranges import Tick
from analysis.plots.sampled import sampled_axis


class UnitAxis(NamedTuple):
    """One parameter; the values of ``ticks`` are positions."""

    name: str
    ticks: tuple[Tick, ...]


def unit_axis(parameter: Parameter) -> UnitAxis | None:
    """The axis of a parameter; None where its range holds a single value or none."""
    if parameter.scale == "category":
        n = len(parameter.choices)
        if not n:
            return None
        axis = sampled_axis(parameter, (), ())
        return UnitAxis(
            parameter.name, tuple(Tick((tick.value + 0.5) / n, tick.label) for tick in axis.ticks)
        )
    low, high, scale = parameter.low, parameter.high, parameter.scale
    if low is None or high is None or not high > low:
        return None
    axis = sampled_axis(parameter, (), ())
    placed = ((relative_position(tick.value, low, high, scale), tick.label) for tick in axis.ticks)
    return UnitAxis(
        parameter.name, tuple(Tick(at, label) for at, label in placed if at is not None)
    )

"""The objective over pairs of the most important parameters, interpolated between the trials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import ConvexHull, KDTree, QhullError

from analysis.figures import Table
from analysis.formatting import plural
from analysis.importance import ImportanceInfo
from analysis.parameters import Parameter, parameters_info
from analysis.plots.positions import UnitAxis, unit_axis
from analysis.plots.ranges import Tick, linear_ticks, value_range
from analysis.regions import FEWEST, ended, evenly, judged, place, pruned_among
from analysis.values import Point
from recsearch.run import RunView

MOST = 4
GRID = 40
"""Points of the surface along each side of a panel."""
SMOOTHING = 0.5
NEAR = 0.18
"""Distance from the nearest trial, in sides of a panel, beyond which nothing is drawn."""
HEM = 0.03
"""How far the surface goes beyond the convex hull of the trials, so that marks lie on it."""
MOST_TRIALS = 300
"""Trials that are used and drawn of more, evenly by rank."""


class Panel(NamedTuple):
    """One pair.

    Attributes:
        x, y: numbers of the parameters among the axes.
        places: of each trial, in positions.
        surface: rows by ``y``, columns by ``x``, both from 0 to 1 in `GRID` steps.
        cover: likewise, how far inside what is drawn; below 0 no trial is near.
    """

    x: int
    y: int
    places: tuple[tuple[float, float], ...]
    surface: tuple[tuple[float, ...], ...]
    cover: tuple[tuple[float, ...], ...]

    def drawn(self) -> np.ndarray:
        """The surface, NaN where nothing is drawn."""
        return np.where(np.array(self.cover) >= 0, np.array(self.surface), np.nan)


class ContoursInfo(NamedTuple):
    """All pairs of up to four parameters, the most important first.

    Attributes:
        ranked: whether the parameters are the most important ones, or all there are.
        trials: those drawn in every panel, of ``judged`` ones.
        left_out: pruned trials that are not among these.
        levels: values at which lines are drawn.
        cut: trials whose value was cut at the fence of the axes (`value_range`) beforehand.
        categories: parameters left out, since there is nothing between their values.
    """

    metric: str
    direction: str
    axes: tuple[UnitAxis, ...]
    ranked: bool
    panels: tuple[Panel, ...]
    trials: tuple[Point, ...]
    judged: int
    left_out: int
    best: int | None
    levels: tuple[Tick, ...]
    cut: int
    categories: tuple[str, ...]


def contours_info(run: RunView, importance: ImportanceInfo) -> ContoursInfo | None:
    """Surfaces over the pairs of the most important numeric parameters.

    None below `FEWEST` trials, below two such parameters, where more than `MOST` are not ranked,
    and where all values are alike.
    """
    chosen, categories = _chosen(run, importance)
    values = {trial.number: trial.params for trial in run.trials}
    placed = []
    compared = judged(run)
    for point in evenly(compared, run.objective.direction, MOST_TRIALS):
        params = values[point.trial]
        at = [place(p, params[p.name]) for p in chosen if p.name in params]
        if len(at) == len(chosen) and None not in at:
            placed.append((point, [v for v in at if v is not None]))
    limits = value_range([point.value for point, _ in placed], run.objective.direction)
    if len(chosen) < 2 or len(placed) < FEWEST or limits is None:
        return None
    found = np.clip([point.value for point, _ in placed], limits.low, limits.high)
    if np.ptp(found) <= 1e-12 * max(1.0, float(np.abs(found).max())):
        return None
    panels = tuple(
        _panel(x, y, [(at[x], at[y]) for _, at in placed], found)
        for x, y in itertools.combinations(range(len(chosen)), 2)
    )
    everything = np.array([panel.drawn() for panel in panels])
    levels = linear_ticks(float(np.nanmin(everything)), float(np.nanmax(everything)), 7)
    best = run.best()
    return ContoursInfo(
        metric=run.objective.name,
        direction=run.objective.direction,
        axes=tuple(axis for p in chosen if (axis := unit_axis(p)) is not None),
        ranked=bool(importance.ranked),
        panels=panels,
        trials=tuple(point for point, _ in placed),
        judged=len(compared),
        left_out=len(ended(run)) - len(compared),
        best=best[0].number if best else None,
        levels=tuple(levels),
        cut=limits.clipped,
        categories=categories,
    )


def caption(info: ContoursInfo) -> str:
    """What is drawn, with n."""
    which = "the most important numeric parameters" if info.ranked else "the numeric parameters"
    better = "lower" if info.direction == "min" else "higher"
    text = (
        f"{info.metric} ({better} is better) over pairs of {which}, on their own scales: a "
        f"smoothed surface through {plural(len(info.trials), 'trial')} (kriging with a linear "
        "variogram), whatever the other parameters were. The stronger the colour, the better; "
        "lines are marked with their values. Nothing is drawn where no trial is near. Filled "
        "marks: done; ring: the best."
    )
    pruned = sum(point.state == "pruned" for point in info.trials)
    if pruned:
        text += f" Hollow marks: pruned. There are {len(info.trials)}, {pruned_among(pruned)}."
    if info.left_out:
        pruned_out = plural(info.left_out, "pruned trial")
        text += f" {pruned_out} left out: their values are from fewer epochs."
    if info.judged > MOST_TRIALS:
        text += f" Of {plural(info.judged, 'trial')}, evenly by rank."
    if info.cut:
        text += (
            f" Cut at the fence of the axes: {plural(info.cut, 'trial')} far worse than the rest."
        )
    if info.categories:
        text += (
            f" Categories have nothing in between and are left out: {', '.join(info.categories)}."
        )
    return text


def table(info: ContoursInfo) -> Table:
    """A row per trial and panel, then a row per drawn point of each surface; positions 0 to 1."""
    columns = ("x_parameter", "y_parameter", "drawn", "trial", "state", "x", "y", info.metric)
    steps = np.linspace(0, 1, GRID).tolist()
    rows: list[tuple[object, ...]] = []
    for panel in info.panels:
        names = (info.axes[panel.x].name, info.axes[panel.y].name)
        rows += [
            (*names, "trial", point.trial, point.state, x, y, point.value)
            for point, (x, y) in zip(info.trials, panel.places, strict=True)
        ]
        rows += [
            (*names, "surface", None, None, steps[column], steps[line], value)
            for line, found in enumerate(panel.drawn().tolist())
            for column, value in enumerate(found)
            if np.isfinite(value)
        ]
    return Table(columns, tuple(rows))


def _chosen(
    run: RunView, importance: ImportanceInfo
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    by_name = {p.name: p for p in parameters_info(run) if unit_axis(p) is not None}
    order = [row.name for row in importance.ranked] or list(by_name)
    categories = tuple(name for name in order if by_name[name].scale == "category")
    numeric = [by_name[name] for name in order if name not in categories]
    if not importance.ranked and len(numeric) > MOST:
        return (), categories
    return tuple(numeric[:MOST]), categories


def _panel(x: int, y: int, places: Sequence[tuple[float, float]], found: np.ndarray) -> Panel:
    """Fit one surface.

    A polyharmonic spline of degree 1 with smoothing is kriging with a linear variogram and noise
    (scipy's RBFInterpolator): it cannot swing far beyond the values, and takes trials that differ
    in other parameters only.
    """
    at = np.array(places)
    centre, spread = float(found.mean()), float(found.std())
    fit = RBFInterpolator(at, (found - centre) / spread, kernel="linear", smoothing=SMOOTHING)
    steps = np.linspace(0, 1, GRID)
    mesh = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    surface = np.clip(fit(mesh) * spread + centre, found.min(), found.max())
    return Panel(x, y, tuple(places), _rows(surface), _rows(_cover(at, mesh)))


def _cover(at: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    near = np.asarray(NEAR - KDTree(at).query(mesh)[0])
    try:
        sides = ConvexHull(at).equations
    except QhullError:  # all on one line: a strip along it
        return near
    return np.minimum(near, HEM - (mesh @ sides[:, :2].T + sides[:, 2]).max(axis=1))


def _rows(flat: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in flat.reshape(GRID, GRID).tolist())

"""The objective over every searched parameter: one small plot per parameter, one shared y axis."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.figures import Table
from analysis.formatting import metric, plural
from analysis.parameters import Parameter, parameters_info
from analysis.plots.band import Band, band, draw_band
from analysis.plots.marks import draw_best, draw_clipped, draw_marks
from analysis.plots.ranges import Tick, ValueRange, beyond_text, linear_ticks, value_range
from analysis.plots.sampled import sampled_axis
from analysis.plots.svg import Canvas, canvas, shorten
from analysis.regions import judged, pruned_among
from analysis.values import Point, Reference, points, references
from recsearch.run import RunView


class Slice(NamedTuple):
    """One parameter; ``x`` are the positions of ``points``, see ``sampled_axis``.

    ``values`` are the parameter's own values, ``band`` the median and quartiles along it.
    """

    name: str
    scale: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    spread: bool
    x: tuple[float, ...]
    points: tuple[Point, ...]
    values: tuple[Any, ...]
    best_x: float | None
    band: Band | None


class SlicesInfo(NamedTuple):
    """All slices of a run; ``n`` trials have a value, ``limits`` is the shared y axis.

    Medians and quartiles count the ``judged`` trials, of which ``pruned`` have fewer epochs.
    """

    metric: str
    direction: str
    slices: tuple[Slice, ...]
    n: int
    limits: ValueRange | None
    references: tuple[Reference, ...]
    best: Point | None
    judged: int
    pruned: int

    def states(self) -> set[str]:
        """States of the trials that are drawn."""
        return {point.state for slice_ in self.slices for point in slice_.points}

    def lines(self) -> list[Reference]:
        """Reference lines inside the axis."""
        return [
            r for r in self.references if self.limits is not None and self.limits.holds(r.value)
        ]


def slices_info(run: RunView) -> SlicesInfo:
    """Each trial's best objective over each parameter, scaled as it was sampled."""
    found = points(run)
    lines = references(run)
    best = run.best()
    best_point = next((p for p in found if best and p.trial == best[0].number), None)
    limits = value_range([p.value for p in found], run.objective.direction, lines)
    values = {trial.number: trial.params for trial in run.trials}
    compared = judged(run)
    counted = {point.trial for point in compared}
    made = (
        _slice(parameter, found, values, best_point, counted) for parameter in parameters_info(run)
    )
    return SlicesInfo(
        metric=run.objective.name,
        direction=run.objective.direction,
        slices=tuple(s for s in made if s is not None) if found else (),
        n=len(found),
        limits=limits,
        references=lines,
        best=best_point,
        judged=len(compared),
        pruned=sum(point.state == "pruned" for point in compared),
    )


def caption(info: SlicesInfo) -> str:
    """What is drawn, with n."""
    text = (
        f"{info.metric} of each trial's best epoch over every parameter, on the scale it was "
        f"sampled from; {plural(info.n, 'trial')} with a finite value."
    )
    if any(slice_.spread for slice_ in info.slices):
        text += " Points of one category or one small whole number are spread sideways."
    clipped = info.limits.clipped if info.limits else 0
    if clipped:
        text += f" {plural(clipped, 'trial')} beyond the axis, drawn as arrowheads at its edge."
    return text + (beyond_text(info.references, info.limits) if info.limits else "") + _bands(info)


def table(info: SlicesInfo) -> Table:
    """A row per trial and parameter, then a row per step of each median with its quartiles.

    ``x`` is where a mark is drawn: the value itself, or moved sideways where values are few.
    """
    columns = ("parameter", "drawn", "trial", "state", "parameter_value", "x", info.metric,
               "first_quartile", "third_quartile", "n")  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for slice_ in info.slices:
        drawn = zip(slice_.points, slice_.values, slice_.x, strict=True)
        rows += [
            (slice_.name, "trial", p.trial, p.state, value, x, p.value, None, None, None)
            for p, value, x in drawn
        ]
        rows += [
            (slice_.name, "median", None, None, None, s.x, s.median, s.low, s.high, s.n)
            for s in (slice_.band.steps if slice_.band else ())
        ]
    return Table(columns, tuple(rows))


def draw_slices(info: SlicesInfo) -> list[str]:
    """One SVG per parameter."""
    if info.limits is None:
        return []
    return [_draw(info, info.limits, slice_, at) for at, slice_ in enumerate(info.slices, start=1)]


def _slice(
    parameter: Parameter,
    found: tuple[Point, ...],
    values: dict[int, dict[str, Any]],
    best: Point | None,
    counted: set[int],
) -> Slice | None:
    active = [p for p in found if parameter.name in values[p.trial]]
    if not active:
        return None
    raw = [values[p.trial][parameter.name] for p in active]
    axis = sampled_axis(parameter, raw, [p.trial for p in active])
    kept = [(p, v) for p, v in zip(active, axis.x, strict=True) if v is not None]
    own = [value for value, x in zip(raw, axis.x, strict=True) if x is not None]
    return Slice(
        name=parameter.name,
        scale=parameter.scale,
        low=axis.low,
        high=axis.high,
        ticks=axis.ticks,
        spread=axis.spread,
        x=tuple(v for _, v in kept),
        points=tuple(p for p, _ in kept),
        values=tuple(own),
        best_x=next((v for p, v in kept if best is not None and p.trial == best.trial), None),
        band=band(
            [(round(x) if axis.spread else x, p) for p, x in kept if p.trial in counted],
            axis.spread,
        ),
    )


def _bands(info: SlicesInfo) -> str:
    found = [slice_.band for slice_ in info.slices if slice_.band]
    if not found:
        return ""
    running = sorted({band.window for band in found if band.window})
    text = ""
    if running:
        sizes = str(running[0]) if len(running) == 1 else f"{running[0]} to {running[-1]}"
        text += (f" Line and band: median and middle half of {sizes} trials that are neighbours "
                 "on the parameter.")  # fmt: skip
    if any(not band.window for band in found):
        text += " Bar and box: median and middle half of the trials with that value."
    if info.pruned:
        return text + f" They count {plural(info.judged, 'trial')}, {pruned_among(info.pruned)}."
    return text + " They count done trials only."


def _draw(info: SlicesInfo, limits: ValueRange, slice_: Slice, at: int) -> str:
    with canvas(320, 230, left=44, bottom=40, top=10) as figure:
        axes = figure.axes
        _scale_x(figure, slice_)
        axes.set_ylim(limits.low, limits.high)
        figure.y_ticks(linear_ticks(limits.low, limits.high))
        axes.set_xlabel(shorten(slice_.name, 40))
        figure.reference_lines(info.references, limits, labels=False)
        if slice_.band is not None:
            draw_band(axes, slice_.band, limits)
        inside = [(x, p) for x, p in zip(slice_.x, slice_.points, strict=True)
                  if limits.holds(p.value)]  # fmt: skip
        draw_marks(axes, [x for x, _ in inside], [p.value for _, p in inside],
                   [p.state for _, p in inside])  # fmt: skip
        beyond = [x for x, p in zip(slice_.x, slice_.points, strict=True)
                  if not limits.holds(p.value)]  # fmt: skip
        if beyond:
            edge = limits.high if info.direction == "min" else limits.low
            draw_clipped(axes, beyond, edge, info.direction)
        if slice_.best_x is not None and info.best is not None:
            draw_best(axes, slice_.best_x, info.best.value)
        return figure.svg(f"slice{at}", _title(info, slice_))


def _scale_x(figure: Canvas, slice_: Slice) -> None:
    axes = figure.axes
    if slice_.scale in ("log", "log2"):
        axes.set_xscale("log")
        pad = (slice_.high / slice_.low) ** 0.04 if slice_.high > slice_.low else 1.5
        axes.set_xlim(slice_.low / pad, slice_.high * pad)
    else:
        span = slice_.high - slice_.low
        pad = 0.0 if slice_.spread else 0.04 * span or max(1.0, abs(slice_.low))
        axes.set_xlim(slice_.low - pad, slice_.high + pad)
    figure.x_ticks(slice_.ticks)


def _title(info: SlicesInfo, slice_: Slice) -> str:
    text = f"{info.metric} over {slice_.name}, {plural(len(slice_.points), 'trial')}"
    return f"{text}; best {metric(info.best.value)}" if info.best else text

"""Drawing of the pairwise contours: a triangle of panels that share their axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analysis.formatting import plural
from analysis.plots.contours import ContoursInfo, Panel
from analysis.plots.svg import BEST, DONE, INK, MUTED, PAPER, Canvas, canvas, shorten

_GROUND = 0.07
"""Opacity of the worst that is drawn."""
_SEAM = 0.05
_GAP, _LEFT, _BOTTOM, _TOP, _RIGHT = 24.0, 74.0, 46.0, 10.0, 12.0


class _Layout(NamedTuple):
    side: float
    width: float
    height: float

    def box(self, column: int, row: int) -> tuple[float, float, float, float]:
        """Place of a panel in shares of the figure; row 0 is the top one."""
        left = _LEFT + column * (self.side + _GAP)
        top = _TOP + row * (self.side + _GAP)
        return (left / self.width, 1 - (top + self.side) / self.height,
                self.side / self.width, self.side / self.height)  # fmt: skip


def draw_contours(info: ContoursInfo) -> str:
    """One panel per pair, the first parameter's in the first column, and a key."""
    rows = len(info.axes) - 1
    layout = _layout(rows)
    text = (
        f"{info.metric} over {plural(len(info.panels), 'pair')} of parameters: "
        f"{', '.join(axis.name for axis in info.axes)}; {plural(len(info.trials), 'trial')}"
    )
    with canvas(layout.width, layout.height) as figure:
        figure.axes.remove()
        for panel in info.panels:
            box = layout.box(panel.x, panel.y - 1)
            drawn = Canvas(figure.figure, figure.figure.add_axes(box))
            _draw_panel(drawn, info, panel, lowest=panel.y == rows, leftmost=panel.x == 0)
        _draw_key(figure, info, layout, rows)
        return figure.svg("contours", text)


def _layout(rows: int) -> _Layout:
    side = {1: 300.0, 2: 236.0}.get(rows, 182.0)
    extra = 150.0 if rows == 1 else 0.0
    inner = rows * side + (rows - 1) * _GAP
    return _Layout(side, _LEFT + inner + _RIGHT + extra, _TOP + inner + _BOTTOM)


def _draw_panel(
    figure: Canvas, info: ContoursInfo, panel: Panel, *, lowest: bool, leftmost: bool
) -> None:
    axes = figure.axes
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    x, y = info.axes[panel.x], info.axes[panel.y]
    axes.set_xticks([t.value for t in x.ticks], [t.label if lowest else "" for t in x.ticks])
    axes.set_yticks([t.value for t in y.ticks], [t.label if leftmost else "" for t in y.ticks])
    axes.tick_params(length=3, width=0.6, color=MUTED, labelsize=9)
    if lowest:
        axes.set_xlabel(shorten(x.name, 26), fontsize=9.5)
    if leftmost:
        axes.set_ylabel(shorten(y.name, 26), fontsize=9.5)
        axes.yaxis.set_label_coords(-52 / axes.bbox.width, 0.5)
    _draw_surface(figure, info, panel)
    _draw_trials(figure, info, panel)


def _draw_surface(figure: Canvas, info: ContoursInfo, panel: Panel) -> None:
    """Layers on one another, each over all that is better than a line: no seams between them."""
    axes, steps = figure.axes, np.linspace(0, 1, len(panel.surface))
    cover = np.array(panel.cover)
    # A little more than is shown, so that its border is that of the cover, not of the grid.
    surface = np.ma.masked_where(cover < -_SEAM, np.array(panel.surface))
    low, high = float(np.nanmin(panel.drawn())), float(np.nanmax(panel.drawn()))
    margin = 1.0 + float(np.ptp(np.array(panel.surface)))
    shown = [level for level in info.levels if low < level.value < high]
    ends = low - margin, high + margin
    axes.contourf(steps, steps, surface, ends, colors=[DONE], alpha=_GROUND)
    for level in info.levels:
        if level.value <= low and info.direction == "min":
            continue
        if level.value >= high and info.direction == "max":
            continue
        inside = (ends[0], level.value) if info.direction == "min" else (level.value, ends[1])
        axes.contourf(steps, steps, surface, inside, colors=[DONE], alpha=_layer(info))
    if shown:
        lines = axes.contour(steps, steps, surface, [level.value for level in shown],
                             colors=[MUTED], linewidths=0.7, linestyles="solid")  # fmt: skip
        labels = {level.value: level.label for level in shown}
        axes.clabel(lines, fmt=labels, fontsize=7.5, colors=[INK], inline_spacing=2)
    if cover.min() < 0:
        # Beyond the outermost steps too, where the edge of a layer would show as a hairline.
        wide = np.concatenate([[-_SEAM], steps, [1 + _SEAM]])
        axes.contourf(wide, wide, np.pad(cover, 1, mode="edge"), [cover.min() - 1.0, 0.0],
                      colors=[PAPER], zorder=2.2)  # fmt: skip


def _layer(info: ContoursInfo) -> float:
    return 0.75 / max(3, len(info.levels))


def _draw_trials(figure: Canvas, info: ContoursInfo, panel: Panel) -> None:
    size = 3.2 if len(info.trials) <= 150 else 2.4
    for state, face, edge in (("pruned", PAPER, MUTED), ("done", INK, PAPER)):
        at = [place for point, place in zip(info.trials, panel.places, strict=True)
              if point.state == state]  # fmt: skip
        figure.axes.plot([x for x, _ in at], [y for _, y in at], linestyle="none", marker="o",
                         markersize=size, markerfacecolor=face, markeredgecolor=edge,
                         markeredgewidth=0.6, clip_on=False, zorder=4)  # fmt: skip
    for point, (x, y) in zip(info.trials, panel.places, strict=True):
        if point.trial == info.best:
            figure.axes.plot([x], [y], linestyle="none", marker="o", markersize=11,
                             markerfacecolor="none", markeredgecolor=BEST, markeredgewidth=1.8,
                             clip_on=False, zorder=6)  # fmt: skip


def _draw_key(figure: Canvas, info: ContoursInfo, layout: _Layout, rows: int) -> None:
    """Swatches from best to worst in the free corner."""
    left = _LEFT + (layout.side + _GAP if rows > 1 else layout.side + 22)
    top = _TOP + 12.0
    axes = figure.figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, layout.width)
    axes.set_ylim(layout.height, 0)
    axes.text(left, top, info.metric, fontsize=9.5, color=INK, va="center")
    ordered = info.levels if info.direction == "min" else info.levels[::-1]
    word = "below" if info.direction == "min" else "above"
    names = [f"{word} {level.label}" for level in ordered]
    for at, name in enumerate([*names, "worse" if names else "all alike"]):
        y = top + 14 + 15 * at
        share = 1 - (1 - _GROUND) * (1 - _layer(info)) ** (len(ordered) - at)
        axes.fill_between([left, left + 20], y, y + 11, color=DONE, alpha=share, linewidth=0)
        axes.text(left + 27, y + 5.5, name, fontsize=9, color=INK, va="center")

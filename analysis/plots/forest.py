"""Differences between runs with their intervals, as shares of what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import percent, plural
from analysis.plots.ranges import linear_ticks
from analysis.plots.svg import DONE, GRID, INK, MUTED, PAPER, canvas, shorten
from recsearch.comparison import LEVEL, Comparison
from recsearch.evaluation import parse

MOST = 15
"""More rows are no figure any more."""
FAR = 2.0
"""Rows beyond so many times the second's mean are left out, where others are not."""


class Row(NamedTuple):
    """One question.

    Attributes:
        label: what the figure calls it.
        one, other, metric: the two runs and the metric.
        gain, low, high: by how much ``one`` is better, as a share of the other's mean; positive is
            better in either direction of the metric.
        certain: whether the interval leaves out zero.
    """

    label: str
    one: str
    other: str
    metric: str
    gain: float
    low: float
    high: float
    certain: bool


class ForestInfo(NamedTuple):
    """Rows in the order given; ``users`` is the largest number of pairs."""

    rows: tuple[Row, ...]
    users: int
    left_out: int


def forest_info(
    found: Sequence[Comparison], objective: str, names: Mapping[str, str]
) -> ForestInfo | None:
    """Two runs by all their metrics, or the pairs of more runs by ``objective``.

    Of more than `MOST` pairs those with the run that the most others do not beat are drawn.

    Args:
        found: a stored comparison.
        objective: name of the metric that the runs were searched by.
        names: what the rows call a run to what the figure calls it.
    """
    pairs = {(row.one, row.other) for row in found}
    chosen = list(found) if len(pairs) == 1 else [row for row in found if row.metric == objective]
    if len(chosen) > MOST and len(pairs) > 1:
        wins = [row.better for row in chosen if row.better]
        top = max(sorted(set(wins)), key=wins.count) if wins else chosen[0].one
        chosen = [row for row in chosen if top in (row.one, row.other)]
    rows = [row for each in chosen if (row := _row(each, len(pairs) > 1, names)) is not None]
    # What is many times a value near zero would leave nothing to see of the others.
    rows = [row for row in rows if max(-row.low, row.high) <= FAR] or rows
    if not rows:
        return None
    return ForestInfo(tuple(rows[:MOST]), max(row.users for row in chosen),
                      len(found) - len(rows[:MOST]))  # fmt: skip


def caption(info: ForestInfo) -> str:
    """What is drawn, with n."""
    text = (
        f"How much better the first is than the second, as a share of the second's mean, with "
        f"{100 * LEVEL:.0f} % bootstrap intervals over up to {plural(info.users, 'user')}. Right "
        "of zero: the first is better. Hollow: the interval holds zero."
    )
    if info.left_out:
        text += f" {plural(info.left_out, 'further comparison')} in the table."
    return text


def table(info: ForestInfo) -> Table:
    """Every row."""
    return Table(Row._fields[1:], tuple(tuple(row)[1:] for row in info.rows))


def draw_forest(info: ForestInfo, name: str) -> str:
    """A point with its interval per row."""
    height = 56 + 24 * len(info.rows)
    with canvas(460, height, left=150, bottom=40, right=62, top=8) as figure:
        axes = figure.axes
        ends = [100 * v for row in info.rows for v in (row.low, row.high, row.gain)]
        low, high = min(*ends, 0.0), max(*ends, 0.0)
        pad = 0.05 * ((high - low) or 1.0)
        low, high = low - pad, high + pad
        axes.set_xlim(low, high)
        axes.set_ylim(len(info.rows) - 0.5, -0.5)
        axes.axvline(0, color=MUTED, linewidth=1.0)
        for at, row in enumerate(info.rows):
            axes.plot([100 * row.low, 100 * row.high], [at, at], color=DONE, linewidth=1.4)
            axes.plot([100 * row.gain], [at], marker="o", markersize=6.5, markeredgecolor=DONE,
                      markerfacecolor=DONE if row.certain else PAPER)  # fmt: skip
            sign = "+" if row.gain > 0 else ""
            axes.annotate(sign + percent(row.gain), (1, at), xytext=(8, 0), va="center", color=INK,
                          xycoords=("axes fraction", "data"), textcoords="offset points",
                          annotation_clip=False)  # fmt: skip
        axes.set_yticks(range(len(info.rows)), [shorten(row.label, 25) for row in info.rows])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.x_ticks(linear_ticks(low, high, 6))
        axes.set_xlabel("gain, %")
        return figure.svg(name, caption(info))


def _row(row: Comparison, several: bool, names: Mapping[str, str]) -> Row | None:
    """None where there is nothing to be a share of."""
    if not abs(row.mean_other) > 0 or row.low != row.low or row.high != row.high:
        return None
    scale = (1.0 if parse(row.metric).direction == "max" else -1.0) / abs(row.mean_other)
    low, high = sorted((scale * row.low, scale * row.high))
    one, other = names[row.one], names[row.other]
    label = f"{one} over {other}" if several else row.metric
    certain = low > 0 or high < 0
    return Row(label, row.one, row.other, row.metric, scale * row.difference, low, high, certain)

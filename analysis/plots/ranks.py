"""Ratings of every item, or of every user, from the most to the least rated."""

from __future__ import annotations

from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import count, number, plural
from analysis.plots.ranges import log_ticks
from analysis.plots.svg import DONE, canvas
from analysis.profiles import Concentration


class RanksInfo(NamedTuple):
    """(rank, number of ratings) of ``noun``, ``item`` or ``user``."""

    noun: str
    ranks: tuple[tuple[int, int], ...]
    number: int
    least: int
    median: float
    most: int


def ranks_info(noun: str, found: Concentration) -> RanksInfo:
    """The curve of a profile."""
    return RanksInfo(noun, found.ranks, found.number, found.least, found.median, found.most)


def caption(info: RanksInfo) -> str:
    """What is drawn, with n."""
    return (
        f"Ratings of each of {plural(info.number, info.noun)}, the most rated first, on "
        f"logarithmic axes: from {count(info.most)} to {count(info.least)}, half of them have "
        f"{number(info.median)} or fewer."
    )


def table(info: RanksInfo) -> Table:
    """The curve."""
    return Table(("rank", "ratings"), info.ranks)


def draw_ranks(info: RanksInfo) -> str:
    """A line over logarithmic axes."""
    with canvas(420, 260, left=52) as figure:
        axes = figure.axes
        axes.set_xscale("log")
        axes.set_yscale("log")
        last, most, least = info.number, info.most, info.least
        axes.set_xlim(0.9, max(1.5, last * 1.15))
        axes.set_ylim(least / 1.3, most * 1.3)
        figure.x_ticks(log_ticks(1, max(1.5, last * 1.15)))
        figure.y_ticks(log_ticks(least / 1.3, most * 1.3))
        axes.plot([rank for rank, _ in info.ranks], [n for _, n in info.ranks], color=DONE,
                  linewidth=1.6, marker="o" if len(info.ranks) < 3 else "")  # fmt: skip
        axes.set_xlabel(f"rank of the {info.noun}")
        axes.set_ylabel("ratings")
        return figure.svg(f"ranks-{info.noun}", caption(info))

"""How unequally ratings are spread over items and over users (Lorenz 1905)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import count, number, percent
from analysis.plots.ranges import linear_ticks
from analysis.plots.svg import BEST, DONE, INK, MUTED, canvas
from analysis.profiles import Profile


class LorenzInfo(NamedTuple):
    """Curves from (0, 0) to (1, 1), the Gini coefficients, and the share of the top tenth."""

    items: tuple[tuple[float, float], ...]
    users: tuple[tuple[float, float], ...]
    gini_items: float
    gini_users: float
    n_items: int
    n_users: int

    @property
    def top_tenth(self) -> float:
        """Share of the ratings that the tenth of the items with the most ratings has."""
        return 1 - _at(self.items, 0.9)


def lorenz_info(profile: Profile) -> LorenzInfo:
    """Of the items and users with at least one rating."""
    items, users = profile.items, profile.users
    return LorenzInfo(
        items.lorenz, users.lorenz, items.gini, users.gini, items.number, users.number
    )


def caption(info: LorenzInfo) -> str:
    """What is drawn, with n."""
    return (
        f"Share of the ratings that the least rated items (solid, n = {count(info.n_items)}) and "
        f"the least active users (dashed, n = {count(info.n_users)}) have together; dotted: all "
        f"alike. Gini coefficient {number(info.gini_items, 3)} of items, "
        f"{number(info.gini_users, 3)} of users. The most rated tenth of the items has "
        f"{percent(info.top_tenth)} of the ratings."
    )


def table(info: LorenzInfo) -> Table:
    """Both curves."""
    rows = [(what, x, y) for what in ("items", "users") for x, y in getattr(info, what)]
    return Table(("of", "share, least rated first", "share of the ratings"), tuple(rows))


def draw_lorenz(info: LorenzInfo) -> str:
    """Two curves under the diagonal, each labelled."""
    with canvas(420, 300, left=46) as figure:
        axes = figure.axes
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        figure.x_ticks(linear_ticks(0, 1))
        figure.y_ticks(linear_ticks(0, 1))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.plot(*zip(*info.items, strict=True), color=DONE, linewidth=1.6)
        axes.plot(*zip(*info.users, strict=True), color=BEST, linewidth=1.6, linestyle=(0, (5, 2)))
        upper, lower = sorted(
            (("items", info.items), ("users", info.users)), key=lambda c: -_at(c[1], 0.7)
        )
        axes.annotate(upper[0], (0.62, _at(upper[1], 0.62)), xytext=(-6, 6), color=INK, ha="right",
                      textcoords="offset points")  # fmt: skip
        axes.annotate(lower[0], (0.8, _at(lower[1], 0.8)), xytext=(6, -8), color=INK, ha="left",
                      textcoords="offset points")  # fmt: skip
        axes.set_xlabel("share of items or users, least rated first")
        axes.set_ylabel("share of the ratings")
        return figure.svg("lorenz", caption(info))


def _at(points: tuple[tuple[float, float], ...], x: float) -> float:
    """The curve at ``x``, straight between its points."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]

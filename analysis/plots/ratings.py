"""How often each rating was given."""

from __future__ import annotations

from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import metric, number, percent, plural
from analysis.plots.ranges import linear_ticks
from analysis.plots.svg import DONE, INK, canvas
from analysis.profiles import Profile, RatingBin


class RatingsInfo(NamedTuple):
    """Bins from low to high; ``mean`` is None where bins hold several values."""

    bins: tuple[RatingBin, ...]
    total: int
    mean: float | None


def ratings_info(profile: Profile) -> RatingsInfo | None:
    """The histogram; None where all ratings are alike, as of clicks."""
    bins = profile.histogram
    total = sum(row.ratings for row in bins)
    if len(bins) < 2 or total == 0:
        return None
    exact = all(row.low == row.high for row in bins)
    mean = sum(row.low * row.ratings for row in bins) / total if exact else None
    return RatingsInfo(bins, total, mean)


def caption(info: RatingsInfo) -> str:
    """What is drawn, with n."""
    top = max(info.bins, key=lambda row: row.ratings)
    text = f"{plural(info.total, 'rating')}; the most frequent, {_label(top)}, is "
    text += f"{percent(top.ratings / info.total)} of them"
    return text + (f". Mean {metric(info.mean)}." if info.mean is not None else ".")


def table(info: RatingsInfo) -> Table:
    """Every bin."""
    rows = tuple((row.low, row.high, row.ratings, row.ratings / info.total) for row in info.bins)
    return Table(("from", "to", "ratings", "share"), rows)


def draw_ratings(info: RatingsInfo) -> str:
    """A bar per bin, with its share where there is room."""
    with canvas(420, 260, left=52) as figure:
        axes = figure.axes
        shares = [100 * row.ratings / info.total for row in info.bins]
        axes.bar(range(len(shares)), shares, width=0.72, color=DONE, linewidth=0)
        axes.set_ylim(0, 1.12 * max(shares))
        figure.y_ticks(linear_ticks(0, 1.12 * max(shares)))
        if len(shares) <= 10:
            for at, share in enumerate(shares):
                axes.annotate(number(round(share, 1), 3), (at, share), xytext=(0, 3), ha="center",
                              textcoords="offset points", color=INK, fontsize=9)  # fmt: skip
        step = 1 if len(shares) <= 10 else 4
        shown = range(0, len(shares), step)
        axes.set_xticks(list(shown), [number(info.bins[at].low) for at in shown])
        axes.set_xlabel("rating")
        axes.set_ylabel("share of the ratings, %")
        return figure.svg("ratings", caption(info))


def _label(row: RatingBin) -> str:
    return number(row.low) if row.low == row.high else f"{number(row.low)} to {number(row.high)}"

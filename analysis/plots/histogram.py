"""How many epochs the trials completed, by state."""

from __future__ import annotations

import math
from typing import NamedTuple

from analysis.figures import Table
from analysis.formatting import plural
from analysis.plots.marks import BARS, bar_group
from analysis.plots.ranges import linear_ticks
from analysis.plots.svg import canvas
from analysis.values import epochs_completed
from recsearch.run import RunView

_MOST_BINS = 40


class HistogramInfo(NamedTuple):
    """Trials per bin.

    Attributes:
        starts: first number of epochs of each bin.
        width: epochs per bin.
        counts: group (done, pruned, error, unfinished) to trials per bin; empty groups left out.
        n: number of trials.
        max_epochs: the limit of the search file, if it has one.
    """

    starts: tuple[int, ...]
    width: int
    counts: dict[str, tuple[int, ...]]
    n: int
    max_epochs: int | None


def histogram_info(run: RunView) -> HistogramInfo | None:
    """Count trials by epochs completed; trials that were never started are left out.

    None where no trial has more than one epoch (one-shot models): there is nothing to show.
    """
    trials = [t for t in run.trials if t.state != "queued" or t.epochs]
    most = max((epochs_completed(t) for t in trials), default=0)
    if most < 2:
        return None
    width = max(1, math.ceil((most + 1) / _MOST_BINS))
    starts = tuple(range(0, most + 1, width))
    counts = {}
    for group in BARS:
        bins = [0] * len(starts)
        for trial in trials:
            if bar_group(trial.state) == group:
                bins[epochs_completed(trial) // width] += 1
        if any(bins):
            counts[group] = tuple(bins)
    limit = run.identity["search"]["search"].get("max_epochs")
    return HistogramInfo(starts, width, counts, len(trials), limit)


def caption(info: HistogramInfo) -> str:
    """What is drawn, with n per group."""
    groups = ", ".join(f"{name} {sum(bins)}" for name, bins in info.counts.items())
    text = f"Epochs completed per trial; {plural(info.n, 'trial')}: {groups}."
    marks = [
        words
        for name, words in (("pruned", "Hollow: pruned."), ("error", "Hatched: error."),
                            ("unfinished", "Grey: not finished."))
        if name in info.counts
    ]  # fmt: skip
    if info.max_epochs:
        text += f" The search file allows {info.max_epochs}."
    return " ".join([text, *marks])


def table(info: HistogramInfo) -> Table:
    """One row per bin."""
    rows = tuple(
        (start, start + info.width - 1, *(bins[at] for bins in info.counts.values()))
        for at, start in enumerate(info.starts)
    )
    return Table(("epochs_from", "epochs_to", *info.counts), rows)


def draw_histogram(info: HistogramInfo) -> str:
    """Stacked bars."""
    with canvas(370, 250, left=40) as figure:
        base = [0] * len(info.starts)
        centres = [start + (info.width - 1) / 2 for start in info.starts]
        for group, bins in info.counts.items():
            shown = [i for i, n in enumerate(bins) if n]
            figure.axes.bar(
                [centres[i] for i in shown], [bins[i] for i in shown], width=0.8 * info.width,
                bottom=[base[i] for i in shown], linewidth=0.8, **BARS[group],
            )  # fmt: skip
            base = [low + n for low, n in zip(base, bins, strict=True)]
        top = max(base)
        first = min(s for s, n in zip(info.starts, base, strict=True) if n)
        last = info.starts[-1] + info.width - 1
        low, high = max(0, min(first, last - 4)) - 0.7, max(last, 4) + 0.7
        figure.axes.set_xlim(low, high)
        figure.axes.set_ylim(0, top * 1.08)
        figure.x_ticks([t for t in linear_ticks(low, high, 8, whole=True) if t.value >= 0])
        figure.y_ticks(linear_ticks(0, top * 1.08, 4, whole=True))
        figure.axes.set_xlabel("epochs completed")
        figure.axes.set_ylabel("trials")
        return figure.svg("histogram", caption(info))

"""Which trial was trained when: one bar per stretch of work, in as many rows as ran at once."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import Any, NamedTuple

from analysis.figures import Table
from analysis.formatting import duration, moment
from analysis.plots.marks import BARS, bar_group
from analysis.plots.ranges import linear_ticks
from analysis.plots.svg import BEST, GRID, MUTED, canvas
from analysis.plots.units import time_unit
from analysis.values import Session, active_seconds, best_point, sessions
from recsearch.epochs import TrialView
from recsearch.run import RunView

_MARKS = {
    "done": "filled: done",
    "pruned": "hollow: pruned",
    "error": "hatched: error",
    "unfinished": "grey: stopped, and continued later or not finished",
}


class Bar(NamedTuple):
    """One stretch of work on one trial; seconds at work since the run began, rows from 0.

    ``state`` is the trial's in its last stretch, and ``stopped`` in those before.
    """

    trial: int
    row: int
    start: float
    end: float
    state: str
    best: bool


class TimelineInfo(NamedTuple):
    """All stretches by start.

    Attributes:
        rows: the most trials that ran at once.
        end: seconds at work.
        idle: share of the rows' time in which no trial ran.
        pauses: when commands began again, in seconds at work; the first one left out.
    """

    bars: tuple[Bar, ...]
    rows: int
    end: float
    idle: float
    pauses: tuple[float, ...]


def timeline_info(run: RunView) -> TimelineInfo | None:
    """Place every stretch of work; None before the first has taken any time.

    A trial takes the first row that is free. The journal does not say which worker had it, and the
    times of two that followed one another in one worker can overlap, so a row need not be a worker.
    Pauses between commands are left out. What a kill ended lasts until the last event of its
    command.
    """
    spans = sessions(run)
    found = sorted((start, end, t.number) for t in run.trials for start, end in _work(t, spans))
    end = max((stop for _, stop, _ in found), default=0.0)
    if end <= 0:
        return None
    best = best_point(run)
    states = {trial.number: trial.state for trial in run.trials}
    last = {number: at for at, (_, _, number) in enumerate(found)}
    rows = _rows([(start, stop) for start, stop, _ in found])
    bars = tuple(
        Bar(
            number,
            row,
            start,
            stop,
            states[number] if last[number] == at else "stopped",
            best is not None and number == best.trial,
        )
        for at, ((start, stop, number), row) in enumerate(zip(found, rows, strict=True))
    )
    busy = sum(bar.end - bar.start for bar in bars)
    most = max(rows) + 1
    pauses = tuple(active_seconds(spans, session.start) for session in spans[1:])
    return TimelineInfo(bars, most, end, max(0.0, 1 - busy / (most * end)), pauses)


def caption(info: TimelineInfo) -> str:
    """What is drawn, with n."""
    states = {bar_group(bar.state) for bar in info.bars}
    marks = "; ".join(words for state, words in _MARKS.items() if state in states)
    text = (
        f"When each trial was trained: at most {info.rows} at once, {duration(info.end)}. A trial "
        f"takes the first row that is free. {marks[0].upper()}{marks[1:]}."
    )
    best = next((bar for bar in info.bars if bar.best), None)
    if best is not None:
        text += f" In a colour of its own: the best, trial {best.trial}."
    text += f" The rows are empty for {100 * info.idle:.0f} % of the time."
    if info.pauses:
        text += " Dotted: a command began again; the pause before it is left out."
    return text


def table(info: TimelineInfo) -> Table:
    """One row per bar."""
    rows = tuple((b.trial, b.row + 1, b.start, b.end, b.state, b.best) for b in info.bars)
    return Table(("trial", "row", "start_s", "end_s", "state", "best"), rows)


def draw_timeline(info: TimelineInfo) -> str:
    """Bars over the time at work."""
    unit, seconds = time_unit(info.end)
    with canvas(840, 54 + 22 * info.rows, left=68, bottom=38, top=8) as figure:
        axes = figure.axes
        for (group, best), fill in _fills().items():
            bars = [b for b in info.bars if (bar_group(b.state), b.best) == (group, best)]
            if bars:
                axes.barh(
                    [b.row for b in bars], [(b.end - b.start) / seconds for b in bars], 0.72,
                    left=[b.start / seconds for b in bars], **fill,
                )  # fmt: skip
        for at in info.pauses:
            axes.axvline(at / seconds, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_xlim(0, info.end / seconds)
        axes.set_ylim(info.rows - 0.5, -0.5)
        axes.set_yticks(range(info.rows), [f"row {row + 1}" for row in range(info.rows)])
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.x_ticks(linear_ticks(0, info.end / seconds, 10))
        axes.set_xlabel(f"{unit} at work")
        return figure.svg("timeline", caption(info))


def _fills() -> dict[tuple[str, bool], dict[str, Any]]:
    """How a bar is filled by its group, and whether it is of the best trial."""
    found: dict[tuple[str, bool], dict[str, Any]] = {}
    for group, fill in BARS.items():
        found[group, False] = {**fill, "linewidth": 0.6}
        own = {"facecolor": BEST} if group == "done" else {"edgecolor": BEST, "linewidth": 1.6}
        found[group, True] = {**found[group, False], **own}
    return found


def _rows(stretches: list[tuple[float, float]]) -> list[int]:
    """The row of each stretch, which are in the order of their starts."""
    free: list[tuple[float, int]] = []
    rows: list[int] = []
    for start, end in stretches:
        row = heapq.heappop(free)[1] if free and free[0][0] <= start else len(free)
        heapq.heappush(free, (end, row))
        rows.append(row)
    return rows


def _work(trial: TrialView, spans: tuple[Session, ...]) -> list[tuple[float, float]]:
    found = []
    for start_text, end_text in trial.spans if spans else ():
        start = moment(start_text)
        if start is not None:
            end = moment(end_text) or _session_end(start, spans)
            found.append((active_seconds(spans, start), active_seconds(spans, end)))
    return found


def _session_end(start: datetime, spans: tuple[Session, ...]) -> datetime:
    return next((s.end for s in reversed(spans) if s.start <= start), start)

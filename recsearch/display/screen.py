"""A snapshot laid out for a terminal of any size: never wider, never higher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.text import Text

from recsearch.display.columns import table
from recsearch.display.snapshot import Row, Snapshot, Times
from recsearch.display.tally import Tally
from recsearch.display.words import Glyphs, cut, direction, number, setting
from recsearch.units import duration, size

MOST_SETTINGS = 3
"""Lines of the best configuration."""
ROOMY = 14
"""Lines from which on empty ones stand between the parts."""
INDENT = "     "


def screen(
    now: Snapshot, tally: Tally, times: Times, total: int, width: int, height: int, glyphs: Glyphs
) -> list[Text]:
    """At most ``height`` lines of at most ``width`` columns.

    Where there are few lines, those stay that one looks for first: how far it is, the best, how
    long it takes, what runs.

    Args:
        now: the search.
        tally: counts over its trials.
        times: what the clock says.
        total: trials that there will be.
        width: columns.
        height: lines.
        glyphs: characters that the terminal has.
    """
    parts = [_progress(tally, total, width, glyphs), _best(now, width, glyphs)]
    parts += [_times(times, tally, width, glyphs), _title(now, width, glyphs)]
    if height < len(parts):
        order = [index for index in (3, 1, 0, 2) if index < height]
        return [parts[index] for index in order]
    progress, best, pace, title = parts
    left = height - len(parts)
    gap = [Text("")] if height >= ROOMY else []
    left -= 2 * len(gap)
    settings = _settings(now, width, glyphs)[: max(0, min(MOST_SETTINGS, left - 3))]
    rows = _fitting(now, left - len(settings) - 1)
    trials = table(rows, now.objectives[0].name, width, glyphs) if rows else []
    return [title, best, *settings, *gap, *trials, *gap, progress, pace]


def joined(parts: Iterable[str], width: int, between: str) -> str:
    """The first of ``parts``, and of the others as many as there is room for."""
    line, *others = parts
    for part in others:
        longer = f"{line}{between}{part}"
        if cell_len(longer) <= width:
            line = longer
    return line


def flowing(parts: Sequence[str], width: int, separator: str = ", ") -> list[str]:
    """``parts`` in lines of at most ``width`` columns, each whole on its line."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{separator}{part}" if lines else part
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _fitting(now: Snapshot, room: int) -> list[Row]:
    """What runs, then what ended last."""
    return [*now.running, *now.finished][: max(0, room)]


def _title(now: Snapshot, width: int, glyphs: Glyphs) -> Text:
    targets = ", ".join(map(direction, now.objectives))
    parts = [part for part in (now.about.name, targets) if part]
    return Text(cut(glyphs.between.join(parts), width, glyphs), style="dim")


def _best(now: Snapshot, width: int, glyphs: Glyphs) -> Text:
    if now.best is None:
        return Text(cut("best none yet", width, glyphs))
    (trial, row), name = now.best, now.objectives[0].name
    parts = [f"best {number(row.value(name))} in trial {trial.number}, epoch {row.epoch}"]
    if now.gain is not None:
        parts.append(f"{now.gain.value:+.5f} over {now.gain.baseline}")
    if now.front is not None:
        parts.append(f"front {now.front}")
    return Text(cut(joined(parts, width, glyphs.between), width, glyphs), style="bold")


def _settings(now: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """The best configuration: what differs among trials."""
    if now.best is None:
        return []
    room, params = width - len(INDENT), now.best[0].params
    items = [setting(name, params[name], room, glyphs) for name in now.names if name in params]
    return [Text(INDENT + line) for line in flowing(items, room)]


def _progress(tally: Tally, total: int, width: int, glyphs: Glyphs) -> Text:
    counts = {"done": tally.states["done"], "pruned": tally.states["pruned"],
              "cached": tally.cached, "error": tally.states["error"],
              "interrupted": tally.states["interrupted"]}  # fmt: skip
    head = f"{tally.finished}/{total} trials"
    line = f"{head}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    if cell_len(line) > width:
        some = [f"{count} {name}" for name, count in counts.items() if count]
        line = joined([head, *some], width, ", ")
    return Text(cut(line, width, glyphs))


def _times(times: Times, tally: Tally, width: int, glyphs: Glyphs) -> Text:
    parts = [f"{duration(times.elapsed)} so far"]
    if times.left is not None:
        parts.insert(0, f"{duration(times.left)} left")
    if times.pace is not None:
        parts.append(f"{times.pace:.0f} epochs/min")
    parts.append(f"{size(tally.written)} written")
    if times.store is not None:
        parts.append(f"store {size(times.store)}")
    return Text(cut(joined(parts, width, glyphs.between), width, glyphs))

"""The table of trials, in as many columns as a terminal has room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from recsearch.display.snapshot import Row
from recsearch.display.spark import CELLS, spark
from recsearch.display.words import Glyphs, cut, number, state

WIDE = 60
"""Columns of a terminal from which on two spaces stand between those of the table."""
LONGEST_STATE, USUAL_STATE, USUAL_VALUE, USUAL_BEST = 26, 17, 7, 11
STYLES = {"error": "red", "interrupted": "yellow", "pruned": "dim", "training": "cyan"}


class Choice(NamedTuple):
    """What the table leaves out.

    Attributes:
        cells: Of a curve; 0 for none.
        reason: Whether it says why a trial ended.
        aim: Whether it says how many epochs a running trial may have.
        value: Whether the latest value is there beside the best one.
    """

    cells: int
    reason: bool = True
    aim: bool = True
    value: bool = True


class Column(NamedTuple):
    """A heading and what stands below it."""

    heading: str
    texts: list[str]
    left: bool = False
    least: int = 0

    @property
    def width(self) -> int:
        """That of its longest text, or ``least``: a table is not to jump with what is in it."""
        return max(self.least, cell_len(self.heading), *map(cell_len, self.texts))

    def lines(self) -> Iterator[str]:
        """Heading and texts, all of the same width."""
        for text in (self.heading, *self.texts):
            fill = " " * (self.width - cell_len(text))
            yield text + fill if self.left else fill + text


CHOICES = (
    Choice(CELLS),
    Choice(CELLS // 2),
    Choice(CELLS // 2, reason=False),
    Choice(0, reason=False),
    Choice(0, reason=False, aim=False),
    Choice(0, reason=False, aim=False, value=False),
)
"""From all to the least: what goes first is what one can do without."""


def table(rows: Sequence[Row], name: str, width: int, glyphs: Glyphs) -> list[Text]:
    """A line of headings and one for each row, none wider than ``width``.

    Args:
        rows: what to show.
        name: of the objective.
        width: columns of the terminal.
        glyphs: characters that it has.
    """
    gap = 2 if width >= WIDE else 1
    for choice in CHOICES:
        columns = list(_columns(rows, name, choice, glyphs))
        if sum(column.width + gap for column in columns) - gap <= width:
            break
    lines = [
        (" " * gap).join(parts).rstrip()
        for parts in zip(*(column.lines() for column in columns), strict=True)
    ]
    styles = ["dim", *map(_style, rows)]
    return [
        Text(line if cell_len(line) <= width else set_cell_size(line, width), style=style)
        for line, style in zip(lines, styles, strict=True)
    ]


def _columns(rows: Sequence[Row], name: str, choice: Choice, glyphs: Glyphs) -> Iterator[Column]:
    words = [state(row.trial) if choice.reason else row.trial.state for row in rows]
    yield Column("trial", [str(row.trial.number) for row in rows])
    texts = [cut(text, LONGEST_STATE, glyphs) for text in words]
    yield Column("state", texts, left=True, least=USUAL_STATE if choice.reason else 0)
    yield Column("epoch", [_epoch(row, choice) for row in rows])
    if choice.value:
        values = [row.trial.epochs[-1].value(name) if row.trial.epochs else None for row in rows]
        texts = ["" if value is None else number(value) for value in values]
        yield Column(name, texts, least=USUAL_VALUE)
    heading = "best" if choice.value else f"best {name}"
    yield Column(heading, [_best(row, name) for row in rows], least=USUAL_BEST)
    if choice.cells:
        curves = [spark(row.curve, choice.cells, glyphs.blocks) for row in rows]
        yield Column("curve", curves, left=True)


def _epoch(row: Row, choice: Choice) -> str:
    last = str(len(row.trial.epochs)) if row.trial.epochs or row.aim else ""
    return f"{last}/{row.aim}" if row.aim and choice.aim else last


def _best(row: Row, name: str) -> str:
    return f"{number(row.top.value(name))} @ {row.top.epoch}" if row.top else ""


def _style(row: Row) -> str:
    return "bold" if row.best else STYLES.get(row.trial.state, "")

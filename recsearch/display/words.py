"""Numbers, configurations and trials in a few characters."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from recsearch.display.spark import ASCII_BLOCKS, BLOCKS
from recsearch.epochs import TrialView
from recsearch.evaluation import Metric
from recsearch.printable import clean

LONGEST_NAME = 24
LONGEST_VALUE = 18


class Glyphs(NamedTuple):
    """Characters that a terminal can show."""

    blocks: str
    between: str
    cut: str


UNICODE = Glyphs(BLOCKS, " · ", "…")
ASCII = Glyphs(ASCII_BLOCKS, " | ", "..")


def number(value: float) -> str:
    """A metric's value."""
    return f"{value:.5f}" if abs(value) < 1000 else f"{value:.5g}"


def direction(metric: Metric) -> str:
    """A metric and which way is up."""
    return f"{metric.name} ({'lower' if metric.direction == 'min' else 'higher'} is better)"


def state(trial: TrialView) -> str:
    """A trial's state, and why it ended."""
    text = trial.state if trial.reason is None else f"{trial.state} ({trial.reason})"
    return f"{text}, cached" if trial.cached else text


def cut(text: str, width: int, glyphs: Glyphs) -> str:
    """``text``, shortened at its end to ``width`` columns."""
    text = " ".join(clean(text).split())
    if cell_len(text) <= width:
        return text
    room = width - cell_len(glyphs.cut)
    if room <= 0:
        return set_cell_size(text, max(width, 0))
    return set_cell_size(text, room).rstrip() + glyphs.cut


def setting(name: str, value: Any, width: int, glyphs: Glyphs) -> str:
    """A parameter and its value in at most ``width`` columns; of a long name the end says more."""
    text = f"{value:.4g}" if isinstance(value, float) else _text(value)
    text = cut(text, min(LONGEST_VALUE, width), glyphs)
    room = min(LONGEST_NAME, width - cell_len(text) - 1)
    if cell_len(name) > room:
        tail = max(0, room - cell_len(glyphs.cut))
        name = glyphs.cut + name[len(name) - tail :]
    return cut(f"{name} {text}", width, glyphs)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

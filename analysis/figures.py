"""A figure as a page shows it: drawing, caption, and the numbers drawn, ready for a CSV file."""

from __future__ import annotations

from typing import Any, NamedTuple

from markupsafe import Markup


class Table(NamedTuple):
    """Rows of equal length under ``columns``; None is an absent value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Figure(NamedTuple):
    """One figure.

    Attributes:
        name: stem of its CSV file, ``data/<name>.csv``; unique on a page.
        drawing: an ``<svg>``, or an ``<img>`` with its bytes inside where an SVG would be large.
        caption: what is drawn, with n.
        table: every number that is drawn.
    """

    name: str
    drawing: Markup
    caption: str
    table: Table


def figure(name: str, drawing: str, caption: str, table: Table) -> Figure:
    """A figure; ``drawing`` must be markup of `analysis.plots`, which escape what a run says."""
    return Figure(name, Markup(drawing), caption, table)  # noqa: S704

"""Figures as small, deterministic, theme-aware SVG for inlining into a page.

Colours are drawn as placeholders and become CSS variables, so one SVG reads in light, in dark and
on paper. Text stays text. Ids that nothing refers to are dropped and the rest carry the figure's
name, so that several figures on a page never clash.
"""

from __future__ import annotations

import html
import io
import json
import re
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.plots.ranges import Tick, ValueRange
from analysis.values import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
DONE, BEST, BASELINE, CHANCE, ERROR, SOFT = (
    "#050505", "#060606", "#070707", "#080808", "#090909", "#0a0a0a",
)  # fmt: skip
_VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper", DONE: "--done",
    BEST: "--best", BASELINE: "--baseline", CHANCE: "--chance", ERROR: "--error", SOFT: "--soft",
}  # fmt: skip
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.major.width": 0.6,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "hatch.linewidth": 0.8,
    "lines.solid_capstyle": "round",
}
_TITLES = "titles:"
MOST_WORDS = 400
"""Marks of one kind that say anything: words for more would be most of the page."""
_MARK = re.compile(r'<use ((?:[a-z:]+="[^"]*" ?)*?)style="([^"]*)"/?>(<title>[^<]*</title></use>)?')
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Canvas:
    """One pair of axes on a figure of fixed size, and its SVG."""

    def __init__(self, figure: Figure, axes: Axes):
        self.figure = figure
        self.axes = axes

    def x_ticks(self, ticks: Sequence[Tick]) -> None:
        """Place the ticks of the horizontal axis."""
        self.axes.set_xticks([t.value for t in ticks], [t.label for t in ticks])
        self.axes.xaxis.set_minor_locator(NullLocator())

    def y_ticks(self, ticks: Sequence[Tick]) -> None:
        """Place the ticks of the vertical axis, each with a hairline."""
        self.axes.set_yticks([t.value for t in ticks], [t.label for t in ticks])
        self.axes.yaxis.set_minor_locator(NullLocator())
        self.axes.grid(axis="y", color=GRID, linewidth=0.6)
        self.axes.set_axisbelow(True)

    def reference_lines(
        self, references: Sequence[Reference], limits: ValueRange, *, labels: bool = True
    ) -> None:
        """Draw the baselines that fall inside the limits: dashed, chance dotted."""
        for reference in references:
            if not limits.holds(reference.value):
                continue
            chance = reference.name == "chance"
            colour = CHANCE if chance else BASELINE
            style = (0, (1, 2)) if chance else (0, (5, 3))
            self.axes.axhline(reference.value, color=colour, linewidth=1.1, linestyle=style)
            if labels:
                self.axes.annotate(
                    reference.label, (1, reference.value), xycoords=("axes fraction", "data"),
                    xytext=(-2, 3), textcoords="offset points", ha="right", color=colour,
                    fontsize=9,
                )  # fmt: skip

    def svg(self, name: str, title: str) -> str:
        """Render to an ``<svg>`` element; ``name`` prefixes its ids, ``title`` is its alt text."""
        out = io.StringIO()
        with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
            # Text is laid out by the reader's fonts; a glyph that ours lacks does not matter.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self.figure.savefig(out, format="svg", metadata=_NO_METADATA)
        return _inline(out.getvalue(), name, title)


@contextmanager
def canvas(
    width: float, height: float, *, left: float = 52, bottom: float = 38,
    right: float = 10, top: float = 12,
) -> Iterator[Canvas]:  # fmt: skip
    """Axes with the given margins on a figure of ``width`` by ``height``, all in CSS pixels."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(figure)
        box = (left / width, bottom / height, 1 - (left + right) / width,
               1 - (bottom + top) / height)  # fmt: skip
        yield Canvas(figure, figure.add_axes(box))


def tooltips(line: Line2D, words: Sequence[str]) -> None:
    """Have each mark of ``line`` say its ``words`` while the pointer rests on it.

    A browser shows the ``<title>`` of a mark without any script. Marks must lie inside the axes.
    """
    if len(words) <= MOST_WORDS:
        # The id of a group is the one thing of ours that matplotlib writes beside its marks.
        line.set_gid(_TITLES + quote(json.dumps(list(words))))


def shorten(text: str, most: int) -> str:
    """Cut a label to ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _inline(document: str, name: str, title: str) -> str:
    body = document[document.index("<svg") :]
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", body, flags=re.DOTALL)
    body = _with_titles(body)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r"<[^<>]+>", lambda tag: _tag(tag.group(), name, used), body)
    body = re.sub(r">\s+<", "><", body)
    body = _marks_of_one_style(body)
    opening = re.match(r"<svg[^>]*>", body)
    box = re.search(r'viewBox="[^"]*"', body)
    if opening is None or box is None:
        raise ValueError("not an SVG document")
    label = html.escape(title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box.group()} role="img" aria-label="{label}">'
    return f"{head}<title>{label}</title>{body[opening.end() :].strip()}"


def _with_titles(body: str) -> str:
    first, *groups = body.split(f'<g id="{_TITLES}')
    return first + "".join(map(_titled, groups))


def _titled(group: str) -> str:
    """A group of marks, what came before its words cut off, each mark with its words inside."""
    encoded, rest = group.split('"', 1)
    marks, tail = rest.split("</g>", 1)
    first, *uses = marks.split("<use")
    words = json.loads(unquote(encoded))
    named = [
        f"<use{use.replace('/>', f'><title>{html.escape(text)}</title></use>', 1)}"
        for use, text in zip(uses, words, strict=True)
    ]
    return f"<g{first}{''.join(named)}</g>{tail}"


def _marks_of_one_style(body: str) -> str:
    """Write the style of many equal marks once, on a group around them."""
    return re.sub(rf"(?:{_MARK.pattern}){{4,}}", lambda run: _hoisted(run[0]), body)


def _hoisted(marks: str) -> str:
    found = list(_MARK.finditer(marks))
    if len({mark[2] for mark in found}) > 1:
        return marks
    bare = "".join(f"<use {mark[1].strip()}{f'>{mark[3]}' if mark[3] else '/>'}" for mark in found)
    return f'<g style="{found[0][2]}">{bare}</g>'


def _tag(tag: str, name: str, used: set[str]) -> str:
    tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r'(xlink:)?href="#', f'href="#{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    tag = re.sub(r"#[0-9a-f]{6}", lambda m: _variable(m.group()), tag)
    tag = re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m.group()):.2f}".rstrip("0").rstrip("."), tag)
    return re.sub(r"\s+", " ", tag)


def _variable(colour: str) -> str:
    return f"var({_VARIABLES[colour]})" if colour in _VARIABLES else colour

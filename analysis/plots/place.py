"""The selected value in its range, small enough for a cell of a table."""

from __future__ import annotations

import html

from analysis.figures import Table
from analysis.formatting import plural
from analysis.parameters import relative_position
from analysis.regions import Region

_LEFT, _LENGTH = 6.0, 128.0
_SCALES = {"log": "logarithmic scale", "log2": "scale of powers of two"}


def position(region: Region) -> float | None:
    """Where the selected value lies in the range, 0 to 1 on its own scale; may lie outside."""
    row = region.parameter
    if row.low is None or row.high is None:
        return None
    return relative_position(row.selected, row.low, row.high, row.scale)


def place_text(region: Region) -> str:
    """The drawing in words."""
    row, at = region.parameter, position(region)
    parts = []
    if at is not None:
        outside = "" if 0 <= at <= 1 else ", outside the range"
        scale = _SCALES.get(row.scale, "linear scale")
        parts.append(f"Selected: {row.selected_text}, {100 * at:.0f} % of {row.range_text} on "
                     f"the {scale}{outside}")  # fmt: skip
    if region.middle is not None:
        low, high = (100 * v for v in region.middle)
        parts.append(
            f"middle half of the best {plural(region.best, 'trial')}: {low:.0f} to {high:.0f} %"
        )
    return "; ".join(parts) + "." if parts else ""


def draw_place(region: Region) -> str:
    """A track with a dot, and a band for the middle half of the best; "" without either."""
    text = html.escape(place_text(region))
    if not text:
        return ""
    at, flagged = position(region), region.parameter.edge is not None
    shapes = [f'<path d="M{_LEFT:g} 8h{_LENGTH:g}m0-4v8M{_LEFT:g} 4v8" '
              'style="fill:none;stroke:var(--muted);stroke-width:1"/>']  # fmt: skip
    if region.middle is not None:
        low, high = (_x(v) for v in region.middle)
        shapes.append(f'<rect x="{low - 1.5:.1f}" y="3" width="{high - low + 3:.1f}" height="10" '
                      'rx="2" style="fill:var(--done);fill-opacity:.45"/>')  # fmt: skip
    if at is not None:
        x = _x(min(max(at, 0.0), 1.0))
        shapes.append(f'<circle cx="{x:.1f}" cy="8" r="{4.6 if flagged else 4:g}" '
                      'style="fill:var(--best);stroke:var(--paper);stroke-width:1"/>')  # fmt: skip
    return (
        f'<svg viewBox="0 0 {_LENGTH + 2 * _LEFT:g} 16" role="img" '
        f'aria-label="{text}"><title>{text}</title>{"".join(shapes)}</svg>'
    )


def table(regions: tuple[Region, ...]) -> Table:
    """One row per numeric parameter, one per choice of a category."""
    columns = ("parameter", "scale", "low", "high", "choice", "trials", "best_trials", "selected",
               "position", "best_low", "best_high", "middle_low", "middle_high")  # fmt: skip
    rows: list[tuple[object, ...]] = []
    for region in regions:
        row = region.parameter
        for choice in region.choices:
            rows.append((row.name, row.scale, None, None, choice.text, choice.trials, choice.best,
                         choice.selected, None, None, None, None, None))  # fmt: skip
        if row.scale != "category":
            rows.append((row.name, row.scale, row.low, row.high, None, region.trials, region.best,
                         row.selected, position(region), region.low, region.high,
                         *(region.middle or (None, None))))  # fmt: skip
    return Table(columns, tuple(rows))


def _x(at: float) -> float:
    return _LEFT + _LENGTH * at

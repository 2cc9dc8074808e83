"""The search space with the place of the selected values in it."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup

from analysis.figures import Table
from analysis.plots.place import draw_place, table
from analysis.regions import Choice, judged, regions_info
from recsearch.run import RunView

_MOST_CHOICES = 12


class SpaceRow(NamedTuple):
    """One parameter.

    Attributes:
        place: the selected value drawn in its range; "" for categories.
        choices: of a category, the first dozen; ``more`` are not listed.
        edge: ``lower``, ``upper`` or "".
    """

    name: str
    condition: str
    kind: str
    distribution: str
    range_text: str
    selected: str
    place: Markup
    choices: tuple[Choice, ...]
    more: int
    edge: str


class SpaceSection(NamedTuple):
    """The table.

    Attributes:
        best: trials behind the bands, 0 where there are too few to draw them.
        states: of the trials that are counted, in words.
    """

    rows: tuple[SpaceRow, ...]
    best: int
    states: str
    table: Table

    @property
    def edges(self) -> bool:
        """Whether a selected value lies at an edge."""
        return any(row.edge for row in self.rows)

    @property
    def counted(self) -> bool:
        """Whether choices are listed with the trials that took them."""
        return any(row.choices for row in self.rows)


def space_section(run: RunView) -> SpaceSection:
    """What the section shows."""
    regions = regions_info(run)
    rows = []
    for region in regions:
        row = region.parameter
        kept = sorted(
            sorted(range(len(region.choices)), key=lambda k: not region.choices[k].selected)
            [:_MOST_CHOICES]
        )  # fmt: skip
        rows.append(
            SpaceRow(
                name=row.name,
                condition=row.condition,
                kind=row.kind,
                distribution=row.distribution,
                range_text=row.range_text,
                selected=row.selected_text,
                place=Markup(draw_place(region)),  # noqa: S704 - escapes what a run says
                choices=tuple(region.choices[k] for k in kept),
                more=len(region.choices) - len(kept),
                edge=row.edge or "",
            )
        )
    return SpaceSection(
        rows=tuple(rows),
        best=max((r.best for r in regions if r.middle), default=0),
        states=" and ".join(sorted({point.state for point in judged(run)})),
        table=table(regions),
    )

"""From the tables of a search file to domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsearch.space.choices import Bool, Choice
from recsearch.space.domain import Condition, Domain
from recsearch.space.ranges import DEFAULT_POINTS, Float, Int
from recsearch.space.space import Space


def domain_from_table(table: Mapping[str, Any]) -> Domain:
    """The domain that a checked table describes.

    Args:
        table: ``type`` and the keys that go with it, each of the right type.

    Raises:
        DomainError: the values contradict each other.
    """
    when = _condition(table.get("when") or {})
    kind = table["type"]
    if kind == "bool":
        return Bool(when=when)
    if kind == "choice":
        return Choice(tuple(table["choices"]), when=when)
    grid = table.get("grid")
    return (Int if kind == "int" else Float)(
        low=table["min"],
        high=table["max"],
        scale=table.get("scale", "uniform"),
        step=table.get("step"),
        points=table.get("points", DEFAULT_POINTS),
        grid=None if grid is None else tuple(grid),
        when=when,
    )


def space_from_tables(tables: Mapping[str, Mapping[str, Any]]) -> Space:
    """The space that `Space.tables` wrote."""
    return Space({name: domain_from_table(table) for name, table in tables.items()})


def _condition(when: Mapping[str, Any]) -> Condition:
    return tuple(
        (name, tuple(value) if isinstance(value, list | tuple) else (value,))
        for name, value in when.items()
    )

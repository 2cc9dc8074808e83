"""Preparing ratings: small steps, each a pure function from ratings to ratings.

A step is written as a name with a value, ``core = 5`` or ``core = { users = 5, items = 3 }``, and
steps are applied in the order in which they are written. None changes its input. What a step leaves
has the users and items that still have a rating, and no others: items that nobody rated are no
candidates of a prepared data set. ``dataset_id`` is that of the result, so whatever changes a row
changes it; the steps themselves are recorded in ``run.json``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any

from recsearch.data.steps import Core, Implicit, Minimum, Rating, Sample, Step, Time, word_of
from recsearch.data.types import Ratings
from recsearch.errors import UsageError

STEPS: dict[str, type[Any]] = {
    step.name: step for step in (Implicit, Rating, Time, Minimum, Core, Sample)
}
"""Name to step."""


def parse_step(name: str, value: Any) -> Step:
    """The step that ``name = value`` says.

    Args:
        name: one of `STEPS`.
        value: a table of its parameters, or a number for those that take one.

    Raises:
        UsageError: names what is wrong and what was expected.
    """
    if name not in STEPS:
        near = difflib.get_close_matches(name, STEPS, n=1)
        also = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"there is no step {name!r}, expected one of {', '.join(STEPS)}{also}")
    kind = STEPS[name]
    known = {field.name: field for field in fields(kind)}
    if not isinstance(value, Mapping):
        value = _short(name, value)
    for key in value:
        if key not in known:
            raise UsageError(f"{name}.{key}: is no key of the step, expected {', '.join(known)}")
    for key, field in known.items():
        if field.default is MISSING and key not in value:
            raise UsageError(f"{name}.{key} is missing")
    step: Step = kind(**value)
    return step


def parse_steps(tables: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Steps as a search file lists them: ``[{ implicit = 4 }, { core = 5 }]``.

    Raises:
        UsageError: names the place in the list.
    """
    steps = []
    for place, table in enumerate(tables, 1):
        if len(table) != 1:
            raise UsageError(f"step {place} is {dict(table)}, expected one name with its value")
        ((name, value),) = table.items()
        steps.append(parse_step(name, value))
    return tuple(steps)


def prepare(ratings: Ratings, steps: Sequence[Step]) -> Ratings:
    """Apply steps one after another; title and notes of the source say so.

    Raises:
        DataError: a step leaves nothing, or needs times that are not there.
    """
    if not steps:
        return ratings
    source = ratings.source
    notes = list(source.notes)
    for step in steps:
        before, ratings = ratings, step.apply(ratings)
        notes.append(f"prepared by {word_of(step)}: {_change(before, ratings)}")
    title = f"{source.title}, prepared: {', '.join(word_of(step) for step in steps)}"
    return replace(ratings, source=replace(source, title=title, notes=tuple(notes)))


def _short(name: str, value: Any) -> dict[str, Any]:
    """What a value without a table stands for."""
    if name == Implicit.name:
        return {"at_least": value}
    if name in (Core.name, Minimum.name):
        return {"users": value, "items": value}
    keys = ", ".join(field.name for field in fields(STEPS[name]))
    raise UsageError(f"{name} is {value!r}, expected a table of {keys}")


def _change(before: Ratings, after: Ratings) -> str:
    """Counts of a step, where they changed: ``943 of 1,000 users, …``."""
    counts = (
        ("users", before.n_users, after.n_users),
        ("items", before.n_items, after.n_items),
        ("ratings", len(before.values), len(after.values)),
    )
    return ", ".join(
        f"{new:,} {noun}" if old == new else f"{new:,} of {old:,} {noun}"
        for noun, old, new in counts
    )

"""What the places of the best trials say about the next search, with the evidence for it."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from analysis.formatting import number, value_text
from analysis.parameters import Parameter, value_at
from analysis.regions import FEWEST, FEWEST_BEST, Region

NARROW = 1 / 3
"""Share of a range, on its own scale, up to which the best trials lie close together."""
UNLIKELY = 0.05
"""Chance, over all parameters, below which a crowd of the best trials is taken for more."""


class Searcher(NamedTuple):
    """What is known of how the values of a parameter were chosen.

    A searcher that learns crowds its trials around its best, on parameters that do not matter too:
    a narrow region is no reason to cut a range then, unless the parameter is known to matter.

    Attributes:
        parameters: how many parameters are looked at, each of which may be narrow by chance.
        learns: whether later trials depend on earlier ones.
        matters: whether the parameter takes the average share of the importance or more by one
            method; None where that is not known.
    """

    parameters: int = 1
    learns: bool = False
    matters: bool | None = None


def advice(region: Region, searcher: Searcher = Searcher()) -> str:  # noqa: B008 - immutable
    """What the trials say about one parameter, and what to search next.

    "" below `FEWEST` trials; where fewer than `FEWEST_BEST` of the best take part, the edge alone.
    """
    edge = _edge_advice(region, searcher) if region.trials >= FEWEST else ""
    if region.best < FEWEST_BEST:
        return edge
    if region.parameter.scale == "category":
        return _category_advice(region, searcher)
    return " ".join(filter(None, (_range_advice(region, searcher), edge)))


def chance_of_span(trials: int, best: int, inside: int) -> float:
    """How likely ``best`` of ``trials``, drawn blindly, span ``inside`` neighbours or fewer.

    Exact: trials in the order of their values, and all sets of ``best`` of them equally likely.
    One whose first is followed by ``inside`` - 1 or more has its others among these.

    >>> round(chance_of_span(4, 2, 2), 6)  # 3 of the 6 pairs are neighbours
    0.5
    """
    sets = (trials - inside) * math.comb(inside - 1, best - 1) + math.comb(inside, best)
    return sets / math.comb(trials, best)


def chance_of_choices(trials: int, best: int, inside: int, choices: int, kept: int) -> float:
    """A bound on how likely ``best`` of ``trials``, drawn blindly, take ``kept`` of the choices.

    ``inside`` trials have one of these; each set of ``kept`` of the ``choices`` might have been it
    (Bonferroni).

    >>> round(chance_of_choices(4, 2, 2, 2, 1), 6)  # 1 pair of 6 for each of two choices
    0.333333
    """
    alone = math.comb(inside, best) / math.comb(trials, best)
    return min(1.0, math.comb(choices, kept) * alone)


def _category_advice(region: Region, searcher: Searcher) -> str:
    kept = [choice for choice in region.choices if choice.best]
    if len(kept) == len(region.choices):
        return ""
    inside = sum(choice.trials for choice in kept)
    tried = sum(choice.trials > 0 for choice in region.choices)
    if len(kept) == 1:
        text = f"all of the best {region.best} trials have {_quoted(kept[0].value)}"
        consequence = "Fix it."
    else:
        text = f"the best {region.best} trials have " + ", ".join(
            f"{_quoted(choice.value)} ({choice.best})" for choice in kept
        )
        consequence = "The other choices can go."
    chance = chance_of_choices(region.trials, region.best, inside, tried, len(kept))
    return text + _evidence(region, inside, chance, consequence, searcher)


def _range_advice(region: Region, searcher: Searcher) -> str:
    if region.span is None:
        return ""
    low, high = number(region.low, 3), number(region.high, 3)
    where = f"at {low}" if region.low == region.high else f"in {low} to {high}"
    text = f"the best {region.best} trials lie {where}"
    width = region.span[1] - region.span[0]
    if width > 1 - NARROW:
        return f"{text}, most of its range; no part of it can go."
    if width > NARROW:
        return f"{text}, too wide to cut much of its range."
    trials = region.inside + region.elsewhere
    chance = chance_of_span(trials, region.best, region.inside)
    cut = _cut(region.parameter, *region.span)
    return text + _evidence(region, region.inside, chance, cut, searcher)


def _evidence(
    region: Region, inside: int, chance: float, consequence: str, searcher: Searcher
) -> str:
    """How a crowd of the best is to be taken, ``inside`` trials being where they are."""
    category = region.parameter.scale == "category"
    trials = region.trials if category else region.inside + region.elsewhere
    overall = min(1.0, chance * searcher.parameters)
    over = f" on one of {searcher.parameters} parameters" if searcher.parameters > 1 else ""
    picked = (
        f"{inside} of the {trials} trials compared: {region.best} picked at random would "
        f"{'agree so' if category else 'lie so close together'}{over} in {_share(overall)} of cases"
    )
    if overall >= UNLIKELY:
        return f", but so do {picked}, which tells nothing."
    text = f", as do {picked}."
    if not searcher.learns or searcher.matters:
        return f"{text} {consequence}"
    doubt = (
        "How much it matters is not known" if searcher.matters is None
        else "It matters less than the average by both methods"
    )  # fmt: skip
    return f"{text} {doubt}, so the searcher may just have stayed there."


def _share(chance: float) -> str:
    if chance < 0.001:
        return "less than 0.1 %"
    return f"{100 * chance:.1f} %" if chance < 0.01 else f"{100 * chance:.0f} %"


def _cut(row: Parameter, start: float, end: float) -> str:
    """What can go: all but the range of the best trials and half as much on either side."""
    if row.low is None or row.high is None:
        return ""
    margin = max(0.05, (end - start) / 2)
    found = [
        value_at(min(max(at, 0.0), 1.0), row.low, row.high, row.scale)
        for at in (start - margin, end + margin)
    ]
    if row.scale == "log2":
        found = [2.0 ** round(math.log2(value)) for value in found]
    elif row.kind == "int":
        found = [float(round(value)) for value in found]
    digits = 4 if row.kind == "int" else 2
    low, high = (number(value, digits) for value in found)
    if start - margin <= 0:
        return f"What lies above {high} can go."
    if end + margin >= 1:
        return f"What lies below {low} can go."
    return f"Its range can be cut to {low} to {high}."


def _edge_advice(region: Region, searcher: Searcher) -> str:
    """What to do where the selected value, or most of the best, are at the edge."""
    row, (lower, upper) = region.parameter, region.edges
    most = next(
        (side for side, many in (("upper", upper), ("lower", lower)) if 2 * many > region.best),
        None,
    )
    side = row.edge or (most if searcher.matters is not False else None)
    if side is None:
        return ""
    many = upper if side == "upper" else lower
    who = (
        "The selected value is" if row.edge
        else f"{many} of the best {region.best}, though not the selected value, are"
    )  # fmt: skip
    bound = number(row.high if side == "upper" else row.low, 3)
    if side == "lower" and row.kind == "int" and row.low in (0, 1):
        return f"{who} at the least it can be, {bound}."
    if searcher.matters is False:
        return f"{who} at its {side} edge, {bound}, which matters little."
    return f"{who} at its {side} edge: widen it {'beyond' if side == 'upper' else 'below'} {bound}."


def _quoted(value: Any) -> str:
    """A choice inside a sentence: texts and structures in quotation marks."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    text = value_text(value)
    return f"\u201c{text}\u201d" if isinstance(value, list | dict) else text

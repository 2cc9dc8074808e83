"""Which parameter matters, where good values lie, and where to search next."""

from __future__ import annotations

import re
from typing import NamedTuple

from markupsafe import Markup

from analysis.advice import Searcher, advice
from analysis.figures import Figure, figure
from analysis.formatting import plural
from analysis.importance import Estimate, Importance, ImportanceInfo, importance_info
from analysis.plots import contours, importance, matrix, parallel, slices
from analysis.regions import FEWEST, ended, judged, pruned_among, regions_info
from analysis.values import Reference, dig
from recsearch.run import RunView

CLEAR = 0.9
"""Share of the resamples in which a parameter comes first that counts as certain."""
SMALL = 0.15
"""Upper end of both intervals up to which a parameter hardly matters."""
_COLUMN = 1110.0
"""Width of the page's column in CSS pixels, on a desk."""


class ParametersSection(NamedTuple):
    """The whole section.

    Attributes:
        metric: the objective.
        findings: sentences on importance, or why there is none.
        advice: (parameter, what its trials say and what to search next), most important first.
        advice_note: why there is no advice, or that pruned trials take no part; "" otherwise.
        slices: the objective over each parameter; None before a trial has a value.
        states, lines, clipped: what the key of the slices names.
        importance, contours, parallel: None where there is nothing to draw.
    """

    metric: str
    findings: tuple[str, ...]
    advice: tuple[tuple[str, str], ...]
    advice_note: str
    slices: Figure | None
    states: frozenset[str]
    lines: tuple[Reference, ...]
    clipped: bool
    importance: Figure | None
    contours: Figure | None
    parallel: Figure | None

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures of the section."""
        found = (self.importance, self.slices, self.contours, self.parallel)
        return tuple(item for item in found if item is not None)


def parameters_section(run: RunView) -> ParametersSection:
    """What the section shows."""
    sliced = slices.slices_info(run)
    ranked = importance_info(run)
    return ParametersSection(
        metric=run.objective.name,
        findings=findings(ranked),
        advice=_advice(run, ranked),
        advice_note=_advice_note(run),
        slices=_slices(sliced),
        states=frozenset(sliced.states()),
        lines=tuple(sliced.lines()),
        clipped=bool(sliced.limits and sliced.limits.clipped),
        importance=_importance(ranked),
        contours=_contours(run, ranked),
        parallel=_parallel(run),
    )


def findings(info: ImportanceInfo) -> tuple[str, ...]:
    """Which parameter matters most and least, how certain that is, and where methods disagree."""
    if info.reason:
        return (info.reason,)
    by_ped = max(info.ranked, key=lambda row: row.ped.share)
    by_fanova = max(info.ranked, key=lambda row: row.fanova.share)
    said = _agree(info, by_ped) if by_ped is by_fanova else _disagree(info, by_ped, by_fanova)
    small = [row.name for row in info.ranked if max(row.ped.high, row.fanova.high) <= SMALL]
    if small:
        which = "this one hardly matters" if len(small) == 1 else "these hardly matter"
        said += (f"By both methods {which}: {', '.join(small)}.",)
    return said


def _agree(info: ImportanceInfo, row: Importance) -> tuple[str, ...]:
    certain = min(row.ped.first, row.fanova.first) >= CLEAR
    return (
        f"{row.name} matters most by both methods: PED-ANOVA gives it {_share(row.ped)}, fANOVA "
        f"{_share(row.fanova)}.",
        f"It comes first in {_times(info, row.ped)} and {_times(info, row.fanova)} resamples of "
        f"the {info.n} finished trials{'' if certain else ', so that it is not certain'}.",
    )


def _disagree(info: ImportanceInfo, by_ped: Importance, by_fanova: Importance) -> tuple[str, ...]:
    ped, fanova = by_ped.ped, by_fanova.fanova
    weak = [
        method
        for method, found in (("PED-ANOVA", ped), ("fANOVA", fanova))
        if found.first < CLEAR
    ]  # fmt: skip
    doubt = {0: "both are clear", 1: f"the answer of {''.join(weak)} is not certain"}.get(
        len(weak), "neither is certain")  # fmt: skip
    return (
        f"The two methods disagree on which parameter matters most. PED-ANOVA: {by_ped.name} "
        f"({_share(ped, '; ')}), which sets the best {info.top} trials apart. fANOVA: "
        f"{by_fanova.name} ({_share(fanova, '; ')}), with which {info.metric} varies most over "
        "the whole space.",
        f"They come first in {_times(info, ped)} and {_times(info, fanova)} resamples of the "
        f"{info.n} finished trials: {doubt}.",
    )


def _share(found: Estimate, opening: str = " (") -> str:
    low, high = (round(100 * v) for v in (found.low, found.high))
    closing = ")" if "(" in opening else ""
    return f"{100 * found.share:.0f} %{opening}interval {low} to {high} %{closing}"


def _times(info: ImportanceInfo, found: Estimate) -> str:
    return f"{round(found.first * info.resamples)} of {info.resamples}"


def _advice_note(run: RunView) -> str:
    found = judged(run)
    if len(found) < FEWEST:
        return (
            f"Where good values lie cannot be told yet: {len(found)} of the {FEWEST} trials that "
            "it takes have ended."
        )
    pruned = sum(point.state == "pruned" for point in found)
    if pruned:
        return f"Compared are {plural(len(found), 'trial')}, {pruned_among(pruned)}."
    left_out = len(ended(run)) - len(found)
    if left_out:
        return (
            f"Compared are the {len(found)} done trials: the values of the "
            f"{plural(left_out, 'pruned one')} are from fewer epochs."
        )
    return ""


def _advice(run: RunView, ranked: ImportanceInfo) -> tuple[tuple[str, str], ...]:
    order = {row.name: at for at, row in enumerate(ranked.ranked)}
    average = 1 / max(1, len(ranked.ranked))
    learns = dig(run.identity, "search", "search", "method") not in ("random", "grid")
    matters = {
        row.name: max(row.ped.share, row.fanova.share) >= average for row in ranked.ranked if learns
    }
    regions = regions_info(run)
    said = [
        (name, advice(region, Searcher(len(regions), learns, matters.get(name))))
        for region in regions
        for name in (region.parameter.name,)
    ]
    said.sort(key=lambda pair: order.get(pair[0], len(order)))
    return tuple((name, text) for name, text in said if text)


def _slices(info: slices.SlicesInfo) -> Figure | None:
    panels = slices.draw_slices(info)
    if not panels:
        return None
    drawing = "".join(f"<div>{svg}</div>" for svg in panels)
    caption = slices.caption(info)
    if "pruned" in info.states():
        caption += " Hollow circles were pruned: their value is from fewer epochs."
    return figure("slices", f'<div class="panels">{drawing}</div>', caption, slices.table(info))


def _importance(info: ImportanceInfo) -> Figure | None:
    if not info.ranked:
        return None
    svg = importance.draw_importance(info)
    return figure("importance", svg, importance.caption(info), importance.table(info))


def _contours(run: RunView, ranked: ImportanceInfo) -> Figure | None:
    info = contours.contours_info(run, ranked)
    if info is None:
        return None
    svg = matrix.draw_contours(info)
    return figure("contours", _wide(svg), contours.caption(info), contours.table(info))


def _parallel(run: RunView) -> Figure | None:
    info = parallel.parallel_info(run)
    if info is None:
        return None
    svg = parallel.draw_parallel(info)
    return figure("parallel", _wide(svg), parallel.caption(info), parallel.table(info))


def _wide(svg: str) -> Markup:
    """A figure at a width of its own, a little over that it was drawn for; scrolls on a phone."""
    drawn = re.search(r'viewBox="0 0 ([0-9.]+) ', svg)
    own = float(drawn[1]) if drawn else _COLUMN
    width = round(min(1.15 * own, max(_COLUMN, 0.9 * own)))
    box = 'class="scroll broad" tabindex="0" role="group" aria-label="Wide figure"'
    return Markup(f'<div {box} style="--width:{width}px">{svg}</div>')  # noqa: S704 - drawn by us, escapes what a run says

"""What a better objective costs: against training time, model size, and a second metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from analysis.costs import mebibytes_of, seconds_to
from analysis.figures import Table
from analysis.formatting import duration, metric, number, plural, size
from analysis.plots.marks import draw_best, draw_clipped, draw_marks
from analysis.plots.ranges import (
    Tick,
    ValueRange,
    beyond_text,
    good_range,
    linear_ticks,
    log_ticks,
)
from analysis.plots.svg import BEST, Canvas, canvas
from analysis.values import Reference, finite, points, references
from recsearch.epochs import TrialView
from recsearch.errors import UsageError
from recsearch.evaluation import Metric, parse
from recsearch.folds import folds_of
from recsearch.pareto import front
from recsearch.run import RunView

_PREFERRED = ("NDCG@10", "RBP", "NDCG", "RMSE", "MAE", "Recall@10")
_WIDE = 20.0
"""A cost that spans more than this factor is drawn on a logarithmic axis."""


class Deal(NamedTuple):
    """The best epoch of one trial: its objective for what it costs; ``front`` if on the front."""

    trial: int
    epoch: int
    state: str
    cost: float
    value: float
    front: bool


class TradeoffInfo(NamedTuple):
    """Deals by trial.

    Attributes:
        name: ``train-time``, ``model-size`` or ``second-metric``.
        cost: what the horizontal axis has.
        cost_direction: ``min`` where less of it is better.
        log: whether the horizontal axis is logarithmic.
        low, high: its limits.
        best: the run's best; None where its cost is not known.
        other: the deal that is best by the second metric, of all epochs; None for other costs.
        best_trial: the trial of the run's best.
        unknown: trials left out, since their cost is not known.
        folds: validation folds, each with a model of its own.
    """

    name: str
    metric: str
    direction: str
    cost: str
    cost_direction: str
    deals: tuple[Deal, ...]
    log: bool
    low: float
    high: float
    limits: ValueRange
    references: tuple[Reference, ...]
    best: Deal | None
    other: Deal | None
    best_trial: int
    unknown: int
    folds: int


def tradeoff_infos(run: RunView) -> tuple[TradeoffInfo, ...]:
    """The trade-offs that the run has at least two different costs for."""
    second = second_metric(run)
    found = [
        _info(run, "train-time", "training time to the best epoch (seconds)", seconds_to),
        _info(run, "model-size", "size of the model's state (MiB)", mebibytes_of(run)),
        None if second is None else _second(run, second),
    ]
    return tuple(info for info in found if info is not None)


def second_metric(run: RunView) -> Metric | None:
    """The metric to set beside the objective: of the other kind (rating, ranking) if measured.

    None where several objectives have a front of their own.
    """
    best = run.best()
    if best is None or len(run.objectives) > 1:
        return None
    measured = []
    for name in best[1].metrics:
        try:
            measured.append(parse(name))
        except UsageError:
            continue
    others = [m for m in measured if m.base != run.objective.base and not m.pooled]
    order = {name: at for at, name in enumerate(_PREFERRED)}
    return min(
        others,
        key=lambda m: (m.kind == run.objective.kind, order.get(m.name, len(order))),
        default=None,
    )


def caption(info: TradeoffInfo) -> str:
    """What is drawn, with n, and what the two ends of the front are."""
    best = sum(deal.front for deal in info.deals)
    text = (
        f"{info.metric} of each trial's best epoch over {info.cost}; "
        f"{plural(len(info.deals), 'trial')}. The line joins the {plural(best, 'trial')} that "
        f"no other beats in both."
    )
    if info.other is not None:
        text += f" Diamond: the epoch that is best by {info.cost}, of all epochs of all trials."
        if not info.limits.holds(info.other.value):
            text = f"{text[:-1]}; it lies beyond the axis."
    if info.unknown:
        text += _unknown_words(info)
    if info.folds > 1 and info.name != "second-metric":
        of = "of all {}" if info.name == "train-time" else "of the model of one of {}"
        text += f" The cost is that {of.format(f'{info.folds} folds')}."
    if info.limits.clipped:
        text += f" {plural(info.limits.clipped, 'trial')} beyond the axis (arrowheads)."
    return text + beyond_text(info.references, info.limits)


def sentence(info: TradeoffInfo) -> str:
    """What the trade-off comes to in words, "" where the best is also the cheapest."""
    if info.other is not None and info.best is not None:
        best, other = info.best, info.other
        if (best.trial, best.epoch) == (other.trial, other.epoch):
            return f"One epoch is best by both {info.metric} and {info.cost}."
        return (
            f"Best by {info.metric} is trial {best.trial}, epoch {best.epoch} "
            f"({info.metric} {metric(best.value)}, {info.cost} {metric(best.cost)}); best by "
            f"{info.cost} is trial {other.trial}, epoch {other.epoch} "
            f"({info.metric} {metric(other.value)}, {info.cost} {metric(other.cost)})."
        )
    if info.best is None:
        return ""
    limit = info.best.cost / 2
    cheaper = [deal for deal in info.deals if deal.front and deal.cost <= limit]
    sign = 1.0 if info.direction == "min" else -1.0
    near = min(cheaper, key=lambda deal: sign * deal.value, default=None)
    if near is None:
        return ""
    lost = number(abs(near.value - info.best.value), 2)
    words = duration if info.name == "train-time" else lambda cost: size(cost * 2**20)
    return (
        f"At no more than half the cost of the best, trial {near.trial} has {info.metric} "
        f"{metric(near.value)} ({lost} worse) for {words(near.cost)} instead of "
        f"{words(info.best.cost)}."
    )


def table(info: TradeoffInfo) -> Table:
    """One row per trial."""
    rows = tuple((d.trial, d.epoch, d.state, d.cost, d.value, d.front) for d in info.deals)
    return Table(("trial", "epoch", "state", info.cost, info.metric, "on_front"), rows)


def draw_tradeoff(info: TradeoffInfo) -> str:
    """Marks as everywhere; a staircase through the front."""
    with canvas(370, 270, left=56) as figure:
        axes = figure.axes
        if info.log:
            axes.set_xscale("log")
        axes.set_xlim(info.low, info.high)
        axes.set_ylim(info.limits.low, info.limits.high)
        figure.x_ticks(_ticks(info))
        figure.y_ticks(linear_ticks(info.limits.low, info.limits.high))
        axes.set_xlabel(info.cost)
        axes.set_ylabel(info.metric)
        figure.reference_lines(info.references, info.limits)
        _front(figure, info)
        inside = [deal for deal in info.deals if info.limits.holds(deal.value)]
        draw_marks(axes, [d.cost for d in inside], [d.value for d in inside],
                   [d.state for d in inside], [_deal_words(info, d) for d in inside])  # fmt: skip
        beyond = [deal for deal in info.deals if not info.limits.holds(deal.value)]
        if beyond:
            edge = info.limits.high if info.direction == "min" else info.limits.low
            draw_clipped(axes, [d.cost for d in beyond], edge, info.direction,
                         [_deal_words(info, d) for d in beyond])  # fmt: skip
        if info.other is not None and info.limits.holds(info.other.value):
            axes.plot([info.other.cost], [info.other.value], linestyle="none", marker="D",
                      markersize=8, markerfacecolor="none", markeredgecolor=BEST,
                      markeredgewidth=1.4, zorder=5)  # fmt: skip
        if info.best is not None:
            draw_best(axes, info.best.cost, info.best.value)
        return figure.svg(info.name, caption(info))


def _unknown_words(info: TradeoffInfo) -> str:
    why = {
        "model-size": "all of whose epochs came from the store",
        "train-time": "which trained nothing",
    }.get(info.name, "which did not measure it")
    best = f", the best ({info.best_trial}) among them" if info.best is None else ""
    return f" Not drawn: {plural(info.unknown, 'trial')}, {why}{best}."


def _second(run: RunView, second: Metric) -> TradeoffInfo | None:
    def cost(trial: TrialView, epoch: int) -> float | None:
        rows = [row for row in trial.epochs if row.epoch == epoch]
        return finite(rows[0].value(second.name)) if rows else None

    info = _info(run, "second-metric", second.name, cost, second.direction)
    found = run.best(second.name)
    if info is None or found is None:
        return None
    trial, row = found
    value, at = row.value(run.objective.name), row.value(second.name)
    other = Deal(trial.number, row.epoch, trial.state, at, value, front=False)
    if not math.isfinite(value):
        return None
    costs = [deal.cost for deal in info.deals] + [at]
    low, high = _axis(costs, log=False)
    return info._replace(other=other, log=False, low=low, high=high)


def _info(
    run: RunView,
    name: str,
    cost: str,
    cost_of: Callable[[TrialView, int], float | None],
    cost_direction: str = "min",
) -> TradeoffInfo | None:
    best = run.best()
    found = [
        (point, price)
        for point in points(run)
        if (price := cost_of(run.trial(point.trial), point.epoch)) is not None
    ]
    costs = [price for _, price in found]
    if best is None or len(set(costs)) < 2:
        return None
    signs = [-1.0 if d == "max" else 1.0 for d in (run.objective.direction, cost_direction)]
    kept = set(front([(signs[0] * point.value, signs[1] * price) for point, price in found]))
    deals = tuple(
        Deal(point.trial, point.epoch, point.state, price, point.value, at in kept)
        for at, (point, price) in enumerate(found)
    )
    mine = [deal for deal in deals if deal.trial == best[0].number]
    lines = references(run)
    limits = good_range([deal.value for deal in deals], run.objective.direction, lines)
    if limits is None:
        return None
    log = min(costs) > 0 and max(costs) > _WIDE * min(costs)
    low, high = _axis(costs, log=log)
    return TradeoffInfo(
        name, run.objective.name, run.objective.direction, cost, cost_direction, deals, log, low,
        high, limits, lines, mine[0] if mine else None, None, best[0].number,
        len(points(run)) - len(found), folds_of(run.identity),
    )  # fmt: skip


def _axis(costs: Sequence[float], *, log: bool) -> tuple[float, float]:
    low, high = min(costs), max(costs)
    if log:
        pad = (high / low) ** 0.05
        return low / pad, high * pad
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _ticks(info: TradeoffInfo) -> list[Tick]:
    make = log_ticks if info.log else linear_ticks
    return make(info.low, info.high, 6)


def _front(figure: Canvas, info: TradeoffInfo) -> None:
    """A staircase through the front, from its cheapest deal on."""
    sign = 1.0 if info.cost_direction == "min" else -1.0
    steps = sorted((d for d in info.deals if d.front), key=lambda deal: sign * deal.cost)
    figure.axes.step([d.cost for d in steps], [d.value for d in steps], where="post", color=BEST,
                     linewidth=1.1)  # fmt: skip


def _deal_words(info: TradeoffInfo, deal: Deal) -> str:
    value = f"{info.metric} {metric(deal.value)}"
    return f"trial {deal.trial}, epoch {deal.epoch}: {value} for {number(deal.cost)} ({info.cost})"

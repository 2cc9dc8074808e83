"""Trade-offs: which trials nobody beats at their price, in both directions."""

from __future__ import annotations

import pytest
from fabricate import Fabricated

from analysis.plots.tradeoff import (
    caption,
    draw_tradeoff,
    second_metric,
    sentence,
    table,
    tradeoff_infos,
)
from recsearch.run import RunView

SPACE = {"x": {"type": "float", "min": 0.0, "max": 1.0}}


def priced(root, rows, *, metric="RMSE", direction="min", name="t", others=()) -> RunView:
    """Trials of (objective by epoch, seconds an epoch, bytes, second metric by epoch)."""
    run = Fabricated(name=name, space=SPACE, metric=metric, direction=direction, trials=len(rows),
                     others=others)  # fmt: skip
    run.opened()
    second = "NDCG@10" if metric == "RMSE" else "RMSE"
    for number, (curve, seconds, size, further) in enumerate(rows, start=1):
        run.event("suggested", trial=number, params={"x": 0.5}, config={"x": 0.5},
                  key=f"{number:064x}", origin="random")  # fmt: skip
        run.event("started", trial=number)
        for epoch, (value, other) in enumerate(zip(curve, further, strict=True), start=1):
            run.tick(1)
            run.event("epoch", trial=number, epoch=epoch, metrics={metric: value, second: other},
                      train_s=seconds, eval_s=0.1, save_s=0.0, stored_bytes=1,
                      logical_bytes=size, cached=False)  # fmt: skip
        run.event("done", trial=number, epoch=len(curve), reason="plateau")
    run.closed()
    return RunView.open(run.write(root))


ROWS = [
    ([0.9, 0.80], 10.0, 4 << 20, [0.01, 0.02]),  # best: 20 s to its best epoch
    ([0.82, 0.83], 3.0, 1 << 20, [0.03, 0.04]),  # nearly as good for 3 s
    ([0.95], 1.0, 2 << 20, [0.09]),  # cheap and bad, but best by the second metric
    ([0.96], 5.0, 8 << 20, [0.01]),  # beaten in everything
]


def by_name(view) -> dict:
    return {info.name: info for info in tradeoff_infos(view)}


def test_costs_are_those_of_the_best_epoch_and_the_front_is_who_nobody_beats(tmp_path):
    infos = by_name(priced(tmp_path, ROWS))
    time = infos["train-time"]
    assert [(d.trial, d.epoch, d.cost, d.front) for d in time.deals] == [
        (1, 2, 20.0, True),
        (2, 1, 3.0, True),
        (3, 1, 1.0, True),
        (4, 1, 5.0, False),
    ]
    assert [d.cost for d in infos["model-size"].deals] == [4.0, 1.0, 2.0, 8.0]
    assert [d.trial for d in infos["model-size"].deals if d.front] == [1, 2]
    assert "0.02 worse) for 3.0 s instead of 20.0 s" in sentence(time)
    assert "the 3 trials that no other beats" in caption(time)
    assert table(time).rows[1] == (2, 1, "done", 3.0, 0.82, True)
    assert "for 1.0 MiB instead of 4.0 MiB" in sentence(infos["model-size"])


def test_the_best_by_a_second_metric_is_looked_for_in_all_epochs(tmp_path):
    info = by_name(priced(tmp_path, ROWS))["second-metric"]
    assert (info.cost, info.cost_direction) == ("NDCG@10", "max")
    assert (info.other.trial, info.other.epoch, info.other.value) == (3, 1, 0.95)
    assert (info.best.trial, info.best.cost) == (1, 0.02)
    assert sentence(info) == (
        "Best by RMSE is trial 1, epoch 2 (RMSE 0.80000, NDCG@10 0.02000); best by NDCG@10 is "
        "trial 3, epoch 1 (RMSE 0.95000, NDCG@10 0.09000)."
    )
    assert [d.trial for d in info.deals if d.front] == [1, 2, 3]


def test_a_maximised_objective_keeps_its_direction(tmp_path):
    rows = [([0.1, 0.3], 1.0, 9, [0.9, 0.8]), ([0.2], 5.0, 8, [0.7]), ([0.3], 0.5, 7, [0.6])]
    infos = by_name(priced(tmp_path, rows, metric="NDCG@10", direction="max"))
    assert [d.trial for d in infos["train-time"].deals if d.front] == [3]
    assert infos["second-metric"].cost == "RMSE"
    # Equal to the best by objective and better by RMSE.
    assert [d.trial for d in infos["second-metric"].deals if d.front] == [3]
    # Of equal objectives the earlier epoch is the best: trial 3 at epoch 1.
    assert infos["train-time"].best.trial == 3
    assert "One epoch is best by both" in sentence(infos["second-metric"])


def test_one_trial_or_equal_costs_have_nothing_to_trade(tmp_path):
    assert tradeoff_infos(priced(tmp_path, ROWS[:1])) == ()
    same = [([0.8], 1.0, 5, [0.1]), ([0.9], 1.0, 5, [0.1])]
    assert tradeoff_infos(priced(tmp_path, same, name="same")) == ()


def test_several_objectives_have_a_front_of_their_own(tmp_path):
    view = priced(tmp_path, ROWS, others=("NDCG@10",))
    assert second_metric(view) is None
    assert "second-metric" not in by_name(view)


@pytest.mark.parametrize("name", ["train-time", "model-size", "second-metric"])
def test_drawings_are_the_same_every_time_and_say_what_each_mark_is(tmp_path, name):
    info = by_name(priced(tmp_path, ROWS))[name]
    svg = draw_tradeoff(info)
    assert svg == draw_tradeoff(info)
    assert "<title>trial 2, epoch 1: RMSE 0.82000 for" in svg


def cached(root, trials, folds=None):
    """One epoch of 1 s for each (key, objective, bytes); 0 bytes came from the store."""
    run = Fabricated(name="cached", space=SPACE, trials=len(trials))
    run.opened()
    for number, (key, value, size) in enumerate(trials, start=1):
        run.event("suggested", trial=number, params={"x": 0.5}, config={"x": 0.5}, key=key,
                  origin="random")  # fmt: skip
        run.event("started", trial=number)
        further = {} if folds is None else {"folds": [{"RMSE": value}] * folds}
        run.event("epoch", trial=number, epoch=1, metrics={"RMSE": value}, train_s=1.0, eval_s=0.1,
                  save_s=0.0, stored_bytes=size, logical_bytes=size, cached=not size,
                  **further)  # fmt: skip
        run.event("done", trial=number, epoch=1, reason="one_shot")
    run.closed()
    return RunView.open(run.write(root))


def test_a_size_that_the_store_did_not_say_is_that_of_the_same_configuration(tmp_path):
    trials = [("a", 0.9, 1 << 20), ("b", 0.8, 2 << 20), ("a", 0.85, 0), ("c", 0.95, 0)]
    info = by_name(cached(tmp_path, trials))["model-size"]
    assert [(deal.trial, deal.cost) for deal in info.deals] == [(1, 1.0), (2, 2.0), (3, 1.0)]
    assert info.unknown == 1
    assert "Not drawn: 1 trial, all of whose epochs came from the store." in caption(info)


def test_a_best_of_unknown_size_leaves_the_others_and_is_named(tmp_path):
    trials = [("a", 0.9, 1 << 20), ("b", 0.85, 2 << 20), ("c", 0.8, 0)]
    info = by_name(cached(tmp_path, trials))["model-size"]
    assert (info.best, len(info.deals), sentence(info)) == (None, 2, "")
    assert "came from the store, the best (3) among them." in caption(info)
    assert draw_tradeoff(info).startswith("<svg")


def test_the_size_is_that_of_one_fold(tmp_path):
    infos = by_name(cached(tmp_path, [("a", 0.9, 3 << 20), ("b", 0.8, 6 << 20)], folds=3))
    assert [deal.cost for deal in infos["model-size"].deals] == [1.0, 2.0]


@pytest.mark.parametrize(("metric", "direction", "sign"), [("RMSE", "min", 1), ("RBP", "max", -1)])
def test_bad_trials_leave_room_for_the_front(tmp_path, metric, direction, sign):
    """Half of the trials lie far off; the good ones get about half of the axis."""
    values = [0.5 + sign * (0.01 * n if n < 6 else 0.03 * n) for n in range(10)]
    rows = [([value], 1.0 + n, 1 << 20, [0.1]) for n, value in enumerate(values)]
    info = by_name(priced(tmp_path, rows, metric=metric, direction=direction))["train-time"]
    shown = [deal.trial for deal in info.deals if info.limits.holds(deal.value)]
    assert shown == [1, 2, 3, 4, 5, 6]
    assert "4 trials beyond the axis (arrowheads)" in caption(info)
    assert "<title>trial 10, epoch 1: " in draw_tradeoff(info)
    assert abs(values[5] - values[0]) > 0.45 * (info.limits.high - info.limits.low)

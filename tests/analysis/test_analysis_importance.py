"""Importance by two methods, on studies in which it is known what decides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fabricate import Fabricated

from analysis.importance import FEWEST, MOST_TRIALS, importance_info
from analysis.plots.importance import caption, draw_importance, table
from analysis.sections.parameters import findings
from recsearch.run import RunView

UNIT = {"type": "float", "min": 0.0, "max": 1.0}
SPACE = {"a": UNIT, "b": UNIT, "c": UNIT}


def study(root, value, *, n=60, space=None, direction="min", draw=None, state=None):
    """A run of ``n`` trials drawn at random whose objective is ``value(params)``."""
    metric = "RMSE" if direction == "min" else "NDCG@10"
    space = space or SPACE
    rng = np.random.default_rng(5)
    run = Fabricated(metric=metric, direction=direction, space=space, trials=n)
    run.opened()
    for number in range(1, n + 1):
        params = draw(rng, number) if draw else {name: float(rng.random()) for name in space}
        run.trial(number, params, [value(params)], state=state(number) if state else "done")
    run.closed()
    return RunView.open(run.write(root))


def names(info):
    return [row.name for row in info.ranked]


@pytest.mark.parametrize("direction", ["min", "max"])
def test_what_decides_alone_comes_first_by_both_methods(tmp_path, direction):
    sign = 1 if direction == "min" else -1
    view = study(tmp_path, lambda p: 1 + sign * (p["b"] - 0.3) ** 2, direction=direction)
    info = importance_info(view)
    assert names(info)[0] == "b"
    first = info.ranked[0]
    assert first.ped.share > 0.8
    assert first.fanova.share > 0.95
    assert (first.ped.first, first.fanova.first) == (1.0, 1.0)
    said = " ".join(findings(info))
    assert "b matters most by both methods" in said
    assert "not certain" not in said


def test_the_best_trials_are_those_of_the_right_direction(tmp_path):
    """Low values are decided by a, high ones by b alone: what sets the best apart differs."""

    def value(params):
        return 10 + params["b"] if params["b"] > 0.8 else abs(params["a"] - 0.4)

    low = importance_info(study(tmp_path / "low", value, n=100))
    high = importance_info(study(tmp_path / "high", value, n=100, direction="max"))
    assert max(low.ranked, key=lambda row: row.ped.share).name == "a"
    assert max(high.ranked, key=lambda row: row.ped.share).name == "b"


def test_where_the_methods_disagree_the_words_say_so(tmp_path):
    def value(params):
        return 10 + params["b"] if params["b"] > 0.8 else abs(params["a"] - 0.4)

    said = " ".join(findings(importance_info(study(tmp_path, value, n=100))))
    assert "The two methods disagree" in said
    assert "PED-ANOVA: a (" in said
    assert "fANOVA: b (" in said
    assert "sets the best 10 trials apart" in said


def test_shares_sum_to_one_inside_their_intervals(tmp_path):
    info = importance_info(study(tmp_path, lambda p: p["a"] + 0.5 * p["b"] + 0.1 * p["c"]))
    for method in ("ped", "fanova"):
        found = [getattr(row, method) for row in info.ranked]
        assert sum(row.share for row in found) == pytest.approx(1)
        assert sum(row.first for row in found) == pytest.approx(1)
        assert all(0 <= row.low <= row.share <= row.high <= 1 for row in found)
    means = [row.mean for row in info.ranked]
    assert means == sorted(means, reverse=True)


def test_scales_are_those_that_were_sampled(tmp_path):
    """Of 1e-12 to 100 nearly all would be the last decade, were values not taken as logarithms."""
    space = {"damping": {"type": "float", "min": 1e-12, "max": 100.0, "scale": "log"}, "b": UNIT}

    def draw(rng, number):
        return {"damping": 10 ** rng.uniform(-12, 2), "b": float(rng.random())}

    def value(params):
        return abs(math.log10(params["damping"]) + 8) / 10 + 0.1 * params["b"]

    first = importance_info(study(tmp_path, value, space=space, draw=draw)).ranked[0]
    assert first.name == "damping"
    assert first.fanova.share > 0.9


def test_kinds_of_parameters_are_ranked_alike(tmp_path):
    space = {
        "loss": {"type": "choice", "choices": ["bpr", "warp", ["x"], None]},
        "bias": {"type": "bool"},
        "size": {"type": "int", "min": 8, "max": 1024, "scale": "pow2"},
        "layers": {"type": "int", "min": 1, "max": 3, "step": 1},
        "width": {"type": "int", "min": 10, "max": 1000, "scale": "log"},
    }

    def draw(rng, number):
        return {"loss": ["bpr", "warp", ["x"], None][rng.integers(4)],
                "bias": bool(rng.integers(2)), "size": int(2 ** rng.integers(3, 11)),
                "layers": int(rng.integers(1, 4)),
                "width": int(rng.integers(10, 1001))}  # fmt: skip

    by_loss = study(tmp_path / "loss", lambda p: float(p["loss"] == "warp"), space=space,
                    draw=draw)  # fmt: skip
    by_bias = study(tmp_path / "bias", lambda p: 1 - p["bias"] + p["layers"] / 99, space=space,
                    draw=draw)  # fmt: skip
    for view, name in ((by_loss, "loss"), (by_bias, "bias")):
        info = importance_info(view)
        assert sorted(names(info)) == sorted(space)
        assert info.ranked[0].name == name
        assert info.ranked[0].fanova.share > 0.8


def test_whole_numbers_do_not_look_crowded(tmp_path):
    """A few values on 50 cells of PED-ANOVA are no sign that the best trials gathered there."""
    space = {"a": UNIT, "k": {"type": "int", "min": 1, "max": 5}}

    def draw(rng, number):
        return {"a": float(rng.random()), "k": int(rng.integers(1, 6))}

    info = importance_info(study(tmp_path, lambda p: (p["a"] - 0.5) ** 2, space=space, draw=draw))
    k = next(row for row in info.ranked if row.name == "k")
    assert k.ped.high < 0.4


@pytest.mark.parametrize("finished", [0, 1, FEWEST - 1])
def test_below_twenty_finished_trials_nothing_is_ranked(tmp_path, finished):
    view = study(tmp_path, lambda p: p["a"],
                 state=lambda number: "done" if number <= finished else "pruned")  # fmt: skip
    info = importance_info(view)
    assert info.ranked == ()
    noun = "trial" if finished == 1 else "trials"
    assert f"{finished} {noun} finished, and it takes {FEWEST}" in info.reason
    assert findings(info) == (info.reason,)


def test_pruned_and_failed_trials_do_not_count(tmp_path):
    states = ("done", "pruned", "error")
    view = study(tmp_path, lambda p: p["a"], state=lambda number: states[number % 3])
    info = importance_info(view)
    assert (info.n, info.finished) == (20, 20)
    assert names(info)[0] == "a"


def test_an_objective_that_is_the_same_everywhere_tells_nothing(tmp_path):
    info = importance_info(study(tmp_path, lambda p: 0.5))
    assert info.ranked == ()
    assert info.reason == "All 60 finished trials have the same RMSE: nothing can be told."


def test_ties_and_one_outlier_do_not_break_it(tmp_path):
    values = iter([0.5] * 59 + [9.0])
    info = importance_info(study(tmp_path, lambda p: next(values)))
    assert info.reason == ""
    assert all(math.isfinite(row.mean) for row in info.ranked)
    assert sum(row.mean for row in info.ranked) == pytest.approx(1)


def test_a_parameter_that_never_changed_has_no_share(tmp_path):
    def draw(rng, number):
        return {"a": float(rng.random()), "b": 0.25, "c": float(rng.random())}

    info = importance_info(study(tmp_path / "one", lambda p: p["a"], draw=draw))
    b = next(row for row in info.ranked if row.name == "b")
    assert b.ped == b.fanova == (0, 0, 0, 0)
    still = importance_info(
        study(tmp_path / "all", lambda p: 1.0, draw=lambda rng, number: dict.fromkeys("abc", 0.5))
    )
    assert still.ranked == ()
    assert still.reason


def test_one_parameter_has_no_rank(tmp_path):
    info = importance_info(study(tmp_path, lambda p: p["a"], space={"a": UNIT}))
    assert info.reason == "There is one parameter to rank, a."


def test_values_that_are_not_finite_or_outside_the_range_are_not_used(tmp_path):
    def draw(rng, number):
        return {name: float(rng.random()) + (5 if number == 7 else 0) for name in SPACE}

    counter = iter(range(60))
    info = importance_info(
        study(tmp_path, lambda p: math.nan if next(counter) < 5 else p["a"], draw=draw)
    )
    assert (info.n, info.finished) == (54, 55)
    assert "54 of 55 finished trials" in caption(info)


def test_of_many_trials_a_fixed_number_is_used(tmp_path):
    info = importance_info(study(tmp_path, lambda p: p["a"], n=330))
    assert (info.n, info.finished) == (MOST_TRIALS, 330)
    assert names(info)[0] == "a"


def test_a_parameter_under_a_condition_is_named_and_not_ranked(tmp_path):
    space = {**SPACE, "neg": {"type": "int", "min": 1, "max": 9, "when": {"a": [1]}}}

    def draw(rng, number):
        params = {name: float(rng.random()) for name in SPACE}
        return params | ({"neg": number % 9 + 1} if number % 3 == 0 else {})

    info = importance_info(study(tmp_path, lambda p: p["a"], space=space, draw=draw))
    assert sorted(names(info)) == ["a", "b", "c"]
    assert info.left_out == (("neg", 20),)
    assert "Not ranked: neg, which takes part in 20 of them only." in caption(info)


def test_a_default_without_a_parameter_does_not_take_its_rank(tmp_path):
    def draw(rng, number):
        params = {name: float(rng.random()) for name in SPACE}
        return params if number > 1 else {"a": 0.5, "b": 0.5}

    info = importance_info(study(tmp_path, lambda p: p["a"], draw=draw))
    assert sorted(names(info)) == ["a", "b", "c"]
    assert (info.n, info.finished, info.left_out) == (59, 60, ())


def test_a_grid_is_ranked(tmp_path):
    points = [(a / 4, b / 4) for a in range(5) for b in range(5)]
    info = importance_info(
        study(tmp_path, lambda p: p["a"] ** 2 + 0.01 * p["b"], n=25, space={"a": UNIT, "b": UNIT},
              draw=lambda rng, number: dict(zip("ab", points[number - 1], strict=True)))
    )  # fmt: skip
    assert names(info) == ["a", "b"]
    assert info.ranked[0].fanova.share > 0.9


def test_the_same_run_gives_the_same_numbers_and_no_output(tmp_path, capfd):
    import optuna

    view = study(tmp_path, lambda p: p["a"] + p["b"])
    before = optuna.logging.get_verbosity()
    first = importance_info(view)
    assert importance_info(RunView.open(view.path)) == first
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")
    assert draw_importance(first) == draw_importance(first)


def test_the_table_has_every_number_drawn(tmp_path):
    info = importance_info(study(tmp_path, lambda p: p["a"]))
    found = table(info)
    assert found.columns == ("parameter", "method", "share", "low", "high", "first")
    assert found.rows[0] == (info.ranked[0].name, "PED-ANOVA", *info.ranked[0].ped)
    assert len(found.rows) == 2 * len(info.ranked)

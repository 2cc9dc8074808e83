"""What a random search would have found, against enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from fabricate import Fabricated
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.budget import budget_info
from analysis.plots.edf import caption, draw_edf, edf_info, table
from analysis.random_search import FEWEST, best_of, random_search_info
from recsearch.run import RunView

SPACE = {"x": {"type": "float", "min": 0.0, "max": 1.0}}


def searched(root, *, method, direction="min", n=40, origin="random", name="r") -> RunView:
    """Trial i at x = i / n with objective (x - 0.3)^2 (or its negative plus one)."""
    metric = "RMSE" if direction == "min" else "NDCG@10"
    run = Fabricated(name=name, space=SPACE, method=method, trials=n, metric=metric,
                     direction=direction)  # fmt: skip
    run.opened()
    for number in range(1, n + 1):
        x = number / n
        value = (x - 0.3) ** 2 if direction == "min" else 1 - (x - 0.3) ** 2
        run.trial(number, {"x": x}, [value], origin=origin)
    run.closed()
    return RunView.open(run.write(root))


def test_the_best_of_n_equals_enumeration_of_all_draws():
    values = np.array([0.1, 0.4, 0.7])
    mean, low, high = best_of(values, 3)
    for n in (1, 2, 3):
        tops = sorted(max(draw) for draw in itertools.product(values, repeat=n))
        assert mean[n - 1] == pytest.approx(np.mean(tops))
        assert low[n - 1] == tops[math.ceil(0.1 * len(tops)) - 1]
        assert high[n - 1] == tops[math.ceil(0.9 * len(tops)) - 1]


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-5, 5)), st.integers(1, 50))
def test_more_draws_are_never_worse_and_never_beyond_the_best(values, most):
    for line in best_of(values, most):
        assert len(line) == most
        assert np.all(np.diff(line) >= -1e-9)
        assert np.all(line <= values.max() + 1e-9)
        assert np.all(line >= values.min() - 1e-9)


@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_random_search_is_judged_by_its_own_trials(tmp_path, direction):
    view = searched(tmp_path, method="random", direction=direction)
    info = random_search_info(view)
    assert info.measured
    assert info.trials == 40
    values = [point.epochs[0].value(view.objective.name) for point in view.trials]
    assert info.mean[0] == pytest.approx(np.mean(values))
    best = min(values) if direction == "min" else max(values)
    assert abs(info.mean[-1] - best) < abs(info.mean[0] - best) / 10
    inside = zip(info.low, info.mean, info.high, strict=True)
    assert all(low <= mean <= high for low, mean, high in list(inside)[2:])


@pytest.mark.parametrize("direction", ["min", "max"])
def test_chosen_trials_are_judged_by_a_forest_that_knows_the_whole_space(tmp_path, direction):
    view = searched(tmp_path, method="tpe", direction=direction, origin="tpe")
    info = random_search_info(view)
    assert not info.measured
    sign = 1 if direction == "min" else -1
    # One uniform draw of x has the mean of (x - 0.3)^2 over [0, 1]: 0.7^3/3 + 0.3^3/3.
    expected = (0.7**3 + 0.3**3) / 3
    found = info.mean[0] if direction == "min" else 1 - info.mean[0]
    assert found == pytest.approx(expected, abs=0.03)
    assert sign * info.mean[-1] < sign * info.mean[0]
    assert random_search_info(view) == info


def test_too_few_trials_and_grids_are_not_judged(tmp_path):
    assert random_search_info(searched(tmp_path, method="tpe", n=FEWEST - 1)) is None
    assert random_search_info(searched(tmp_path, method="grid", name="g")) is None


def test_shares_of_trials_by_value_and_by_who_chose_them(tmp_path):
    run = Fabricated(space=SPACE, trials=12, metric="NDCG@10", direction="max", name="edf")
    run.opened()
    run.baseline("popular", **{"NDCG@10": 0.05})
    for number in range(1, 13):
        origin = "default" if number == 1 else "random" if number <= 6 else "tpe"
        run.trial(number, {"x": 0.1}, [number / 100], origin=origin)
    info = edf_info(RunView.open(run.write(tmp_path)))
    lines = {line.name: line for line in info.lines}
    assert lines["random"].values == (0.06, 0.05, 0.04, 0.03, 0.02)
    assert lines["random"].shares == (0.2, 0.4, 0.6, 0.8, 1.0)
    assert lines["chosen"].values == (0.12, 0.11, 0.10, 0.09, 0.08, 0.07)
    assert len(lines["all"].values) == 12
    assert "Drawn" not in caption(info)
    assert "All trials: 12; drawn at random: 5; chosen by the searcher: 6." in caption(info)
    assert table(info).rows[0] == ("all", 0.12, 1 / 12)
    assert draw_edf(info) == draw_edf(info)


@pytest.mark.parametrize(("pruned", "said"), [((), False), ((8, 9, 10), True)])
def test_lines_of_groups_that_were_pruned_unlike_claim_no_learning(tmp_path, pruned, said):
    run = Fabricated(space=SPACE, trials=12, name="edf")
    for number in range(1, 13):
        run.trial(number, {"x": 0.1}, [number / 100], origin="random" if number <= 6 else "tpe",
                  state="pruned" if number in pruned else "done")  # fmt: skip
    text = caption(edf_info(RunView.open(run.write(tmp_path))))
    assert "learned" not in text
    words = "0 of those drawn at random, 3 of those chosen by the searcher"
    assert (words in text) == ("in part due to that" in text) == said


def test_without_two_kinds_of_trials_there_is_one_line(tmp_path):
    info = edf_info(searched(tmp_path, method="random", n=6))
    assert [line.name for line in info.lines] == ["all"]
    assert edf_info(searched(tmp_path, method="random", n=4, name="few")) is None


def test_the_budget_draws_no_conclusion_from_the_estimate(tmp_path):
    """Of random trials themselves, half are better than the average of as many, by luck alone."""
    view = searched(tmp_path, method="tpe", origin="random")
    words = " ".join(budget_info(view, random_search_info(view)).sentences)
    assert "As many random trials would give" in words
    assert "(an estimate)" in words
    assert "luck" not in words


def test_equal_trials_have_nothing_to_estimate(tmp_path):
    run = Fabricated(space=SPACE, trials=25, method="tpe", name="equal")
    run.opened()
    for number in range(1, 26):
        run.trial(number, {"x": number / 25}, [0.5], origin="tpe")
    view = RunView.open(run.write(tmp_path))
    words = " ".join(budget_info(view, random_search_info(view)).sentences)
    assert "random" not in words

"""Learning curves: which are drawn, what ended each, and what is said of the best."""

from __future__ import annotations

import pytest
from fabricate import Fabricated

from analysis.plots import curve_sample, curves
from recsearch.run import RunView

SPACE = {"x": {"type": "float", "min": 0.0, "max": 1.0}}
LONG = [0.95, 0.9, 0.92]


def made(root, trials, **settings):
    """Trials of (curve, state, reason)."""
    run = Fabricated(space=SPACE, trials=len(trials), **settings)
    run.opened()
    for number, (values, state, reason) in enumerate(trials, start=1):
        run.trial(number, {"x": 0.5}, values, state=state, reason=reason)
    return RunView.open(run.write(root))


@pytest.fixture
def every_end(tmp_path):
    return made(tmp_path, [
        ([0.9, 0.8, 0.85], "done", "plateau"), (LONG, "done", "max_epochs"),
        (LONG, "pruned", ""), (LONG, "error", "OOM"), (LONG, "training", ""),
        (LONG, "interrupted", ""),
    ])  # fmt: skip


def test_every_curve_says_what_ended_it(every_end):
    info = curves.longest_curves_info(every_end)
    ends = ["plateau", "max epochs", "asha", "error", "at work", "interrupted"]
    assert [curve.end for curve in info.curves] == ends
    svg = curves.draw_longest_curves(info)
    for trial, end in enumerate(ends, start=1):
        assert f">{trial} {end}<" in svg
    assert "<title>trial 3: 3 epochs, pruned (asha)</title>" in svg
    assert "by what ended it" in curves.longest_caption(info)
    found = curves.table(info)
    assert found.columns == ("trial", "state", "ended_by", "epoch", "RMSE")
    assert found.rows[0] == (1, "done", "plateau", 1, 0.9)


def test_a_sample_has_a_key_for_every_line_in_it(every_end):
    text = curve_sample.caption(curve_sample.curve_sample_info(every_end))
    assert text.startswith(
        "Learning curves. All 6 trials with two epochs or more; solid: done, dashed: pruned, "
        "dotted: error, dash and dot: not finished. Thick: trial 1, the best."
    )


def test_trials_at_work_alone_have_a_key(tmp_path):
    info = curve_sample.curve_sample_info(made(tmp_path, [(LONG, "training", "")] * 4))
    assert "; dash and dot: not finished. Thick" in curve_sample.caption(info)
    assert {row[1:3] for row in curve_sample.table(info).rows} == {("training", "at work")}


def test_a_best_trial_of_one_epoch_is_not_said_to_be_drawn(tmp_path):
    view = made(tmp_path, [([0.5], "pruned", ""), *[(LONG, "done", "plateau")] * 9])
    sample = curve_sample.curve_sample_info(view)
    text = curve_sample.caption(sample)
    assert "Thick" not in text
    assert "The best, 1, has a single epoch and no curve: ring and star alone." in text
    assert curve_sample.draw_curve_sample(sample) == curve_sample.draw_curve_sample(sample)
    longest = curves.longest_curves_info(view)
    # The best takes no place from the eight.
    assert [curve.trial for curve in longest.curves] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert "thick" not in curves.longest_caption(longest)
    assert "(the best, 1, has a single epoch and no curve)" in curves.longest_caption(longest)
    assert curves.best_curve_info(view) is None

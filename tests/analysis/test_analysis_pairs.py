"""Contours over pairs, parallel coordinates, and the section that holds them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from fabricate import Fabricated, als_run
from test_analysis_pages import HOSTILE, MAKERS, Page, hostile_run

from analysis import render_run
from analysis.importance import importance_info
from analysis.plots import contours, matrix, parallel
from analysis.sections.parameters import parameters_section
from recsearch.run import RunView

UNIT = {"type": "float", "min": 0.0, "max": 1.0}


def made(root, space, trials, **settings):
    """A run of (params, objective) or (params, objective, state) per trial."""
    run = Fabricated(space=space, trials=len(trials), **settings)
    run.opened()
    for number, (params, value, *state) in enumerate(trials, start=1):
        run.trial(number, params, [value], state=state[0] if state else "done")
    run.closed()
    return RunView.open(run.write(root))


def drawn(n, names="ab", seed=3):
    rng = np.random.default_rng(seed)
    return [{name: float(rng.random()) for name in names} for _ in range(n)]


def contours_of(view):
    return contours.contours_info(view, importance_info(view))


def test_a_plane_comes_back_as_a_plane(tmp_path):
    trials = [(p, p["a"] + p["b"]) for p in drawn(80)]
    info = contours_of(made(tmp_path, {"a": UNIT, "b": UNIT}, trials))
    (panel,) = info.panels
    steps = np.linspace(0, 1, contours.GRID)
    plane = steps[None, :] + steps[:, None]
    inner = slice(8, -8)
    found = panel.drawn()
    assert np.nanmax(np.abs(found - plane)[inner, inner]) < 0.15
    values = [value for _, value in trials]
    assert min(values) <= np.nanmin(found) <= np.nanmax(found) <= max(values)
    assert [tick.value for tick in info.levels] == sorted(tick.value for tick in info.levels)


def test_the_first_of_a_pair_runs_sideways(tmp_path):
    """The objective is a, the most important one: it grows along x and not along y."""
    info = contours_of(made(tmp_path, {"b": UNIT, "a": UNIT}, [(p, p["a"]) for p in drawn(60)]))
    assert [axis.name for axis in info.axes] == ["a", "b"]
    (panel,) = info.panels
    surface = np.array(panel.surface)
    assert surface[20, 35] - surface[20, 5] > 0.5
    assert abs(surface[35, 20] - surface[5, 20]) < 0.15


def test_nothing_is_drawn_where_no_trial_is(tmp_path):
    trials = [(p, p["a"]) for p in drawn(200) if p["a"] + p["b"] < 0.8]
    info = contours_of(made(tmp_path, {"a": UNIT, "b": UNIT}, trials))
    found = info.panels[0].drawn()
    assert np.isnan(found[-1, -1])
    assert np.isnan(found[30, 30])  # 0.77 + 0.77
    assert np.isfinite(found[10, 10])


@pytest.mark.parametrize("direction", ["min", "max"])
def test_levels_are_called_by_what_is_better(tmp_path, direction):
    metric = "RMSE" if direction == "min" else "NDCG@10"
    view = made(tmp_path, {"a": UNIT, "b": UNIT}, [(p, p["a"] + p["b"]) for p in drawn(60)],
                metric=metric, direction=direction)  # fmt: skip
    svg = matrix.draw_contours(contours_of(view))
    word, other = ("below", "above") if direction == "min" else ("above", "below")
    assert re.search(rf">{word} \d", svg)
    assert not re.search(rf">{other} \d", svg)
    assert ">worse<" in svg


def test_four_most_important_numeric_parameters_make_six_panels(tmp_path):
    space = dict.fromkeys("abcdef", UNIT) | {"loss": {"type": "choice", "choices": ["x", "y"]}}
    trials = [
        ({**p, "loss": "xy"[n % 2]}, 8 * p["f"] + 4 * p["e"] + 2 * p["d"] + p["c"] + n % 2)
        for n, p in enumerate(drawn(90, "abcdef"))
    ]
    view = made(tmp_path, space, trials)
    ranked = importance_info(view)
    info = contours.contours_info(view, ranked)
    numeric = [row.name for row in ranked.ranked if row.name != "loss"]
    assert [axis.name for axis in info.axes] == numeric[:4]
    assert [(panel.x, panel.y) for panel in info.panels] == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    ]  # fmt: skip
    assert info.categories == ("loss",)
    assert "left out: loss" in contours.caption(info)
    assert len(matrix.draw_contours(info)) < 300_000


def test_one_outlier_does_not_take_over_the_levels(tmp_path):
    trials = [(p, p["a"]) for p in drawn(60)] + [({"a": 0.5, "b": 0.5}, 1000.0)]
    info = contours_of(made(tmp_path, {"a": UNIT, "b": UNIT}, trials))
    assert info.levels[-1].value < 3
    assert info.cut == 1
    assert "1 trial far worse than the rest" in contours.caption(info)


def test_too_little_for_contours(tmp_path):
    two = {"a": UNIT, "b": UNIT}
    few = made(tmp_path / "few", two, [(p, p["a"]) for p in drawn(19)])
    same = made(tmp_path / "same", two, [(p, 0.5) for p in drawn(40)])
    single = made(tmp_path / "single", {"a": UNIT}, [({"a": p["a"]}, p["a"]) for p in drawn(40)])
    many = made(tmp_path / "many", dict.fromkeys("abcde", UNIT),
                [(p, p["a"], "pruned") for p in drawn(40, "abcde")])  # fmt: skip
    assert [contours_of(view) for view in (few, same, single, many)] == [None] * 4


def test_pruned_trials_alone_are_drawn_where_parameters_are_few(tmp_path):
    trials = [(p, p["a"], "pruned" if n else "done") for n, p in enumerate(drawn(40))]
    info = contours_of(made(tmp_path, {"a": UNIT, "b": UNIT}, trials))
    assert not info.ranked
    assert "pairs of the numeric parameters" in contours.caption(info)
    assert [point.state for point in info.trials].count("pruned") == 39


@pytest.mark.parametrize("line", [True, False])
def test_grids_and_lines_are_drawn(tmp_path, line):
    """Trials at the same place that differ in a third parameter, or all on one line."""
    values = [(a / 4, a / 4 if line else b / 4, c) for a in range(5) for b in range(5)
              for c in (0.0, 1.0)]  # fmt: skip
    trials = [({"a": a, "b": b, "c": c}, a + 0.01 * c + 0.1 * b) for a, b, c in values]
    info = contours_of(made(tmp_path, {"a": UNIT, "b": UNIT, "c": UNIT}, trials))
    assert len(info.panels) == 3
    assert all(np.isfinite(panel.drawn()).any() for panel in info.panels)
    assert matrix.draw_contours(info) == matrix.draw_contours(info)


def test_the_table_has_every_trial_and_every_drawn_point(tmp_path):
    info = contours_of(made(tmp_path, {"a": UNIT, "b": UNIT}, [(p, p["a"]) for p in drawn(30)]))
    found = contours.table(info)
    assert {len(row) for row in found.rows} == {len(found.columns)}
    assert sum(row[2] == "trial" for row in found.rows) == 30
    assert (
        sum(row[2] == "surface" for row in found.rows) == np.isfinite(info.panels[0].drawn()).sum()
    )


def test_of_many_trials_three_hundred_are_drawn(tmp_path):
    view = made(tmp_path, {"a": UNIT, "b": UNIT}, [(p, p["a"]) for p in drawn(320)])
    info, lines = contours_of(view), parallel.parallel_info(view)
    assert len(info.trials) == len(lines.lines) == 300
    assert info.best in {point.trial for point in info.trials}
    assert "Of 320 trials, evenly by rank." in contours.caption(info)
    assert "Of 320 trials, evenly by rank." in parallel.caption(lines)


def test_lines_run_through_the_places_of_their_trial(tmp_path):
    space = {
        "log": {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"},
        "loss": {"type": "choice", "choices": ["bpr", "warp"]},
        "neg": {"type": "int", "min": 1, "max": 9, "when": {"loss": "warp"}},
    }
    view = made(tmp_path, space, [
        ({"log": 0.01, "loss": "bpr"}, 0.5), ({"log": 1.0, "loss": "warp", "neg": 5}, 0.4),
        ({"log": 1e-4, "loss": "warp", "neg": 1}, 0.6, "pruned"),
        ({"log": 1e-4, "loss": "warp", "neg": 1}, 0.7, "error"),
    ])  # fmt: skip
    info = parallel.parallel_info(view)
    assert [axis.name for axis in info.axes] == ["log", "loss", "neg", "RMSE"]
    assert [(line.trial, line.best) for line in info.lines] == [(3, False), (1, False), (2, True)]
    pruned, first, best = (line.places for line in info.lines)
    assert (pruned[0], first[0], best[0]) == pytest.approx((0, 0.5, 1))
    assert first[1] < 0.5 < best[1]
    assert math.isnan(first[2])
    assert (pruned[2], best[2]) == pytest.approx((0, 0.5))
    assert best[3] < first[3] < pruned[3]
    assert "2 done and 1 pruned (thin, dashed" in parallel.caption(info)
    found = parallel.table(info)
    assert {len(row) for row in found.rows} == {len(found.columns)}
    assert found.rows[1][6] is None


def test_the_best_tenth_is_drawn_strong_in_either_direction(tmp_path):
    for direction, wanted in (("min", {1, 2, 3, 4, 5}), ("max", {26, 27, 28, 29, 30})):
        metric = "RMSE" if direction == "min" else "NDCG@10"
        trials = [(p, float(n)) for n, p in enumerate(drawn(30))]
        view = made(tmp_path / direction, {"a": UNIT, "b": UNIT}, trials, metric=metric,
                    direction=direction)  # fmt: skip
        info = parallel.parallel_info(view)
        assert {line.trial for line in info.lines if line.good} == wanted
        assert info.lines[-1].best


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("damping.user", "damping.user"),
        ("regularization.user", "regularization.\nuser"),
        ("a_very_long_name_of_a_parameter_indeed", "a_very_long_name…\na_parameter_inde…"),
        ("x" * 40, "x" * 16 + "…"),
    ],
)
def test_long_names_take_two_lines(name, lines):
    assert parallel.two_lines(name) == lines


@pytest.mark.parametrize("make", MAKERS)
def test_every_figure_has_a_caption_and_a_table(make, tmp_path):
    view = RunView.open(make(tmp_path))
    section, again = parameters_section(view), parameters_section(view)
    assert section == again
    assert len({item.name for item in section.figures}) == len(section.figures)
    for item in section.figures:
        assert item.caption
        assert item.table.rows
        assert {len(row) for row in item.table.rows} == {len(item.table.columns)}
        assert not any(isinstance(v, float) and math.isnan(v) for r in item.table.rows for v in r)


def test_the_page_answers_what_matters_and_where_to_search_next(tmp_path):
    page = Page(render_run(als_run(tmp_path / "runs", trials=60), tmp_path / "reports"))
    for words in ("Where to search next", "PED-ANOVA", "fANOVA", "finished trials",
                  "over pairs of parameters", "All parameters together", "its place"):  # fmt: skip
        assert words in page.text
    assert "the best 5 trials lie" in page.text


@pytest.mark.parametrize(("method", "doubted"), [("tpe", True), ("random", False), ("grid", False)])
def test_a_crowd_of_trials_is_doubted_where_the_searcher_learns(tmp_path, method, doubted):
    """a decides; b stays near 0.5 but in half of the worse trials."""
    trials = [
        ({"a": n / 60, "b": n / 60 if n > 30 and n % 2 else 0.5 - n / 1000}, n / 60)
        for n in range(60)
    ]
    section = parameters_section(made(tmp_path, {"a": UNIT, "b": UNIT}, trials, method=method))
    said = dict(section.advice)
    assert list(said) == ["a", "b"]
    assert "the best 6 trials lie in 0.495 to 0.5, as do 6 of the 60 trials" in said["b"]
    assert ("may just have stayed there" in said["b"]) == doubted
    assert ("can be cut to" in said["b"]) != doubted


@pytest.mark.parametrize(("method", "cut"), [("tpe", False), ("random", True)])
def test_unknown_importance_is_no_independence(tmp_path, method, cut):
    """15 done and 45 pruned: too few for importance, and enough to have a best tenth."""
    trials = [
        ({"a": n / 60, "b": n / 60}, n / 60, "done" if n < 15 else "pruned") for n in range(60)
    ]
    section = parameters_section(made(tmp_path, {"a": UNIT, "b": UNIT}, trials, method=method))
    assert "cannot be told yet" in section.findings[0]
    said = dict(section.advice)
    assert ("can go" in said["a"]) == cut
    assert ("How much it matters is not known" in said["a"]) != cut
    assert section.advice_note.startswith("Compared are 60 trials, of which 45 were pruned")


def test_mid_search_the_section_says_what_it_waits_for(tmp_path):
    run = als_run(tmp_path / "runs", trials=8)
    section = parameters_section(RunView.open(run))
    assert section.advice == ()
    assert section.advice_note == (
        "Where good values lie cannot be told yet: 7 of the 20 trials that it takes have ended."
    )
    assert "6 trials finished, and it takes 20" in section.findings[0]
    assert (section.importance, section.contours) == (None, None)
    assert section.parallel is not None


def test_hostile_names_and_values_stay_text(tmp_path):
    view = RunView.open(hostile_run(tmp_path))
    section = parameters_section(view)
    for item in section.figures:
        assert "<script" not in item.drawing
        assert "&lt;script" in item.drawing
    assert any(HOSTILE in str(row) for item in section.figures for row in item.table.rows)


def test_a_parameter_that_no_trial_took_part_in_has_no_axis(tmp_path):
    space = {name: {"type": "float", "min": 0, "max": 1} for name in ("a", "b", "never")}
    run = Fabricated(space=space, trials=3, name="unused")
    run.opened()
    for number in range(1, 4):
        run.trial(number, {"a": number / 4, "b": 0.5}, [1.0 - number / 10])
    info = parallel.parallel_info(RunView.open(run.write(tmp_path)))
    assert [axis.name for axis in info.axes] == ["a", "b", "RMSE"]
    assert all(len(line.places) == 3 for line in info.lines)
    alone = Fabricated(space=space, trials=2, name="alone")
    alone.opened()
    for number in (1, 2):
        alone.trial(number, {"a": number / 4}, [0.9])
    assert parallel.parallel_info(RunView.open(alone.write(tmp_path))) is None

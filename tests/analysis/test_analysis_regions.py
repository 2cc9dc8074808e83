"""Where good values lie and what to search next, by hand-computed places; bands and the table."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from fabricate import Fabricated
from hypothesis import given
from hypothesis import strategies as st

from analysis.advice import Searcher, advice, chance_of_choices, chance_of_span
from analysis.parameters import relative_position, value_at
from analysis.plots.band import band
from analysis.plots.place import draw_place, place_text
from analysis.plots.slices import caption as slices_caption
from analysis.plots.slices import slices_info
from analysis.plots.slices import table as slices_table
from analysis.regions import best_tenth, ended, evenly, judged, place, regions_info
from analysis.sections.space import space_section
from analysis.values import Point
from recsearch.run import RunView

LINEAR = {"type": "float", "min": 0.0, "max": 100.0}


def made(root, space, trials, **settings):
    """A run of (params, objective) or (params, objective, state) per trial."""
    run = Fabricated(space=space, trials=len(trials), **settings)
    run.opened()
    for number, (params, value, *state) in enumerate(trials, start=1):
        run.trial(number, params, [value], state=state[0] if state else "done")
    run.closed()
    return RunView.open(run.write(root))


def ramp(n=40, **others):
    """x from 1 to n; the objective is its distance from 10.1."""
    return [({"x": float(x), **others}, abs(x - 10.1)) for x in range(1, n + 1)]


def only(view):
    (region,) = regions_info(view)
    return region


def test_the_best_tenth_has_five_trials_at_least_in_either_direction(tmp_path):
    view = made(tmp_path / "low", {"x": LINEAR}, ramp())
    assert [point.trial for point in best_tenth(view)] == [10, 11, 9, 12, 8]
    high = made(tmp_path / "high", {"x": LINEAR}, [(p, -v) for p, v in ramp(60)],
                metric="NDCG@10", direction="max")  # fmt: skip
    assert [point.trial for point in best_tenth(high)] == [10, 11, 9, 12, 8, 13]
    assert best_tenth(made(tmp_path / "few", {"x": LINEAR}, ramp(19))) == ()


def test_pruned_trials_are_compared_only_where_done_ones_are_too_few(tmp_path):
    """Twenty done stand alone, even where a pruned one has the best value; nineteen do not."""
    states = ["error", "interrupted", "training", "pruned"] + ["done"] * 20
    trials = [({"x": 1.0}, 0.5 + n / 100, state) for n, state in enumerate(states)]
    view = made(tmp_path / "many", {"x": LINEAR}, trials)
    assert {point.state for point in judged(view)} == {"done"}
    assert [point.trial for point in best_tenth(view)] == [5, 6, 7, 8, 9]
    few = made(tmp_path / "few", {"x": LINEAR}, trials[:-1])
    assert [point.state for point in judged(few)] == ["pruned"] + ["done"] * 19
    assert ended(few) == judged(few)
    assert (len(ended(view)), len(judged(view))) == (21, 20)


def test_a_narrow_region_is_cut_with_a_margin(tmp_path):
    """The best five are at 8 to 12 of 0 to 100: half their width is below 5 % of the range."""
    region = only(made(tmp_path, {"x": LINEAR}, ramp()))
    assert (region.low, region.high, region.best) == (8.0, 12.0, 5)
    assert (region.inside, region.elsewhere) == (5, 35)
    assert region.span == pytest.approx((0.08, 0.12))
    assert region.middle == pytest.approx((0.09, 0.11))
    assert advice(region) == (
        "the best 5 trials lie in 8 to 12, as do 5 of the 40 trials compared: 5 picked at random "
        "would lie so close together in less than 0.1 % of cases. Its range can be cut to 3 to 17."
    )


def test_a_searcher_that_learns_may_just_have_stayed_in_a_narrow_region(tmp_path):
    """A crowd tells nothing unless the parameter is known to matter, or trials are independent."""
    region = only(made(tmp_path, {"x": LINEAR}, ramp()))
    cut = "can be cut"
    assert cut in advice(region, Searcher(learns=True, matters=True))
    little = advice(region, Searcher(learns=True, matters=False))
    assert little.endswith("by both methods, so the searcher may just have stayed there.")
    unknown = advice(region, Searcher(learns=True))
    assert unknown.endswith(
        "How much it matters is not known, so the searcher may just have stayed there."
    )
    assert cut not in little + unknown


@pytest.mark.parametrize(("n", "best"), [(6, 2), (8, 3), (9, 5)])
def test_the_chance_of_a_span_is_that_over_all_sets(n, best):
    spans = [max(s) - min(s) + 1 for s in itertools.combinations(range(n), best)]
    for inside in range(best, n + 1):
        expected = sum(span <= inside for span in spans) / len(spans)
        assert chance_of_span(n, best, inside) == pytest.approx(expected)


def test_the_chance_of_choices_bounds_that_over_all_sets():
    """Of 3 choices with 4, 3 and 3 trials, sets of 3 that have one alone: 4 + 1 + 1 of 120."""
    assert chance_of_choices(10, 3, 4, choices=3, kept=1) == pytest.approx(3 * 4 / 120)
    assert chance_of_choices(10, 3, 3, choices=3, kept=1) == pytest.approx(3 * 1 / 120)
    assert chance_of_choices(10, 3, 10, choices=3, kept=3) == 1.0


def test_many_parameters_make_a_narrow_one_likelier(tmp_path):
    """7 of 24 trials where the best five are: 17 * C(6, 4) + C(7, 5) of C(24, 5) sets, 0.65 %."""
    trials = [({"x": x}, abs(n - 2)) for n, x in enumerate((10.0, 11.0, 12.0, 13.0, 14.0))]
    trials += [({"x": 12.0}, 50.0)] * 2 + [({"x": 60.0 + n}, 50.0) for n in range(17)]
    region = only(made(tmp_path, {"x": LINEAR}, trials))
    assert chance_of_span(24, 5, 7) == pytest.approx((17 * 15 + 21) / 42504)
    assert "in 0.6 % of cases. Its range can be cut to 5 to 19." in advice(region)
    text = advice(region, Searcher(parameters=9))
    assert "lie so close together on one of 9 parameters in 6 % of cases" in text
    assert text.endswith(", which tells nothing.")


def test_a_crowd_with_nothing_tried_elsewhere_is_no_reason_to_cut(tmp_path):
    """The best five are at 10 to 10.4, two others elsewhere, 15 among them but worse."""
    trials = [({"x": 10 + n / 10}, float(n)) for n in range(6)] + [({"x": 90.0}, 99.0)]
    trials += [({"x": 10.2}, 50.0)] * 15
    text = advice(only(made(tmp_path, {"x": LINEAR}, trials)))
    assert text == (
        "the best 5 trials lie in 10 to 10.4, but so do 20 of the 22 trials compared: 5 picked at "
        "random would lie so close together in 88 % of cases, which tells nothing."
    )


def test_good_values_all_over_the_range_keep_it(tmp_path):
    trials = [({"x": float(x)}, float(x % 20 != 0)) for x in range(1, 100)]
    text = advice(only(made(tmp_path, {"x": LINEAR}, trials)))
    assert text.endswith("most of its range; no part of it can go.")


@pytest.mark.parametrize(
    ("domain", "values", "words"),
    [
        ({"type": "int", "min": 4, "max": 512, "scale": "log"}, (480, 512),
         "The selected value is at its upper edge: widen it beyond 512."),
        ({"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"}, (1e-4, 2e-4),
         "The selected value is at its lower edge: widen it below 0.0001."),
        ({"type": "int", "min": 1, "max": 9}, (1, 2),
         "The selected value is at the least it can be, 1."),
    ],
)  # fmt: skip
def test_at_an_edge_the_range_is_to_be_widened(tmp_path, domain, values, words):
    best, next_best = values
    best, next_best = (next_best, best) if domain.get("max") == 512 else (best, next_best)
    middle = 5 if domain["type"] == "int" else 0.01
    trials = [({"x": best}, 0.1)] + [({"x": next_best}, 0.2)] * 4 + [({"x": middle}, 0.9)] * 15
    assert words in advice(only(made(tmp_path, {"x": domain}, trials)))


@pytest.mark.parametrize(("at_edge", "widen"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_crowd_at_the_edge_is_more_than_half_of_the_best(tmp_path, at_edge, widen):
    trials = [({"x": 97.0}, 0.1)] + [({"x": 99.5}, 0.2)] * at_edge
    trials += [({"x": 96.0}, 0.3)] * (4 - at_edge) + [({"x": 5.0}, 0.9)] * 15
    region = only(made(tmp_path, {"x": LINEAR}, trials))
    assert region.parameter.edge is None
    words = (
        f"{at_edge} of the best 5, though not the selected value, are at its upper edge: widen it "
        "beyond 100."
    )
    assert (words in advice(region)) == ("widen" in advice(region)) == widen
    assert "widen" not in advice(region, Searcher(learns=True, matters=False))


def test_an_edge_of_what_matters_little_is_only_named(tmp_path):
    trials = [({"x": 100.0}, 0.1)] + [({"x": float(x)}, float(x)) for x in range(1, 60, 2)]
    region = only(made(tmp_path, {"x": LINEAR}, trials))
    assert "The selected value is at its upper edge: widen it beyond 100." in advice(region)
    assert "at its upper edge, 100, which matters little." in advice(
        region, Searcher(matters=False)
    )


def test_categories_count_trials_and_best_ones(tmp_path):
    space = {"loss": {"type": "choice", "choices": ["bpr", "warp", "never"]}}
    trials = [({"loss": "warp"}, n / 100) for n in range(8)]
    trials += [({"loss": "bpr"}, 1.0)] * 12
    region = only(made(tmp_path, space, trials))
    assert [(c.text, c.trials, c.best, c.selected) for c in region.choices] == [
        ("bpr", 12, 0, False), ("warp", 8, 5, True), ("never", 0, 0, False),
    ]  # fmt: skip
    # C(8, 5) of C(20, 5) sets, for each of the two that were tried.
    assert advice(region) == (
        'all of the best 5 trials have "warp", as do 8 of the 20 trials compared: 5 picked at '
        "random would agree so in 0.7 % of cases. Fix it."
    )


def test_choices_that_none_of_the_best_has_can_go_where_they_were_tried(tmp_path):
    def advised(name, choices, rest):
        space = {"loss": {"type": "choice", "choices": choices}}
        trials = [({"loss": choices[n % 2]}, n / 9) for n in range(6)]
        trials += [({"loss": value}, 9.0) for value in rest]
        return advice(only(made(tmp_path / name, space, trials)))

    # The best five are of two choices; C(6, 5) of C(26, 5) sets, for 3 pairs of choices.
    assert advised("tried", ["bpr", {"a": 1}, None], [None] * 20) == (
        'the best 5 trials have "bpr" (3), “{"a": 1}” (2), as do 6 of the 26 trials compared: 5 '
        "picked at random would agree so in less than 0.1 % of cases. The other choices can go."
    )
    assert advised("few", ["bpr", "warp", "x"], ["bpr"] * 20 + ["x"]).endswith(
        "which tells nothing."
    )
    assert advised("all", [False, True], [True] * 20) == ""


def test_a_single_choice_is_no_choice(tmp_path):
    space = {"loss": {"type": "choice", "choices": ["bpr"]}}
    assert advice(only(made(tmp_path, space, [({"loss": "bpr"}, n / 9) for n in range(25)]))) == ""


def test_below_twenty_trials_there_is_no_advice(tmp_path):
    region = only(made(tmp_path, {"x": LINEAR}, ramp(19)))
    assert (region.best, region.middle, advice(region)) == (0, None, "")


def test_a_parameter_that_takes_part_in_some_trials_only(tmp_path):
    space = {"neg": {"type": "int", "min": 1, "max": 10, "when": {"loss": "warp"}}}
    trials = [({"neg": 3} if n % 2 else {}, float(n)) for n in range(24)]
    region = only(made(tmp_path, space, trials))
    assert (region.trials, region.best, advice(region)) == (12, 2, "")
    none = only(made(tmp_path / "none", space, [({}, float(n)) for n in range(24)]))
    assert (none.trials, none.best, advice(none)) == (0, 0, "")


def test_places_are_on_the_own_scale(tmp_path):
    space = {
        "log": {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"},
        "pow": {"type": "int", "min": 8, "max": 128, "scale": "pow2"},
        "pick": {"type": "choice", "choices": [1, True, "x", None]},
    }
    view = made(tmp_path, space, [({"log": 0.01, "pow": 32, "pick": True}, 0.5)])
    log, power, pick = (region.parameter for region in regions_info(view))
    assert place(log, 0.01) == pytest.approx(0.5)
    assert place(power, 32) == pytest.approx(0.5)
    assert [place(pick, value) for value in (1, True, "x", None)] == [0.125, 0.375, 0.625, 0.875]
    assert place(pick, "other") is place(log, 2.0) is place(log, "text") is place(log, -1.0) is None


@given(
    st.floats(0, 1),
    st.sampled_from(["linear", "log", "log2"]),
    st.floats(1e-3, 1e3),
    st.floats(1.1, 1e6),
)
def test_a_position_and_its_value_undo_one_another(at, scale, low, ratio):
    value = value_at(at, low, low * ratio, scale)
    assert relative_position(value, low, low * ratio, scale) == pytest.approx(at, abs=1e-6)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=60), st.integers(2, 40),
       st.sampled_from(["min", "max"]))  # fmt: skip
def test_evenly_keeps_order_and_the_best(values, most, direction):
    found = [Point(n, "done", value, 1) for n, value in enumerate(values)]
    kept = evenly(found, direction, most)
    assert len(kept) == min(most, len(found))
    assert [point.trial for point in kept] == sorted({point.trial for point in kept})
    choose = min if direction == "min" else max
    assert choose(values) in [point.value for point in kept]


def points_at(values):
    return [(float(x), Point(x, "done", value, 1)) for x, value in enumerate(values)]


def test_the_running_median_has_full_windows_of_neighbours():
    """Twelve trials 0 … 11 in windows of seven: medians 3 … 8 at x = 3 … 8."""
    found = band(points_at([float(v) for v in range(12)]), spread=False)
    assert found.window == 7
    assert [step.x for step in found.steps] == [3, 4, 5, 6, 7, 8]
    assert [step.median for step in found.steps] == [3, 4, 5, 6, 7, 8]
    assert found.steps[0] == (3, 1.5, 3, 4.5, 7)
    assert band(points_at([1.0] * 11), spread=False) is None


def test_a_quarter_of_the_trials_make_a_window_of_many():
    found = band(points_at([float(v % 9) for v in range(200)]), spread=False)
    assert found.window == 50
    assert len(found.steps) <= 61
    assert {step.n for step in found.steps} == {50}


def test_few_values_have_a_median_each():
    placed = [(float(n % 3), Point(n, "pruned", float(n), 1)) for n in range(12)]
    placed.append((7.0, Point(99, "done", 5.0, 1)))  # one trial alone has no median
    found = band(placed, spread=True)
    assert found.window == 0
    assert [(s.x, s.median, s.n) for s in found.steps] == [(0, 4.5, 4), (1, 5.5, 4), (2, 6.5, 4)]


def test_slices_carry_bands_and_a_table_of_all_that_is_drawn(tmp_path):
    view = made(tmp_path, {"x": LINEAR, "k": {"type": "int", "min": 1, "max": 3}},
                [({"x": float(x), "k": 1 + x % 3}, float(x)) for x in range(1, 21)])  # fmt: skip
    info = slices_info(view)
    x, k = info.slices
    assert (x.band.window, k.band.window) == (7, 0)
    assert [step.x for step in k.band.steps] == [1, 2, 3]
    assert "median and middle half of 7 trials that are neighbours" in slices_caption(info)
    assert "of the trials with that value" in slices_caption(info)
    found = slices_table(info)
    assert {len(row) for row in found.rows} == {len(found.columns)}
    assert [row[4] for row in found.rows if row[:2] == ("k", "trial")] == [
        1 + n % 3 for n in range(1, 21)
    ]
    assert sum(row[1] == "median" for row in found.rows) == len(x.band.steps) + 3


def test_medians_leave_pruned_trials_out_where_done_ones_are_enough(tmp_path):
    """Twenty done at 1, five pruned at 9: the median knows the done ones alone."""
    trials = [({"x": float(n)}, 1.0) for n in range(20)]
    trials += [({"x": float(n)}, 9.0, "pruned") for n in range(5)]
    info = slices_info(made(tmp_path / "many", {"x": LINEAR}, trials))
    assert {step.high for step in info.slices[0].band.steps} == {1.0}
    assert slices_caption(info).endswith(" They count done trials only.")
    few = slices_info(made(tmp_path / "few", {"x": LINEAR}, trials[1:]))
    assert max(step.high for step in few.slices[0].band.steps) > 1
    assert "They count 24 trials, of which 5 were pruned and have their value from fewer" in (
        slices_caption(few)
    )


def test_the_place_is_drawn_and_told(tmp_path):
    region = only(made(tmp_path, {"x": LINEAR}, ramp()))
    assert place_text(region) == (
        "Selected: 10, 10 % of 0 to 100 on the linear scale; middle half of the best 5 trials: "
        "9 to 11 %."
    )
    svg = draw_place(region)
    assert re.search(r'<circle cx="18.8"', svg)  # 6 + 0.1 * 128
    assert 'aria-label="Selected: 10, 10 %' in svg
    assert draw_place(only(made(tmp_path / "none", {"y": LINEAR}, [({}, 0.5)]))) == ""


def test_a_selected_value_outside_the_range_is_called_so(tmp_path):
    region = only(made(tmp_path, {"x": LINEAR}, [({"x": 120.0}, 0.5)]))
    assert "120 % of 0 to 100 on the linear scale, outside the range" in place_text(region)
    assert '<circle cx="134.0"' in draw_place(region)


def test_the_space_lists_choices_with_the_selected_among_them(tmp_path):
    choices = [f"c{n}" for n in range(30)]
    view = made(tmp_path, {"c": {"type": "choice", "choices": choices}},
                [({"c": "c29"}, 0.1), ({"c": "c0"}, 0.2)])  # fmt: skip
    section = space_section(view)
    (row,) = section.rows
    assert len(row.choices) + row.more == 30
    assert [c.text for c in row.choices if c.selected] == ["c29"]
    assert (row.choices[0].text, row.choices[0].trials, row.place) == ("c0", 1, "")
    assert len(section.table.rows) == 30


def test_the_table_of_the_space_has_places(tmp_path):
    section = space_section(made(tmp_path, {"x": LINEAR}, ramp()))
    (row,) = section.table.rows
    found = dict(zip(section.table.columns, row, strict=True))
    assert (found["best_low"], found["best_high"], found["best_trials"]) == (8.0, 12.0, 5)
    assert found["position"] == pytest.approx(0.1)
    assert not any(isinstance(v, float) and math.isnan(v) for v in row)

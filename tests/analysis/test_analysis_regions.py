"""Where good values lie and what to search next, by hand-computed places; bands and the table."""

from __future__ import annotations

import math
import re

import pytest
from fabricate import Fabricated
from hypothesis import given
from hypothesis import strategies as st

from analysis.parameters import relative_position, value_at
from analysis.plots.band import band
from analysis.plots.place import draw_place, place_text
from analysis.plots.slices import caption as slices_caption
from analysis.plots.slices import slices_info
from analysis.plots.slices import table as slices_table
from analysis.regions import advice, best_tenth, evenly, judged, place, regions_info
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


def test_judged_are_trials_that_ended_by_the_search(tmp_path):
    states = ["done", "pruned", "error", "interrupted", "training"]
    view = made(tmp_path, {"x": LINEAR}, [({"x": 1.0}, 0.5, state) for state in states])
    assert [point.state for point in judged(view)] == ["done", "pruned"]


def test_a_narrow_region_is_cut_with_a_margin(tmp_path):
    """The best five are at 8 to 12 of 0 to 100: half their width is below 5 % of the range."""
    region = only(made(tmp_path, {"x": LINEAR}, ramp()))
    assert (region.low, region.high, region.elsewhere, region.best) == (8.0, 12.0, 35, 5)
    assert region.span == pytest.approx((0.08, 0.12))
    assert region.middle == pytest.approx((0.09, 0.11))
    assert advice(region) == (
        "the best 5 trials lie in 8 to 12; of the 35 trials elsewhere none is among them. Its "
        "range can be cut to 3 to 17."
    )
    assert "may just have stayed there" in advice(region, matters=False)
    assert "can be cut" not in advice(region, matters=False)


def test_a_crowd_with_nothing_tried_elsewhere_is_no_reason_to_cut(tmp_path):
    """The best five are at 10 to 10.4, two others elsewhere, 15 among them but worse."""
    trials = [({"x": 10 + n / 10}, float(n)) for n in range(6)] + [({"x": 90.0}, 99.0)]
    trials += [({"x": 10.2}, 50.0)] * 15
    text = advice(only(made(tmp_path, {"x": LINEAR}, trials)))
    assert text == "the best 5 trials lie in 10 to 10.4, but only 2 trials lie elsewhere."


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


def test_a_crowd_at_the_edge_counts_where_the_parameter_matters(tmp_path):
    trials = [({"x": 97.0}, 0.1)] + [({"x": 99.5}, 0.2)] * 4 + [({"x": 5.0}, 0.9)] * 15
    region = only(made(tmp_path, {"x": LINEAR}, trials))
    assert "The best are at its upper edge: widen it beyond 100." in advice(region)
    assert "widen" not in advice(region, matters=False)


def test_an_edge_of_what_matters_little_is_only_named(tmp_path):
    trials = [({"x": 100.0}, 0.1)] + [({"x": float(x)}, float(x)) for x in range(1, 60, 2)]
    region = only(made(tmp_path, {"x": LINEAR}, trials))
    assert "The selected value is at its upper edge: widen it beyond 100." in advice(region)
    assert "at its upper edge, 100, which matters little." in advice(region, matters=False)


def test_categories_count_trials_and_best_ones(tmp_path):
    space = {"loss": {"type": "choice", "choices": ["bpr", "warp", "never"]}}
    trials = [({"loss": "warp"}, n / 100) for n in range(8)]
    trials += [({"loss": "bpr"}, 1.0)] * 12
    region = only(made(tmp_path, space, trials))
    assert [(c.text, c.trials, c.best, c.selected) for c in region.choices] == [
        ("bpr", 12, 0, False), ("warp", 8, 5, True), ("never", 0, 0, False),
    ]  # fmt: skip
    assert advice(region).endswith(
        "of the 12 trials with another value none is among them. Fix it."
    )
    mixed = only(made(tmp_path / "mixed", space,
                      [({"loss": ("bpr", "warp")[n % 2]}, n / 9) for n in range(20)]))  # fmt: skip
    assert advice(mixed) == "the best 5 trials are 3 bpr, 2 warp; keep these."


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


def points_at(values, state="done"):
    return [(float(x), Point(x, state, value, 1)) for x, value in enumerate(values)]


def test_the_running_median_has_full_windows_of_neighbours():
    """Twelve trials 0 … 11 in windows of seven: medians 3 … 8 at x = 3 … 8."""
    found = band(points_at([float(v) for v in range(12)]), spread=False)
    assert found.window == 7
    assert [step.x for step in found.steps] == [3, 4, 5, 6, 7, 8]
    assert [step.median for step in found.steps] == [3, 4, 5, 6, 7, 8]
    assert found.steps[0] == (3, 1.5, 3, 4.5, 7)
    assert band(points_at([1.0] * 11), spread=False) is None
    assert band(points_at([1.0] * 30, state="error"), spread=False) is None


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

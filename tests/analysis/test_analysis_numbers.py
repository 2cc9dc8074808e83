"""Formatting, axis limits and ticks: known answers and properties."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import formatting, naming, side_by_side
from analysis.parameters import at_edge
from analysis.plots.curves import spread
from analysis.plots.ranges import (
    beyond_text,
    binary_ticks,
    good_range,
    linear_ticks,
    log_ticks,
    value_range,
)
from analysis.values import Reference
from recsearch import urls

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize("module", [formatting, naming, side_by_side, urls])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_can_be_written(value):
    for write in (formatting.number, formatting.metric, formatting.signed):
        text = write(value)
        assert text
        assert math.isfinite(value) or text == "not finite"


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_number_keeps_four_digits(value):
    assert float(formatting.number(value)) == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize("text", ["", None, "yesterday", "2026-13-01T00:00:00Z"])
def test_unreadable_times_are_absent(text):
    assert formatting.moment(text) is None
    assert formatting.day(text) == formatting.ABSENT


def test_times_without_zone_are_utc():
    assert formatting.day("2026-07-01T09:30:00") == "2026-07-01 09:30 UTC"
    assert formatting.day("2026-07-01T09:30:00+02:00") == "2026-07-01 07:30 UTC"


def test_exact_makes_strict_json():
    assert formatting.exact({"a": math.nan, "b": [math.inf, (1, "x")]}) == {
        "a": None,
        "b": [None, [1, "x"]],
    }


@pytest.mark.parametrize(
    ("value", "low", "high", "scale", "edge"),
    [
        (512, 4, 512, "log", "upper"),
        (463, 4, 512, "log", None),  # 0.979 of the way on the log scale
        (470, 4, 512, "log", "upper"),
        (4, 4, 512, "log", "lower"),
        (5.0, 5, 100, "linear", "lower"),
        (6.8, 5, 100, "linear", "lower"),
        (7.0, 5, 100, "linear", None),
        (1e-5, 1e-5, 1, "log", "lower"),
        (1e-4, 1e-5, 1, "log", None),
        (8, 8, 1024, "log2", "lower"),
        (16, 8, 1024, "log2", None),
        (3, 3, 3, "linear", None),
        (None, 0, 1, "linear", None),
        (math.nan, 0, 1, "linear", None),
        (True, 0, 1, "linear", None),
        (0.0, 1e-5, 1, "log", None),
    ],
)
def test_edge_is_two_percent_on_the_sampled_scale(value, low, high, scale, edge):
    assert at_edge(value, low, high, scale) == edge


def test_range_cuts_bad_outliers_only():
    values = [0.80, 0.81, 0.82, 0.83, 0.84, 5.0]
    limits = value_range(values, "min")
    assert limits.clipped == 1
    assert limits.low < 0.80
    assert 0.84 < limits.high < 0.9
    best_far_away = [0.1, *values[:-1]]
    assert value_range(best_far_away, "min").clipped == 0
    assert value_range(best_far_away, "min").low < 0.1


def test_range_of_a_maximised_objective_mirrors_the_minimised():
    values = [0.80, 0.81, 0.82, 0.83, 0.84, 5.0]
    low, high, clipped = value_range(values, "min")
    mirrored = value_range([-v for v in values], "max")
    assert mirrored == pytest.approx((-high, -low, clipped))


def test_range_takes_in_near_references_and_names_far_ones():
    near, far = Reference("bias", "tuned bias", 0.85), Reference("chance", "chance", 3.0)
    limits = value_range([0.80, 0.84], "min", [near, far])
    assert limits.holds(0.85)
    assert not limits.holds(3.0)
    assert beyond_text([near, far], limits) == " Beyond the axis: chance (3.0000)."
    assert beyond_text([near], limits) == ""


def test_range_without_finite_values():
    assert value_range([math.nan, math.inf], "min") is None


@given(st.lists(FINITE, min_size=1, max_size=40), st.sampled_from(["min", "max"]))
def test_range_counts_what_it_cuts_and_keeps_the_best(values, direction):
    limits = value_range(values, direction)
    best = min(values) if direction == "min" else max(values)
    assert limits.low < limits.high
    assert limits.holds(best)
    assert limits.clipped == sum(not limits.holds(v) for v in values)


@given(FINITE, st.floats(1e-3, 1e5), st.booleans())
def test_linear_ticks_lie_inside_and_are_told_apart(low, span, whole):
    ticks = linear_ticks(low, low + span, whole=whole)
    slack = 1e-8 * span + 1e-9 * abs(low)
    assert all(low - slack <= t.value <= low + span + slack for t in ticks)
    assert whole is False or all(t.value.is_integer() for t in ticks)


def test_linear_ticks_share_decimals():
    assert [t.label for t in linear_ticks(0.79, 0.86)] == ["0.80", "0.82", "0.84", "0.86"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-12, 100, ["10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "10⁰"]),
        (0.01, 1000, ["0.01", "0.1", "1", "10", "100", "1000"]),
        (0.001, 0.1, ["0.001", "0.01", "0.1"]),
        (50, 199, ["50", "100", "150"]),
        (5, 60, ["5", "10", "20", "50"]),
    ],
)
def test_log_ticks(low, high, labels):
    assert [t.label for t in log_ticks(low, high, 6 if high == 1000 else 5)] == labels


@given(st.floats(-12, 3), st.floats(0.05, 14))
def test_log_ticks_lie_inside(exponent, decades):
    low, high = 10**exponent, 10 ** (exponent + decades)
    ticks = log_ticks(low, high)
    assert all(low * 0.999 <= t.value <= high * 1.001 for t in ticks)
    assert len({t.label for t in ticks}) == len(ticks)


def test_binary_ticks():
    assert [t.label for t in binary_ticks(8, 1024, 10)] == [
        "8", "16", "32", "64", "128", "256", "512", "1024",
    ]  # fmt: skip
    assert [t.value for t in binary_ticks(4, 512, 4)] == [4, 16, 64, 256]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_spread_labels_keep_order_gap_and_bounds(positions):
    placed = spread(positions, 0.05, 0.0, 1.0)
    ordered = [placed[i] for i in sorted(range(len(positions)), key=lambda i: positions[i])]
    assert all(b - a >= 0.05 - 1e-9 for a, b in pairwise(ordered))
    assert all(-1e-9 <= p <= 1 + 1e-9 for p in placed)


def test_spread_leaves_distant_labels_alone():
    assert spread([0.1, 0.9, 0.5], 0.05, 0, 1) == [0.1, 0.9, 0.5]


def test_the_better_half_has_half_of_the_axis():
    """Median 0.9 of 0.8 to 1.4: the axis ends at 1.0, with 7 % to spare on either side."""
    values = [0.8, 0.85, 0.9, 1.2, 1.4] * 2
    limits = good_range(values, "min")
    assert (limits.low, limits.high) == pytest.approx((0.786, 1.014))
    assert limits.clipped == 4
    assert good_range(values[:9], "min") == value_range(values[:9], "min")
    mirrored = good_range([-value for value in values], "max")
    assert mirrored == (-limits.high, -limits.low, 4)


def test_an_axis_ends_at_a_baseline_that_many_trials_beat():
    """Never before the median, so that the better half is always there."""
    values = [0.8, 0.85, 0.9, 1.2, 1.4] * 2
    at = [Reference("bias", "tuned bias", value) for value in (0.87, 0.93)]
    assert good_range(values, "min", at[1:]).high == pytest.approx(0.93 + 0.07 * 0.13)
    assert good_range(values, "min", at[:1]).high == pytest.approx(1.0 + 0.07 * 0.2)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.sampled_from(["min", "max"]),
       st.lists(st.floats(-1e3, 1e3), max_size=2))  # fmt: skip
def test_the_better_half_is_never_cut(values, direction, lines):
    references = [Reference("bias", "b", line) for line in lines]
    limits = good_range(values, direction, references)
    ranked = sorted(values, reverse=direction == "max")
    assert all(limits.holds(value) for value in ranked[: (len(ranked) + 1) // 2])
    assert limits.clipped == sum(not limits.holds(value) for value in values)
    assert good_range([], direction) is None

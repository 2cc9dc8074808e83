"""The tuned bias of a search stays as the search tuned it, whatever the number of its folds."""

from __future__ import annotations

import pytest

from recsearch.final.baselines import tuned_damping


def test_dampings_of_one_part_are_taken_to_the_digit() -> None:
    assert tuned_damping({"damping": {"user": 3.9312, "item": 0.1}}) == (3.9312, 0.1)


def test_dampings_of_folds_are_their_geometric_mean() -> None:
    folds = [{"damping": {"user": 1.0, "item": 2.0}}, {"damping": {"user": 100.0, "item": 8.0}}]
    assert tuned_damping({"folds": folds}) == pytest.approx((10.0, 4.0))

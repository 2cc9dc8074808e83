from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsearch.identity import canonical_json, derive_seed, digest, short

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_key_order_and_number_form_do_not_matter() -> None:
    assert digest({"a": 1, "b": {"c": 2.0}}) == digest({"b": {"c": 2}, "a": 1.0})
    assert canonical_json({"b": 1.0, "a": [np.float64(0.5), np.int32(3)]}) == '{"a":[0.5,3],"b":1}'


def test_booleans_are_not_numbers() -> None:
    assert digest({"a": True}) != digest({"a": 1})


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_digest_ignores_insertion_order(content: dict) -> None:
    assert digest(content) == digest(dict(reversed(content.items())))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"x": float("-inf")}])
def test_numbers_that_are_not_finite_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="finite"):
        digest(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": object()}, b"bytes"])
def test_values_without_json_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        digest(value)


def test_seeds_differ_by_purpose_and_root_and_are_stable() -> None:
    def draw(root: int, *purpose: str) -> int:
        return int(np.random.default_rng(derive_seed(root, *purpose)).integers(2**62))

    assert draw(1, "init") == draw(1, "init")
    seen = {draw(1, "init"), draw(2, "init"), draw(1, "suggest", "1"), draw(1, "suggest", "2")}
    assert len(seen) == 4
    assert draw(1, "a", "bc") != draw(1, "ab", "c")


def test_short_is_for_screens() -> None:
    assert short("0123456789abcdef") == "0123456789ab"

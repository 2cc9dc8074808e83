"""Conditions on trials: what they mean, and that nothing in them is ever evaluated."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsearch.errors import UsageError
from recsearch.where import condition

ROW: dict[str, Any] = {
    "trial": 7, "state": "pruned", "RMSE": 0.82, "RMSE-pooled": 0.9, "NDCG@10": None,
    "regularization.user": 1e-3, "embedding_size": 64, "loss": "warp", "bias": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("RMSE < 0.83", True),
        ("RMSE<0.83 and embedding_size<=64", True),
        ("RMSE<0.83 and embedding_size<64", False),
        ("0.8 < RMSE <= 0.82", True),
        ("RMSE-pooled > 0.85", True),
        ("regularization.user == 1e-3", True),
        ("state == pruned", True),
        ("state == 'pruned' or RMSE > 5", True),
        ("not state == pruned", False),
        ("(RMSE > 1 or trial == 7) and loss != bpr", True),
        ("NDCG@10 > 0", False),
        ("NDCG@10 <= 0", False),
        ("loss < 3", False),
        ("embedding_size > -1", True),
        ("RMSE < RMSE-pooled", True),
        ("bias == True", True),
    ],
)
def test_meaning(text: str, met: bool) -> None:
    assert condition(text, ROW)(ROW) is met


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RMSE = 0.8", "cannot be read"),
        ("RMSE <", "cannot be read"),
        ("RMSE", "is no comparison"),
        ("__import__('os').system('true') == 0", "compares no column"),
        ("RMSE < __import__('os').getpid()", "is neither a column nor a value"),
        ("RMSE < [0][0]", "is neither a column nor a value"),
        ("trial in state", "expected one of"),
        ("RSME < 3", "compares no column"),
        ("(lambda: 1)() < RMSE", "is neither a column nor a value"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        condition(text, ROW)


def test_hints() -> None:
    with pytest.raises(UsageError) as caught:
        condition("RMSE = 1", ROW)
    assert caught.value.hint == "Equality is ==."
    with pytest.raises(UsageError) as caught:
        condition("RSME < 3", ROW)
    assert caught.value.hint == "Did you mean RMSE?"


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert condition(text, ROW)(ROW) in (True, False)

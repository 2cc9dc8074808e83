"""Recommendation lists: order, ties, what is left out, and equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from search_tools import ITEMS, planted_split

from recsearch import prediction
from recsearch.prediction import lists_table, write_csv, write_parquet


def planted(users: np.ndarray, items: np.ndarray | None) -> np.ndarray:
    """Items 2, 5 and 9 lead with equal scores; 3 has none; training items 0 and 1 score highest."""
    line = np.linspace(0.2, 0.1, ITEMS, dtype=np.float32)
    line[[2, 5, 9]], line[3], line[[0, 1]] = 1.0, np.nan, 9.0
    return np.tile(line, (len(users), 1))


def test_ties_go_to_the_lower_item_and_training_items_are_left_out() -> None:
    table = lists_table(planted, planted_split(), np.array([4, 7]), 4).to_pydict()
    assert table["user_id"] == [5] * 4 + [8] * 4
    assert table["item_id"] == [102, 105, 109, 104] * 2
    assert table["rank"] == [1, 2, 3, 4] * 2
    assert table["score"][:3] == [1.0] * 3
    everything = lists_table(planted, planted_split(), np.array([4]), 100).to_pydict()
    assert set(everything["item_id"]) == set(range(100, 100 + ITEMS)) - {100, 101, 103}


def test_a_cut_inside_a_tie_keeps_the_lower_items() -> None:
    table = lists_table(planted, planted_split(), np.array([0]), 2).to_pydict()
    assert table["item_id"] == [102, 105]


def test_lists_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(20, ITEMS)).round(1).astype(np.float32)
    users = np.arange(20)
    whole = lists_table(lambda u, i: scores[u], planted_split(), users, 5)
    monkeypatch.setattr(prediction, "BLOCK_USERS", 3)
    assert lists_table(lambda u, i: scores[u], planted_split(), users, 5).equals(whole)
    assert whole["score"].to_pylist()[:5] == sorted(scores[0, 2:].tolist(), reverse=True)[:5]


def test_the_same_table_is_the_same_bytes(tmp_path: Path) -> None:
    table = lists_table(planted, planted_split(), np.arange(20), 5)
    for write in (write_parquet, write_csv):
        for name in ("a", "b"):
            write(tmp_path / name, table)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text().splitlines()[:2] == [
        "user_id,item_id,score,rank",
        "1,102,1,1",
    ]

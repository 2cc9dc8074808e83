"""Splits and scores made by hand for the evaluation tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from recsearch.data import Interactions, Source, Split
from recsearch.evaluation import Scores

SOURCE = Source("made", "made", "generated", None, None, True, ())


def interactions(rows: Sequence[dict[int, float]]) -> Interactions:
    """One row of ``{item: rating}`` per user."""
    lengths = [len(row) for row in rows]
    items = [item for row in rows for item in sorted(row)]
    values = [row[item] for row in rows for item in sorted(row)]
    return Interactions(
        indptr=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        items=np.array(items, dtype=np.int32),
        values=np.array(values, dtype=np.float32),
        times=None,
    )


def make_split(
    n_items: int, train: Sequence[dict[int, float]], heldout: dict[int, dict[int, float]]
) -> Split:
    """A split of ``len(train)`` users, with held-out ratings by user number."""
    users = sorted(heldout)
    return Split(
        source=SOURCE, dataset_id="d" * 64, split_id="e" * 64, method={}, part=0,
        user_ids=np.arange(len(train)) + 100, item_ids=np.arange(n_items) + 1000, titles=None,
        train=interactions(train), eval_users=np.array(users, dtype=np.int32),
        heldout=interactions([heldout[user] for user in users]),
    )  # fmt: skip


def simple(relevant: Sequence[int], n_items: int) -> Split:
    """One user without training items."""
    return make_split(n_items, [{}], {0: dict.fromkeys(relevant, 4.0)})


def table(matrix: np.ndarray) -> Scores:
    """Scores from a (n_users, n_items) matrix, which must not be written to."""
    fixed = np.array(matrix, dtype=np.float32)
    fixed.flags.writeable = False

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        rows = fixed[users]
        rows.flags.writeable = False
        return rows if items is None else rows[:, items]

    return scores


def brute_ranks(row: np.ndarray, train: set[int]) -> list[int]:
    """Items in the order that evaluation defines: score falling, then item number rising."""
    candidates = [i for i in range(len(row)) if i not in train and not np.isnan(row[i])]
    return sorted(candidates, key=lambda item: (-float(row[item]), item))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Split, np.ndarray]:
    """Small splits with every degenerate case: ties, NaN, infinities, few or no candidates."""
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 18))
    values = draw(
        st.sampled_from(
            [
                [0.0],
                [-2.0, -1.0, 0.0, 1.0],
                [np.nan, 1.0, 2.0],
                [-3.0, -2.5, -1.25],
                [np.nan],
                [np.inf, -np.inf, 0.0, -0.0, np.nan],
                None,
            ]
        )
    )
    number = st.floats(-9, 9, width=32) if values is None else st.sampled_from(values)
    cells = draw(st.lists(number, min_size=n_users * n_items, max_size=n_users * n_items))
    train, heldout = [], {}
    ratings = st.sampled_from([1.0, 2.5, 4.0, 5.0])
    for user in range(n_users):
        items = draw(st.permutations(range(n_items)))
        used = draw(st.integers(0, n_items))
        cut = draw(st.integers(0, used))
        train.append({item: draw(ratings) for item in items[:cut]})
        if used > cut:
            heldout[user] = {item: draw(ratings) for item in items[cut:used]}
    if not heldout:
        train[0].pop(0, None)
        heldout[0] = {0: 3.0}
    matrix = np.array(cells, dtype=np.float32).reshape(n_users, n_items)
    return make_split(n_items, train, heldout), matrix

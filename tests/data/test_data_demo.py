"""Generated ratings: always labelled, always the same, and with something to find in them."""

from __future__ import annotations

import numpy as np
import pytest

from recsearch.data import demo, load_dataset, load_split
from recsearch.errors import UsageError


@pytest.fixture(scope="module")
def small():
    return demo.generate("demo")


def test_shape_of_the_default(small):
    assert (small.n_users, small.n_items) == (600, 400)
    assert 25_000 <= len(small.values) <= 30_000
    counts = np.bincount(small.users)
    assert counts.min() >= 15
    assert counts.max() > 4 * np.median(counts)
    seen = np.sort(np.bincount(small.items, minlength=400))[::-1]
    assert seen[:80].sum() > len(small.values) / 2
    assert set(small.values.tolist()) == {1, 2, 3, 4, 5}
    assert small.titles[11] == "Generated film 12"
    assert small.times.min() > 9e8


def test_always_labelled(small):
    for ratings in (small, load_dataset("demo:small@7")):
        source = ratings.source
        assert source.generated
        assert "generated" in source.notes[0]
        assert (source.origin, source.sha256, source.official) == ("generated", None, None)


def test_same_name_same_ratings_other_seed_others(small):
    again = load_dataset("demo:small")
    assert again.dataset_id == small.dataset_id
    other = load_dataset("demo@7")
    assert other.dataset_id != small.dataset_id
    assert other.dataset_id == load_dataset("DEMO:SMALL@7").dataset_id
    assert (again.source.name, other.source.name) == ("demo", "demo@7")


def test_chunks_do_not_matter(small, monkeypatch):
    monkeypatch.setattr(demo, "CHUNK", 1000)
    assert demo.generate("demo").dataset_id == small.dataset_id


def test_sizes():
    ml1m, triple = demo._size("ml1m", ""), demo._size("20x", "")
    assert (ml1m.users, ml1m.items) == (6040, 3706)
    assert triple.users * triple.activity == pytest.approx(20 * ml1m.users * ml1m.activity)
    medium = load_dataset("demo:medium")
    assert len(medium.values) == pytest.approx(200_000, rel=0.1)


def test_large_sets_are_cached(home, monkeypatch):
    monkeypatch.setattr(demo, "CACHED_FROM", 1000)
    first = load_dataset("demo")
    monkeypatch.setattr(demo, "_generate", None)
    assert load_dataset("demo").dataset_id == first.dataset_id


@pytest.mark.parametrize(
    "name", ["demo:huge", "demo:", "demo:0x", "demo:5000x", "demo@x", "demo:small@"]
)
def test_unknown_sizes(name):
    with pytest.raises(UsageError, match="expected demo, demo:SIZE"):
        load_dataset(name)


def test_a_factor_model_beats_the_bias_model():
    """Alternating least squares at three strengths: the middle one is best, and beats bias."""
    split = load_split(demo.generate("demo@3"))
    train = split.train
    users = np.repeat(np.arange(split.n_users), np.diff(train.indptr))
    values = train.values.astype(float)
    mean = values.mean()
    item_bias = _means(train.items, values - mean, split.n_items, 3)
    user_bias = _means(users, values - mean - item_bias[train.items], split.n_users, 3)
    left = np.zeros((split.n_users, split.n_items))
    left[users, train.items] = values - mean - user_bias[users] - item_bias[train.items]
    seen = np.zeros(left.shape, dtype=bool)
    seen[users, train.items] = True
    rows = np.repeat(split.eval_users, np.diff(split.heldout.indptr))
    cols = split.heldout.items
    base = mean + user_bias[rows] + item_bias[cols]

    def rmse(extra):
        return float(np.sqrt(np.mean((base + extra - split.heldout.values) ** 2)))

    weak, middle, strong = (
        rmse(np.sum(P[rows] * Q[cols], axis=1))
        for P, Q in (_factors(left, seen, strength) for strength in (0.5, 6.0, 100.0))
    )
    bias = rmse(np.zeros(len(rows)))
    assert middle < bias - 0.02
    assert middle < min(weak, strong) - 0.01


def _means(groups, values, n, damping):
    return np.bincount(groups, values, n) / (np.bincount(groups, minlength=n) + damping)


def _factors(left, seen, strength, rank=4, rounds=8):
    Q = np.random.default_rng(0).standard_normal((left.shape[1], rank)) * 0.3
    for _ in range(rounds):
        P = _solve(left, seen, Q, strength)
        Q = _solve(left.T, seen.T, P, strength)
    return P, Q


def _solve(left, seen, fixed, strength):
    ridge = strength * np.eye(fixed.shape[1])
    return np.array(
        [
            np.linalg.solve(fixed[mask].T @ fixed[mask] + ridge, fixed[mask].T @ row[mask])
            for row, mask in zip(left, seen, strict=True)
        ]
    )

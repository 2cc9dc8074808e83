"""Paired comparison of runs: against scipy, by hand and by construction."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from recsearch import comparison
from recsearch.comparison import Comparison, Sample, bootstrap_intervals, compare, holm
from recsearch.errors import UsageError, VerificationError


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def sample(name: str, *, seeds: dict[str, float] | None = None, **values: np.ndarray) -> Sample:
    named = {key.replace("_", "@"): column for key, column in values.items()}
    users = np.arange(len(next(iter(named.values()))))
    return Sample(name, "5" * 64, users, named, seeds or {})


def pair(users: int = 400, shift: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    first = rng.uniform(0, 1, users)
    return first, first + shift + rng.normal(0, 0.2, users)


def row(one: np.ndarray, other: np.ndarray, metric: str = "NDCG_10") -> Comparison:
    (found,) = compare([sample("a", **{metric: one}), sample("b", **{metric: other})])
    return found


def test_identical_runs_differ_by_exactly_nothing() -> None:
    first, _ = pair()
    found = row(first, first.copy())
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert (found.p_wilcoxon, found.p_t, found.p_wilcoxon_holm, found.p_t_holm) == (1, 1, 1, 1)
    assert (found.cohens_d, found.rank_biserial, found.better) == (0.0, 0.0, None)


@pytest.mark.parametrize(("metric", "better"), [("NDCG_10", "b"), ("RMSE", "a")])
def test_a_planted_difference_is_found(metric: str, better: str) -> None:
    found = row(*pair(shift=0.05), metric)
    assert -0.1 < found.low < found.difference < found.high < 0
    assert max(found.p_t, found.p_wilcoxon) < 0.01
    assert found.better == better


def test_numbers_are_scipys() -> None:
    first, second = pair(users=60)
    found = row(second, first)
    assert found.p_t == pytest.approx(stats.ttest_rel(second, first).pvalue, rel=1e-9)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(second, first).pvalue, rel=1e-9)
    reference = stats.bootstrap(
        (second - first,), np.mean, n_resamples=20_000, method="percentile", random_state=5
    ).confidence_interval
    assert found.low == pytest.approx(reference.low, abs=0.003)
    assert found.high == pytest.approx(reference.high, abs=0.003)


def test_effect_sizes_by_hand() -> None:
    # Differences 1, 2, -3, 0: mean 0, so d is 0; ranks 1 + 2 against 3 cancel, too.
    found = row(np.array([1.0, 2.0, -3.0, 0.0]), np.zeros(4))
    assert (found.cohens_d, found.rank_biserial) == (0.0, 0.0)
    # Differences 1, 3, 5: mean 3, standard deviation 2.
    found = row(np.array([1.0, 3.0, 5.0]), np.zeros(3))
    assert found.cohens_d == pytest.approx(1.5)
    assert found.rank_biserial == 1.0
    assert found.p_wilcoxon == pytest.approx(0.25)  # 2 of 2^3 signs are as extreme


def test_rounding_makes_no_ranks() -> None:
    """0.3 - 0.2 and 0.2 - 0.1 differ in their last bit, and are one difference all the same."""
    one, other = np.array([0.3, 0.2, 0.4]), np.array([0.2, 0.1, 0.5])
    assert len(set(np.abs(one - other))) > 1
    assert row(one, other).rank_biserial == pytest.approx(1 / 3)
    first = np.linspace(0, 1, 50)
    certain = row(first + 0.05, first)
    assert (certain.p_t, certain.cohens_d) == (0.0, math.inf)
    assert row(first, first + 0.05).cohens_d == -math.inf


def test_exchanging_the_sides_changes_signs_alone() -> None:
    first, second = pair(users=80)
    one, other = row(first, second), row(second, first)
    assert one.difference == -other.difference
    assert one.rank_biserial == pytest.approx(-other.rank_biserial)
    assert (one.p_t, one.p_wilcoxon) == (other.p_t, other.p_wilcoxon)


def test_intervals_are_a_function_of_the_seed_and_not_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = np.column_stack(pair(users=30))
    whole = bootstrap_intervals(columns, 1)
    assert np.array_equal(bootstrap_intervals(columns, 1), whole)
    assert not np.array_equal(bootstrap_intervals(columns, 2), whole)
    monkeypatch.setattr(comparison, "BLOCK_BYTES", 8 * 30 * 64)
    assert bootstrap_intervals(columns, 1) == pytest.approx(whole, abs=1e-12)


def test_users_without_a_value_are_left_out() -> None:
    found = row(np.array([2.0, 9.0, np.nan, 5.0]), np.array([1.0, np.nan, 2.0, 3.0]))
    assert (found.users, found.mean_one, found.mean_other, found.difference) == (2, 3.5, 2.0, 1.5)
    assert 1.0 <= found.low <= found.high <= 2.0
    with pytest.raises(UsageError, match="1 users have a value in all runs"):
        row(np.array([1.0, np.nan]), np.array([1.0, 1.0]))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_every_metric_and_pair_is_corrected_with_all_others() -> None:
    rng = np.random.default_rng(1)
    runs = [
        sample(n, NDCG_10=rng.uniform(size=30) + s, RMSE=rng.uniform(size=30) + s)
        for n, s in (("a", 0.0), ("b", 0.2), ("c", 0.4))
    ]
    rows = compare(runs)
    assert [(r.one, r.other, r.metric) for r in rows] == [
        (*two, metric)
        for two in (("a", "b"), ("a", "c"), ("b", "c"))
        for metric in ("NDCG@10", "RMSE")
    ]
    assert [r.p_t_holm for r in rows] == holm([r.p_t for r in rows])
    assert [r.p_wilcoxon_holm for r in rows] == holm([r.p_wilcoxon for r in rows])
    assert [r.metric for r in compare(runs, ["RMSE"])] == ["RMSE"] * 3


def test_seed_noise_stands_beside_the_difference_where_both_have_it() -> None:
    first, second = pair(users=20)
    known = [sample("a", RMSE=first, seeds={"RMSE": 0.3}), sample("b", RMSE=second)]
    assert compare(known)[0].seed_noise is None
    known[1] = sample("b", RMSE=second, seeds={"RMSE": 0.4})
    assert compare(known)[0].seed_noise == pytest.approx(0.5)


def test_what_cannot_be_compared_is_refused() -> None:
    one = sample("a", RMSE=np.arange(4.0))
    with pytest.raises(UsageError, match="two runs at least"):
        compare([one])
    with pytest.raises(UsageError, match="no metric in common"):
        compare([one, sample("b", MAE=np.arange(4.0))])
    with pytest.raises(UsageError, match="NDCG: not measured for all of these runs; they have RM"):
        compare([one, one], ["NDCG"])
    other = Sample("b", one.split_id, one.users + 1, one.values, {})
    for wrong in (other, Sample("b", "6" * 64, one.users, one.values, {})):
        with pytest.raises(VerificationError, match="a and b were measured on other splits"):
            compare([one, wrong])


def test_pooled_metrics_have_no_pairs() -> None:
    first, second = pair()
    both = [
        sample(name, **{"RMSE": column, "RMSE-pooled": column})
        for name, column in (("a", first), ("b", second))
    ]
    assert [found.metric for found in compare(both)] == ["RMSE"]
    with pytest.raises(UsageError, match="over all ratings") as caught:
        compare(both, ["RMSE-pooled"])
    assert caught.value.hint == "Compare by RMSE."

"""The pure parts of the orchestration bench, on journals and trials whose figures are known."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.search.orchestration import growth, idle, overhead, suggestion_seconds
from benchmarks.search.order import Order, generated, idle_share, journalled

ORDERS: tuple[Order, ...] = ("number", "tail", "cost")


def epoch(trial: int, number: int, at: float, spent: float) -> dict[str, Any]:
    stamp = time.strftime("%H:%M:%S", time.gmtime(at)) + f"{at % 1:.3f}"[1:]
    return {"event": "epoch", "trial": trial, "epoch": number, "time": f"2026-01-01T{stamp}Z",
            "train_s": spent / 2, "eval_s": spent / 4, "save_s": spent / 4}  # fmt: skip


def test_overhead_is_what_is_left_between_epochs() -> None:
    events = [
        {"event": "started", "trial": 1, "time": "2026-01-01T00:00:00.000Z"},
        epoch(1, 1, 10.0, 4.0), epoch(1, 2, 12.5, 2.0),
        epoch(2, 1, 16.0, 3.0), epoch(2, 2, 17.0, 1.5),
    ]  # fmt: skip
    trials, epochs = overhead(events)
    assert trials == [pytest.approx(0.5)]
    assert epochs == [pytest.approx(0.5), 0.0], "never negative: clocks are rounded"


def test_idle_is_what_no_worker_spent_on_an_epoch() -> None:
    events = [epoch(1, 1, 4.0, 4.0), epoch(2, 1, 8.0, 6.0)]
    assert idle(events, 1) == 0
    assert idle(events, 2) == pytest.approx(1 - 10 / 16)


def test_growth_is_over_a_fifth_of_the_trials() -> None:
    samples = [(1, 50.0), (20, 100.0), (60, 130.0), (95, 120.0), (100, 60.0)]
    assert growth(samples, 100) == pytest.approx(0.2)


def test_a_suggestion_takes_some_time() -> None:
    assert 0 < suggestion_seconds(2, 30, repeats=1) < 10


@pytest.mark.parametrize(("order", "end"), [("number", 13.0), ("tail", 10.0), ("cost", 10.0)])
def test_a_long_last_trial_leaves_the_other_worker_idle(order: Order, end: float) -> None:
    times = [4.0, 1.0, 1.0, 1.0, 4.0, 9.0]
    share = idle_share(times, times, workers=2, lag=8, order=order)
    assert share == pytest.approx(1 - 20 / (2 * end))


def test_the_lag_bounds_what_may_run_beside_a_long_trial() -> None:
    times = [8.0, *[1.0] * 7]
    assert idle_share(times, times, workers=2, lag=8, order="number") == pytest.approx(1 - 15 / 16)
    stalled = idle_share(times, times, workers=2, lag=2, order="number")
    assert stalled == pytest.approx(1 - 15 / (2 * 11)), "trials 3 … 8 wait for the first"


@given(
    times=st.lists(st.floats(0.01, 100), min_size=1, max_size=30),
    workers=st.integers(1, 8),
    lag=st.integers(1, 12),
    order=st.sampled_from(ORDERS),
)
def test_no_order_beats_the_bounds(
    times: list[float], workers: int, lag: int, order: Order
) -> None:
    share = idle_share(times, times, workers=workers, lag=lag, order=order)
    span = sum(times) / (workers * (1 - share))
    assert span >= max(*times, sum(times) / workers) * (1 - 1e-9)
    assert span <= sum(times) * (1 + 1e-9), "some trial always runs"
    if workers == 1:
        assert share == pytest.approx(0, abs=1e-9)


def test_a_journal_gives_seconds_and_costs_by_number() -> None:
    events = [
        {"event": "suggested", "trial": 2, "config": {"embedding_size": 8}},
        {"event": "suggested", "trial": 1, "config": {"embedding_size": 4}},
        epoch(1, 1, 1.0, 1.0), epoch(2, 1, 2.0, 3.0), epoch(1, 2, 3.0, 2.0),
    ]  # fmt: skip
    assert journalled(events) == ([3.0, 3.0], [4.0, 8.0])


def test_generated_trials_are_seeded() -> None:
    assert generated(1) == generated(1) != generated(2)
    times, costs = generated(1, trials=50)
    assert len(times) == len(costs) == 50
    assert min(costs) >= 4 and max(costs) <= 512

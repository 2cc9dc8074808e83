"""Timeline, endings and budget: who worked when, why trials ended, and what more trials gave."""

from __future__ import annotations

from itertools import pairwise

from fabricate import Fabricated, als_run
from hypothesis import given
from hypothesis import strategies as st

from analysis.budget import budget_info
from analysis.endings import endings_info
from analysis.formatting import ABSENT
from analysis.overview import overview_info
from analysis.plots.timeline import _rows, caption, draw_timeline, table, timeline_info
from analysis.plots.units import time_unit
from recsearch.run import RunView

SPACE = {"x": {"type": "float", "min": 0.0, "max": 1.0}}


def begun(**settings) -> Fabricated:
    run = Fabricated(space=SPACE, **settings)
    run.opened()
    return run


def suggest(run: Fabricated, *numbers: int) -> None:
    for number in numbers:
        run.event("suggested", trial=number, params={"x": 0.5}, config={"x": 0.5},
                  key=f"{number:064x}", origin="random")  # fmt: skip


def epoch(run: Fabricated, number: int, at: int, value: float) -> None:
    run.event("epoch", trial=number, epoch=at, metrics={"RMSE": value}, train_s=1.0, eval_s=0.1,
              save_s=0.0, stored_bytes=1, logical_bytes=1, cached=False)  # fmt: skip


def two_workers(root) -> RunView:
    """Trials 1 and 2 side by side, 3 after 1; a kill; an hour later 2 goes on for two seconds."""
    run = begun(name="two", trials=3)
    suggest(run, 1, 2, 3)
    run.event("started", trial=1)
    run.event("started", trial=2)
    run.tick(4)
    epoch(run, 1, 1, 0.8)
    run.event("done", trial=1, epoch=1, reason="plateau")
    run.event("started", trial=3)
    run.tick(2)
    run.event("error", trial=3, epoch=1, kind="OOM", message="")
    epoch(run, 2, 1, 0.9)
    run.tick(3600)
    run.opened(resumed=True)
    run.event("started", trial=2)
    run.tick(2)
    epoch(run, 2, 2, 0.7)
    run.event("done", trial=2, epoch=2, reason="max_epochs")
    run.event("closed", counts={}, exit_code=5)
    return RunView.open(run.write(root))


def test_every_stretch_of_work_has_its_worker_and_pauses_are_left_out(tmp_path):
    info = timeline_info(two_workers(tmp_path))
    assert [tuple(bar) for bar in info.bars] == [
        (1, 0, 0.0, 4.0, "done", False),
        (2, 1, 0.0, 6.0, "stopped", True),
        (3, 0, 4.0, 6.0, "error", False),
        (2, 0, 6.0, 8.0, "done", True),
    ]
    assert (info.rows, info.end, info.pauses) == (2, 8.0, (6.0,))
    assert info.idle == 2 / 16
    assert "at most 2 at once" in caption(info)
    assert "empty for 12 % of the time" in caption(info)
    assert "worker" not in caption(info)
    assert "In a colour of its own: the best, trial 2." in caption(info)
    assert "the pause before it is left out" in caption(info)
    assert table(info).rows[0] == (1, 1, 0.0, 4.0, "done", False)
    assert draw_timeline(info) == draw_timeline(info)


def test_a_best_trial_that_was_pruned_stays_pruned(tmp_path):
    run = begun(name="pruned", trials=2)
    run.trial(1, {"x": 0.1}, [0.7], state="pruned")
    run.trial(2, {"x": 0.2}, [0.9])
    info = timeline_info(RunView.open(run.write(tmp_path)))
    assert [(b.trial, b.state, b.best) for b in info.bars] == [(1, "pruned", True),
                                                              (2, "done", False)]  # fmt: skip
    assert "hollow: pruned" in caption(info)
    assert [row[4:] for row in table(info).rows] == [("pruned", True), ("done", False)]


def test_a_run_without_any_work_has_no_timeline(tmp_path):
    run = begun(name="none")
    suggest(run, 1)
    assert timeline_info(RunView.open(run.write(tmp_path))) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=40))
def test_no_two_trials_share_a_row_at_a_time_and_no_row_is_needless(found):
    stretches = sorted((float(start), float(start + length)) for start, length in found)
    rows = _rows(stretches)
    for row in set(rows):
        mine = [s for s, r in zip(stretches, rows, strict=True) if r == row]
        assert all(one[1] <= two[0] for one, two in pairwise(mine))
    starts = [start for start, _ in stretches]
    at_once = [sum(s <= at < e or s == at == e for s, e in stretches) for at in starts]
    assert len(set(rows)) <= max(at_once, default=0)


def test_time_axes_use_the_largest_unit_that_fits_twice():
    assert [time_unit(s)[0] for s in (0, 119, 120, 7199, 7200)] == [
        "seconds", "seconds", "minutes", "minutes", "hours",
    ]  # fmt: skip


def test_endings_are_counted_by_rule_with_their_best_and_median_epochs(tmp_path):
    run = begun(name="ends", trials=5, metric="NDCG@10", direction="max")
    run.trial(1, {"x": 0.1}, [0.1, 0.2, 0.15])
    run.trial(2, {"x": 0.2}, [0.3])
    run.trial(3, {"x": 0.3}, [0.05], state="pruned")
    run.trial(4, {"x": 0.4}, [], state="error", reason="OOM", message="no memory")
    run.trial(5, {"x": 0.5}, [0.1], state="training")
    found = endings_info(RunView.open(run.write(tmp_path)))
    rows = [(e.state, e.trials, e.epochs, e.best) for e in found]
    assert rows == [
        ("done", 2, "2", "0.30000"),
        ("error", 1, "0", ABSENT),
        ("pruned", 1, "1", "0.05000"),
        ("training", 1, "1", "0.10000"),
    ]
    assert found[1].words == "an error, OOM"
    assert "behind other trials" in found[2].words


def test_the_budget_says_when_the_best_came_and_what_the_second_half_added(tmp_path):
    values = [0.9, 0.85, 0.84, 0.86, 0.88, 0.83, 0.82, 0.85, 0.9, 0.9]
    run = begun(name="budget", trials=10)
    for number, value in enumerate(values, start=1):
        run.trial(number, {"x": 0.1}, [value], reason="max_epochs" if number == 2 else "plateau")
    view = RunView.open(run.write(tmp_path))
    words = " ".join(budget_info(view, None).sentences)
    assert "found by trial 7 of 10, after 28.0 s of 40.0 s at work" in words
    assert (
        "The second half of the trials improved on the best of the first 5 by 0.02 (2.4 %)" in words
    )
    assert "1 trial ran all 30 epochs" in words


def test_a_budget_that_no_longer_pays_is_called_so(tmp_path):
    run = begun(name="flat", trials=10, metric="NDCG@10", direction="max")
    for number in range(1, 11):
        run.trial(number, {"x": 0.1}, [0.2 if number == 3 else 0.1])
    words = " ".join(budget_info(RunView.open(run.write(tmp_path)), None).sentences)
    assert "The second half of the trials did not improve on the first 5." in words
    assert "unlikely" not in words, "a fact, no forecast"


def test_a_continued_trial_counts_as_the_search_ended_it(tmp_path):
    run = begun(name="continued", trials=2, max_epochs=3)
    run.trial(1, {"x": 0.1}, [0.9, 0.8, 0.7], reason="max_epochs")
    run.trial(2, {"x": 0.2}, [0.95], state="pruned")
    run.closed()
    run.tick(60)
    run.opened(resumed=True)
    run.event("continued", trial=1, epochs=6)
    run.event("started", trial=1)
    for number, value in ((4, 0.6), (5, 0.65)):
        run.tick(4)
        epoch(run, 1, number, value)
    view = RunView.open(run.write(tmp_path))
    rows = [(e.state, e.reason, e.epochs) for e in endings_info(view)]
    assert rows == [("done", "max_epochs", "3"), ("pruned", "asha", "1")]
    assert "1 trial ran all 3 epochs" in " ".join(budget_info(view, None).sentences)
    doubts = overview_info(view).doubts
    assert not any("not finished" in doubt or "last one allowed" in doubt for doubt in doubts)


def test_real_looking_runs_have_rows_for_the_workers_that_ran(tmp_path):
    info = timeline_info(RunView.open(als_run(tmp_path)))
    assert info.rows == 1
    assert {bar.state for bar in info.bars} == {"done", "pruned", "error"}

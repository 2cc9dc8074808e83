"""Numbers on the page against those recomputed from ``epochs.csv`` alone, by other means."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from fabricate import als_run
from test_analysis_pages import MAKERS, two_objectives

from analysis import render_run
from recsearch.run import RunView

BETTER = {"RMSE": "min", "MAE": "min", "NDCG@10": "max"}


class Recomputed:
    """A page's folder as a stranger reads it: the table of epochs, and the visible text."""

    def __init__(self, page: Path, objective: str):
        self.folder, self.objective = page.parent, objective
        self.epochs = pd.read_csv(
            self.folder / "epochs.csv", na_values=["inf", "-inf"], float_precision="round_trip"
        )
        source = re.sub(r"<(style|script|svg).*?</\1>", " ", page.read_text(), flags=re.DOTALL)
        self.text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", source)))
        self.sign = 1 if BETTER[objective] == "min" else -1

    def best(self, frame: pd.DataFrame | None = None) -> pd.Series | None:
        """The best epoch: ties to the earlier one, then to the lower trial."""
        found = (self.epochs if frame is None else frame).dropna(subset=[self.objective])
        if found.empty:
            return None
        keyed = found.assign(cost=self.sign * found[self.objective])
        return keyed.sort_values(["cost", "epoch", "trial"], kind="stable").iloc[0]

    def csv(self, name: str) -> list[dict[str, str]]:
        """One of the files of figures."""
        text = (self.folder / "data" / f"{name}.csv").read_text(encoding="utf-8")
        return list(csv.DictReader(io.StringIO(text)))

    def bests(self) -> dict[int, pd.Series]:
        """The best epoch of every trial that has one."""
        found = {number: self.best(frame) for number, frame in self.epochs.groupby("trial")}
        return {number: best for number, best in found.items() if best is not None}


def objective_of(run: Path) -> str:
    return RunView.open(run).objective.name


@pytest.mark.parametrize("make", MAKERS)
def test_the_best_on_the_page_is_the_best_row_of_the_table(make, tmp_path):
    run = make(tmp_path / "runs")
    page = Recomputed(render_run(run, tmp_path / "reports"), objective_of(run))
    best = page.best()
    if best is None:
        assert "No trial has an epoch with a finite" in page.text
        return
    assert f"trial {best.trial:.0f}, epoch {best.epoch:.0f}" in page.text
    value = best[page.objective]
    digits = 5 if abs(value) >= 0.1 else 4
    assert f"{value:#.{digits}g}" in page.text


@pytest.fixture
def als(tmp_path):
    return Recomputed(render_run(als_run(tmp_path / "runs"), tmp_path / "reports"), "RMSE")


def test_gains_and_every_metric_of_the_best_epoch(als):
    best = als.best()
    default = als.best(als.epochs[als.epochs.trial == 1])
    assert f"{0.8574 - best.RMSE:.3g} ({100 * (0.8574 - best.RMSE) / 0.8574:.1f} %)" in als.text
    assert f"+{default.RMSE - best.RMSE:.3g}" in als.text
    for metric in ("RMSE", "MAE", "NDCG@10"):
        digits = 5 if best[metric] >= 0.1 else 4
        assert f"{best[metric]:#.{digits}g}" in als.text


def test_counts_bytes_and_seconds(als):
    trained = als.epochs[als.epochs.cached == False]  # noqa: E712
    assert f"{len(trained)} epochs trained by this run" in als.text
    ratio = trained.logical_bytes.sum() / trained.stored_bytes.sum()
    assert f"a ratio of {ratio:.3g}" in als.text
    seconds = (trained.train_s + trained.eval_s + trained.save_s).sum()
    minutes, rest = divmod(round(seconds), 60)
    assert f"CPU time of trials {minutes} min {rest:02d} s" in als.text


def test_best_so_far_of_the_progress_plot(als):
    values = {number: best.RMSE for number, best in als.bests().items()}
    best = None
    for row in als.csv("progress-trial"):
        own = values.get(int(row["trial"]))
        assert float(row["RMSE"]) == own
        best = own if best is None else min(best, own)
        assert float(row["best_so_far"]) == best


def test_every_learning_curve_is_the_table_row_by_row(als):
    known = {(int(r.trial), int(r.epoch)): r.RMSE for r in als.epochs.itertuples()}
    for name in ("best-curve", "longest-curves", "curve-sample"):
        rows = als.csv(name)
        assert rows
        for row in rows:
            assert float(row["RMSE"]) == known[int(row["trial"]), int(row["epoch"])]
    trial = als.best().trial
    assert {int(row["trial"]) for row in als.csv("best-curve")} == {trial}


def test_the_histogram_counts_the_epochs_of_the_table(als):
    counts = als.epochs.groupby("trial").size().value_counts()
    for row in als.csv("epochs-completed"):
        wanted = counts.get(int(row["epochs_from"]), 0)
        found = sum(int(row[g]) for g in row if g not in ("epochs_from", "epochs_to"))
        assert row["epochs_from"] == row["epochs_to"]
        assert found == wanted


def test_the_distribution_of_trials(als):
    values = sorted(best.RMSE for best in als.bests().values())
    rows = [row for row in als.csv("edf") if row["trials"] == "all"]
    assert [float(row["RMSE"]) for row in rows] == values
    assert [float(row["share"]) for row in rows] == [
        (at + 1) / len(values) for at in range(len(values))
    ]


def test_costs_and_front_of_the_trade_off(als):
    deals = {}
    for number, frame in als.epochs.groupby("trial"):
        best = als.best(frame)
        deals[number] = (frame[frame.epoch <= best.epoch].train_s.sum(), best.RMSE)
    front = {
        n for n, (cost, value) in deals.items()
        if not any(c <= cost and v <= value and (c, v) != (cost, value) for c, v in deals.values())
    }  # fmt: skip
    rows = als.csv("train-time")
    for row in rows:
        cost, value = deals[int(row["trial"])]
        assert float(row["training time to the best epoch (seconds)"]) == pytest.approx(cost)
        assert float(row["RMSE"]) == value
    assert {int(row["trial"]) for row in rows if row["on_front"] == "true"} == front


def test_the_front_of_two_objectives(tmp_path):
    run = two_objectives(tmp_path / "runs")
    page = Recomputed(render_run(run, tmp_path / "reports"), "RMSE")
    points = list(zip(page.epochs.RMSE, page.epochs["NDCG@10"], strict=True))
    front = {
        (x, y) for x, y in points
        if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
    }  # fmt: skip
    rows = page.csv("front")
    found = {(float(r["RMSE"]), float(r["NDCG@10"])) for r in rows if r["on_front"] == "true"}
    assert found == front
    assert len(rows) == len(points)

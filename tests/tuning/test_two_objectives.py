"""Two objectives and a constraint through the command line and Ray."""

from __future__ import annotations

import json

import pytest
from search_bench import Bench

from recsearch.pareto import dominates, losses
from recsearch.run import RunView

pytestmark = pytest.mark.ray


def test_two_objectives_end_to_end(bench: Bench) -> None:
    done = bench.run(
        "search", "als", "demo:small", "--metric", "RMSE,NDCG@10", "--trials", "6",
        "--max-epochs", "3", "--set", "search.constraints.max_model_mb=0.05", "--no-report",
        "--run", "runs/two",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    view = RunView.open(bench.folder / "runs" / "two")
    rows = [row for trial in view.trials for row in trial.epochs]
    points = {p for row in rows if (p := losses(row.metrics, view.objectives)) is not None}
    front = {losses(row.metrics, view.objectives) for _, row in view.front()}
    assert front == {p for p in points if not any(dominates(other, p) for other in points)}
    assert any(line.startswith("front") for line in done.stdout.splitlines())
    document = json.loads((view.path / "pareto.json").read_text())
    assert {n for point in document["front"] for n in point["best_by"]} == {"RMSE", "NDCG@10"}
    assert view.trials[0].params["embedding_size"] == max(
        trial.params["embedding_size"] for trial in view.trials
    ), "the default, as large as it may be"
    checked = bench.run("verify", "runs/two/best-config-NDCG@10.json")
    assert "bit-equal to the stored checkpoint" in checked.stdout, checked.stderr

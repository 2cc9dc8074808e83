"""Searches on Ray that are extended, maximise, or have trials that fail."""

from __future__ import annotations

import pytest
from search_bench import Bench, ok

from recsearch.run import RunView

pytestmark = pytest.mark.ray


def test_more_trials_extend_a_finished_run_and_fresh_moves_it_aside(bench: Bench) -> None:
    bench.search_file(trials=3)
    ok(bench.search())
    first = [event["params"] for event in bench.events("suggested")]
    ok(bench.search("--trials", "5"))
    suggested = bench.events("suggested")
    assert [event["trial"] for event in suggested] == [1, 2, 3, 4, 5]
    assert [event["params"] for event in suggested[:3]] == first
    before = bench.trained()
    ok(bench.search("--trials", "5"))
    assert bench.trained() == before
    journal = (bench.root / "journal.ndjson").read_bytes()
    done = ok(
        bench.search("--seed", "7", "--run", "runs/planted-csv-ratings", "--fresh", "--trials", "1")
    )
    aside = bench.root.with_name(f"{bench.root.name}.old-1")
    assert str(aside.relative_to(bench.folder)) in done.stdout
    assert (aside / "journal.ndjson").read_bytes() == journal
    assert RunView.open(bench.root).identity["seed"] == 7


def test_a_maximised_objective_and_verification(bench: Bench) -> None:
    bench.search_file(model="planted:PlantedRank", metric="NDCG@10", trials=3, max_epochs=6)
    ok(bench.search())
    result = bench.result()
    assert (result["direction"], result["epoch"], result["value"]) == ("max", 4, 1.0)
    ok(bench.run("verify", str(bench.root)))


def test_b10_errors_are_kept_apart_and_the_rest_goes_on(bench: Bench) -> None:
    path = bench.search_file(trials=4, max_epochs=3)
    text = path.read_text() + 'fail_at = { type = "choice", choices = [0, 2] }\n'
    path.write_text(text.replace('method = "random"', 'method = "grid"').replace(
        "max = 2.0 }", "max = 2.0, points = 2 }"))  # fmt: skip
    done = bench.search()
    assert done.returncode == 5, done.stdout + done.stderr
    view = RunView.open(bench.root)
    failed = [trial for trial in view.trials if trial.state == "error"]
    assert failed
    assert all(trial.params["fail_at"] == 2 and len(trial.epochs) == 1 for trial in failed)
    assert {trial.message for trial in failed} == {"planted failure"}
    assert {trial.state for trial in view.trials if trial.params["fail_at"] == 0} == {"done"}
    log = bench.root / "trials" / f"{failed[0].number:04d}" / "err.log"
    assert "ValueError: planted failure" in log.read_text()
    status = bench.run("status", str(bench.root), "--failed")
    assert "planted failure" in status.stdout
    assert "--retry-errors" in status.stdout

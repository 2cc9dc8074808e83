"""Whole searches on Ray, through the command line, on a model whose answers are planted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from search_bench import Bench

from recsearch.findings import best_place, read_gains
from recsearch.run import RunView

pytestmark = pytest.mark.ray


class Finished(NamedTuple):
    bench: Bench
    done: subprocess.CompletedProcess[str]


def ok(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A search that has ended; what is typed after it leaves its folder as it is."""
    bench = Bench(tmp_path_factory.mktemp("finished"))
    bench.search_file(trials=5, max_epochs=6)
    return Finished(bench, ok(bench.search("--workers", "2")))


def test_b27_b28_the_planted_optimum_is_reported_stored_and_verified(
    finished: Finished, tmp_path: Path
) -> None:
    bench = finished.bench
    view = RunView.open(bench.root)
    best = view.best()
    assert best is not None
    lowest = min(trial.params["level"] for trial in view.trials)
    assert (best[0].params["level"], best[1].epoch) == (lowest, 4), "the middle epoch, not the last"
    result, config = bench.result(), json.loads((bench.root / "best-config.json").read_text())
    assert (result["trial"], result["epoch"]) == (best[0].number, 4)
    assert config["epochs"] == 4
    assert config["metrics"]["RMSE"] == pytest.approx(lowest, abs=1e-6)
    assert view.counts["done"] == 5
    gains = read_gains(bench.root)
    assert gains is not None, "compared by user at the end of the search"
    assert gains["best"] == best_place(*best)
    verified = ok(bench.run("verify", "runs/planted-csv-ratings/best-config.json"))
    assert "bit-equal to the stored checkpoint" in verified.stdout
    tampered = bench.folder / "tampered.json"
    tampered.write_text(json.dumps({**config, "epochs": 5}))
    refused = bench.run("verify", str(tampered))
    assert refused.returncode == 3
    assert "RMSE: recorded" in refused.stderr


def test_output_is_quiet_and_ends_with_the_next_command(finished: Finished) -> None:
    text = finished.done.stdout + finished.done.stderr
    for noise in ("ray", "Ray", "WARNING", "Traceback", "deprecat"):
        assert noise not in text, text
    assert len(text.splitlines()) < 25
    assert finished.done.stdout.splitlines()[-1].startswith("next       recsearch verify")


def test_a_second_identical_search_trains_nothing(finished: Finished) -> None:
    bench = finished.bench
    before = bench.trained()
    done = ok(bench.search("-q", "--run", "runs/second"))
    assert not done.stderr
    assert bench.trained() == before
    second = bench.folder / "runs" / "second"
    assert len(bench.events("epoch", second)) == len(bench.events("epoch"))
    assert all(event["cached"] for event in bench.events("epoch", second))
    assert "5 cached" in done.stdout
    assert bench.result(second) == bench.result()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--seed", "7", "--run", "runs/planted-csv-ratings"),
         "seed: the run has 42, the command has 7"),
        (("--store", "elsewhere", "--trials", "9"), "store: the run has"),
    ],
)  # fmt: skip
def test_another_identity_or_store_is_refused(
    finished: Finished, options: tuple[str, ...], told: str
) -> None:
    root = finished.bench.root
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    refused = finished.bench.search(*options)
    assert refused.returncode == 3
    assert told in refused.stderr
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


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


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_results_do_not_depend_on_the_number_of_workers(bench: Bench, scheduler: str) -> None:
    options = {"grace": 1, "min_peers": 1} if scheduler == "median" else {}
    bench.search_file(trials=8, method="tpe", scheduler=scheduler, scheduler_options=options, lag=3)
    journals = []
    for workers in ("1", "3"):
        root = bench.folder / "runs" / f"w{workers}"
        ok(bench.search("--workers", workers, "--run", str(root), "--store", f"store{workers}"))
        record = RunView.open(root).record
        journals.append(
            {n: (t.params, t.state, t.reason, t.history("RMSE")) for n, t in record.trials.items()}
        )
    assert journals[0] == journals[1]
    assert any(state == "pruned" for _, state, _, _ in journals[0].values())

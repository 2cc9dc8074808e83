"""Whole searches on Ray, through the command line, on a model whose answers are planted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from search_bench import Bench, ok

from recsearch.findings import best_place, read_gains
from recsearch.run import RunView

pytestmark = pytest.mark.ray


class Finished(NamedTuple):
    bench: Bench
    done: subprocess.CompletedProcess[str]


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

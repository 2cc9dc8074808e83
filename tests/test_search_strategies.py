from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from search_tools import search_without_ray

from benchmarks.search.curves import Curves, Point
from benchmarks.search.replay import Outcome, replay
from benchmarks.search.strategies import FULL, Desk, Strategy, add_to, simulate, summary, table
from recsearch.data import SplitSpec, load_dataset, load_split
from recsearch.errors import UsageError
from recsearch.models import resolve
from recsearch.pruning import Asha
from recsearch.spec import load_search
from recsearch.stopping import Plateau

ASHA = "asha(eta=2) / plateau(patience=1, min_improvement=0.002, grace=2)"


def curves(path: Path, seed: int = 42) -> Curves:
    split = load_split(load_dataset("demo"), SplitSpec())
    return Curves(path, split, resolve("als"), "RMSE", seed)


def test_a_simulated_search_has_exactly_the_trials_of_a_real_one(tmp_path: Path) -> None:
    settings = {
        "search.trials": 20,
        "search.max_epochs": 6,
        "search.lag": 3,
        "space.embedding_size.max": 12,
    }
    settings |= Strategy.of(ASHA).overrides()
    real = search_without_ray(tmp_path, **settings).record
    known = curves(tmp_path / "curves.jsonl")
    rules = Strategy.of(ASHA).rules(6)
    spec = load_search("als", overrides=settings)
    record, outcome = simulate(spec, resolve("als"), 42, *rules, known, float)
    rows = [
        [
            (n, t.params, t.config, t.origin, t.state, t.reason, t.history("RMSE"))
            for n, t in sorted(found.trials.items())
        ]
        for found in (real, record)
    ]
    assert rows[0] == rows[1]
    assert {t.state for t in real.trials.values()} == {"done", "pruned"}
    assert {t.origin for t in real.trials.values()} == {"default", "random", "tpe"}
    best = real.best()
    assert best is not None
    assert (outcome.trial, outcome.epoch) == (best[0].number, best[1].epoch)
    assert outcome.best == best[1].value("RMSE")
    assert outcome.epochs == sum(len(t.epochs) for t in real.trials.values())
    sizes = [t.config["embedding_size"] * len(t.epochs) for t in real.trials.values()]
    assert outcome.gflop == sum(sizes)
    # What these rules let through of this search is what they had let through.
    assert asdict(replay(record, *rules, 3, float)) == pytest.approx(asdict(outcome))


def test_a_curve_goes_on_where_it_was_left(tmp_path: Path) -> None:
    family = resolve("als")
    configs = [family.complete({"embedding_size": size}) for size in (3, 5)]
    straight = curves(tmp_path / "straight.jsonl")
    expected = [[straight.point(c, e).value for e in range(1, 6)] for c in configs]
    turns = curves(tmp_path / "turns.jsonl")
    for epoch in (1, 3):
        for config in configs:
            turns.point(config, epoch)
    later = curves(tmp_path / "turns.jsonl")
    for known in (turns, later):
        assert [[known.point(c, e).value for e in range(1, 6)] for c in configs] == expected
    lines = (tmp_path / "turns.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["epoch"] for line in lines]
    assert (epochs.count(3), epochs.count(5)) == (2, 4)
    last = curves(tmp_path / "turns.jsonl")
    assert [[last.point(c, e).value for e in range(1, 6)] for c in configs] == expected
    assert len((tmp_path / "turns.jsonl").read_text().splitlines()) == len(epochs)


def test_states_give_way_and_are_trained_again(tmp_path: Path) -> None:
    family = resolve("als")
    split = load_split(load_dataset("demo"), SplitSpec())
    small = Curves(tmp_path / "c.jsonl", split, family, "RMSE", 42, most_bytes=1)
    a, b = (family.complete({"embedding_size": size}) for size in (3, 5))
    small.point(a, 1)
    small.point(b, 1)
    ample = curves(tmp_path / "ample.jsonl")
    assert small.point(a, 3).value == ample.point(a, 3).value


def test_what_a_model_raises_is_the_end_of_its_curve(tmp_path: Path) -> None:
    split = load_split(load_dataset("demo"), SplitSpec())
    config = {"embedding_size": "many"}
    point = Curves(tmp_path / "c.jsonl", split, resolve("als"), "RMSE", 42).point(config, 1)
    assert isinstance(point, Point)
    assert point.error == "UsageError"
    assert np.isnan(point.value)
    again = Curves(tmp_path / "c.jsonl", split, resolve("als"), "RMSE", 42)
    assert again.point(config, 1).error == "UsageError"
    with pytest.raises(TypeError):
        again.point(None, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", [FULL, ASHA, f"{ASHA} / tpe(cheapest_of=2)", "median / none", "asha(grace=2) / plateau"]
)
def test_strategies_are_read_and_written_alike(text: str) -> None:
    assert str(Strategy.of(text)) == text
    assert Strategy.of(str(Strategy.of(text))) == Strategy.of(text)


def test_a_strategy_is_rules_and_keys_of_a_search_file() -> None:
    strategy = Strategy.of(ASHA)
    assert strategy.rules(7) == (Asha(eta=2, max_epochs=7), Plateau(1, 0.002, 2))
    spec = load_search("als", overrides=strategy.overrides())
    assert spec.search.scheduler_options == {"eta": 2}
    assert spec.search.stop.model_dump() == dict(strategy.stop)
    with pytest.raises(UsageError, match="SCHEDULER"):
        Strategy.of("asha")


def test_the_table_compares_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    def outcome(best: float, gflop: float) -> Outcome:
        return Outcome(best, 1, 2, epochs=10, pruned=0, gflop=gflop, core_s=1.0)

    desk = Desk("demo", "als", tmp_path)
    found = {(FULL, 1): outcome(0.8, 100), (FULL, 2): outcome(0.9, 300)}
    found |= {("a", 1): outcome(0.801, 40), ("a", 2): outcome(0.898, 60), ("a", 3): outcome(1, 1)}
    rows = summary(desk, found, [FULL, "a", "b"])
    assert [row["strategy"] for row in rows] == ["a", FULL]
    assert rows[0]["seeds"] == [1, 2]
    assert rows[0]["behind_worst"] == pytest.approx(0.001)
    assert rows[0]["behind_median"] == pytest.approx(-0.0005)
    assert rows[0]["gflop_ratio"] == pytest.approx(0.25)
    assert "| `a` | 2 | 0.84950 | -0.00050 | +0.00100 |" in table(rows)


def test_rules_are_applied_afterwards_to_the_trials_of_the_full_search(tmp_path: Path) -> None:
    desk = Desk("demo", "als", tmp_path)
    desk.spec = load_search("als", overrides={"search.trials": 14, "space.embedding_size.max": 6})
    full = desk.replay(Strategy.of(FULL), 7)
    assert asdict(full) == pytest.approx(asdict(desk.run(Strategy.of(FULL), 7)), rel=1e-6)
    curves = (tmp_path / "demo-als-7.jsonl").read_text()
    halved = desk.replay(Strategy.of("halving(eta=2) / none"), 7)
    assert halved.pruned > 0
    assert halved.epochs < full.epochs
    assert (tmp_path / "demo-als-7.jsonl").read_text() == curves


def test_results_are_added_to_those_of_other_strategies(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    row = {"trials": "fixed", "data": "demo", "algorithm": "als", "strategy": "a", "best": 1.0}
    add_to(path, [row, {**row, "strategy": "b"}])
    add_to(path, [{**row, "best": 2.0}, {**row, "trials": "searched"}])
    rows = json.loads(path.read_text())["rows"]
    found = [(row["trials"], row["strategy"], row["best"]) for row in rows]
    assert found == [("fixed", "b", 1.0), ("fixed", "a", 2.0), ("searched", "a", 1.0)]


def test_outcomes_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk("demo", "als", tmp_path)
    desk.spec = load_search("als", overrides={"search.trials": 3, "space.embedding_size.max": 6})
    first = desk.run(Strategy.of("none / plateau"), 7)
    assert first.epochs >= 3
    monkeypatch.setattr("benchmarks.search.strategies.simulate", None)
    assert Desk("demo", "als", tmp_path).run(Strategy.of("none / plateau"), 7) == first

"""`recsearch explain`: what a search file asks for, in words that are true of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsearch.cli import cli
from recsearch.explain import explain
from recsearch.pruning import parse_scheduler
from recsearch.spec import available_searches, load_search


def told(search: str, **overrides: Any) -> str:
    return "\n".join(explain(load_search(search, overrides=overrides)))


@pytest.mark.parametrize("name", sorted(available_searches()))
def test_every_search_is_explained(name: str) -> None:
    spec, text = load_search(name), told(name)
    assert all(f"{parameter}: " in text for parameter in spec.space)
    assert f"{spec.search.trials} trials" in text
    assert all(metric.name in text for metric in spec.objectives)


def test_als_by_hand() -> None:
    text = told("als")
    assert "finds the lowest RMSE of lenskit.als:BiasedMFScorer on the validation part" in text
    assert "with user_embeddings = prefer fixed" in text
    assert "Of 2 suggestions the one whose epochs are cheapest is tried." in text
    assert "after 2 epochs or more, when one brings less than 1 %" in text
    assert "embedding_size: log-uniform integer 4 … 512; every factor of ten" in text
    assert text.endswith("Together infinitely many points.")


def test_rungs_are_those_of_the_rule() -> None:
    overrides = {"search.scheduler": "asha", "search.scheduler_options": {"grace": 2, "eta": 3}}
    assert "After epochs 2, 6, 18 it goes on only among the best 1/3" in told("als", **overrides)
    rule = parse_scheduler("asha", {"grace": 2, "eta": 3}, 30)
    assert [e for e in range(1, 31) if rule.is_rung(e)] == [2, 6, 18]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"search.scheduler": "none"}, "No trial is pruned"),
        ({"search.scheduler": "median", "search.scheduler_options": {}}, "From epoch 3 on"),
        (
            {"search.metric": ["RMSE", "NDCG@10"]},
            "the Pareto front of the lowest RMSE and the highest NDCG@10",
        ),
        ({"search.constraints.max_model_mb": 50}, "Models above 50 MB are left out"),
        ({"search.method": "random"}, "drawn independently"),
    ],
)
def test_other_settings(overrides: dict[str, Any], words: str) -> None:
    assert words in told("als", **overrides)


def test_a_search_without_a_space_and_a_finite_one(tmp_path: Path) -> None:
    assert "Nothing is searched" in told("popular")
    path = tmp_path / "s.toml"
    path.write_text(
        'title = "t"\n[model]\nclass = "als"\n[search]\nmetric = "RMSE"\ntrials = 9\n'
        '[space]\nembedding_size = { type = "int", min = 1, max = 4 }\n'
    )
    assert told(str(path)).endswith("Together 4 points, all tried.")


def test_the_command_takes_overrides() -> None:
    done = CliRunner().invoke(cli, ["explain", "als", "--set", "search.trials=7"])
    assert done.exit_code == 0
    assert "7 trials" in done.output
    assert max(map(len, done.output.splitlines())) <= 100

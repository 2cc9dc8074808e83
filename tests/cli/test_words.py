from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from recsearch.cli.words import NUMBERS, SpacedOptions, metric_names, whole_numbers
from recsearch.errors import UsageError


@click.command(cls=SpacedOptions, spaced={"--seeds": NUMBERS})
@click.argument("run")
@click.option("--seeds", multiple=True)
@click.option("--json", "as_json", is_flag=True)
def command(run: str, seeds: tuple[str, ...], as_json: bool) -> None:
    click.echo(f"{run} {whole_numbers('--seeds', seeds)} {as_json}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run --seeds=1,2", "run (1, 2) False"),
        ("run --seeds 1 2 3", "run (1, 2, 3) False"),
        ("run --seeds 1,2,3 --json", "run (1, 2, 3) True"),
        ("--seeds 1 2 run", "run (1, 2) False"),
        ("run --seeds=1", "run (1,) False"),
        ("--seeds=1 run --seeds 2 3", "run (1, 2, 3) False"),
        ("--seeds 1 -- 7", "7 (1,) False"),
        ("run", "run () False"),
    ],
)
def test_numbers_may_be_words_of_their_own(words: str, told: str) -> None:
    result = CliRunner().invoke(command, words.split())
    assert result.output == f"{told}\n"


def test_an_option_without_a_number_is_refused() -> None:
    result = CliRunner().invoke(command, ["run", "--seeds"])
    assert result.exit_code == 2
    assert "--seeds: a value is missing at the end" in result.output
    result = CliRunner().invoke(command, ["run", "--seeds", "--json"])
    assert "--seeds: a value is missing before --json" in result.output


@pytest.mark.parametrize("word", ["x", "1.5", "runs/a", "²"])
def test_what_is_no_whole_number_is_named(word: str) -> None:
    with pytest.raises(UsageError, match=f"--seeds {word}: expected whole numbers"):
        whole_numbers("--seeds", ("1", word))


def test_names_are_parted_by_commas() -> None:
    assert metric_names("RMSE, NDCG@10,") == ["RMSE", "NDCG@10"]
    with pytest.raises(UsageError, match="names no metric"):
        metric_names(" , ")

"""What the words of ``recsearch search`` mean."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from recsearch.cli.words import WORDS, SpacedOptions
from recsearch.errors import UsageError
from recsearch.targets import find_targets, split_names


@pytest.mark.parametrize(
    ("words", "pair"),
    [
        (("als", "ml1m"), ("als", "ml1m")),
        (("als", "ML-1M"), ("als", "ML-1M")),
        (("als-ml1m",), ("als", "ml1m")),
        (("als", "csv:als.csv"), ("als", "csv:als.csv")),
        (("searches/als.toml", "demo:20x"), ("searches/als.toml", "demo:20x")),
        (("als", "nothing"), ("als", "nothing")),
    ],
)
def test_one_search_on_one_data_set(words: tuple[str, ...], pair: tuple[str, str]) -> None:
    assert find_targets(words, ()) == ((pair,), False)


def test_each_search_on_each_data_set_and_none_twice() -> None:
    found = find_targets(("als", "bias", "als"), ("ml100k,ml1m", "ml1m"))
    assert found.many
    assert found.pairs == (
        ("als", "ml100k"), ("bias", "ml100k"), ("als", "ml1m"), ("bias", "ml1m")
    )  # fmt: skip
    assert find_targets(("als",), ("demo",)) == ((("als", "demo"),), True)


def test_words_that_are_each_both() -> None:
    assert find_targets(("als-ml1m", "bias-demo"), ()).pairs == (("als", "ml1m"), ("bias", "demo"))


def test_all_is_every_search_that_can_be_named() -> None:
    names = {search for search, _ in find_targets((), ("demo",), every=True).pairs}
    assert {"als", "als-implicit", "bias", "popular"} <= names


@pytest.mark.parametrize(
    ("words", "data", "every", "message"),
    [
        ((), (), False, "no search is named"),
        ((), ("ml1m",), False, "no search is named"),
        ((), (), True, "no data set is named"),
        (("als",), ("ml1m",), True, "--all means every search"),
        (("als", "ml1m"), ("ml100k",), False, "--data ml100k ml1m"),
        (("als",), ("ml100k", "bias"), False, "bias is a search"),
        (("als", "bias"), (), False, "recsearch search als bias --data ml100k"),
        (("als", "bias", "ml1m"), (), False, "recsearch search als bias --data ml1m"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    words: tuple[str, ...], data: tuple[str, ...], every: bool, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_targets(words, data, every=every)
    assert message in str(caught.value)


def test_a_data_set_that_is_also_a_search_stays_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / "demo.toml").touch()
    assert find_targets(("als", "demo"), ()) == ((("als", "demo"),), False)
    assert find_targets(("demo",), ("demo",)).pairs == (("demo", "demo"),)


def test_commas_of_files_are_their_own() -> None:
    assert split_names(("a,b", "csv:x,y.csv", "a")) == ("a", "b", "csv:x,y.csv")


@click.command(cls=SpacedOptions, spaced={"--data": WORDS})
@click.argument("words", nargs=-1)
@click.option("--data", multiple=True)
@click.option("--trials")
def command(**values: object) -> dict[str, object]:
    return values


@pytest.mark.parametrize(
    ("typed", "words", "data"),
    [
        ("A B --data x y", ("A", "B"), ("x", "y")),
        ("A --data x y --trials 3 B", ("A", "B"), ("x", "y")),
        ("A --data x --data y", ("A",), ("x", "y")),
        ("A --data x,y", ("A",), ("x,y",)),
        ("--data x y -- A", ("A",), ("x", "y")),
        ("A --data=x B", ("A", "B"), ("x",)),
    ],
)
def test_data_takes_all_words_up_to_the_next_option(
    typed: str, words: tuple[str, ...], data: tuple[str, ...]
) -> None:
    values = command.main(typed.split(), standalone_mode=False)
    assert (values["words"], values["data"]) == (words, data)


@pytest.mark.parametrize("typed", ["A --data", "A --data --trials 3"])
def test_data_without_a_name_is_refused(typed: str) -> None:
    with pytest.raises(click.UsageError, match="--data: a value is missing"):
        command.main(typed.split(), standalone_mode=False)

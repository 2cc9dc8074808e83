"""Options that say how ratings are read, prepared and split; ``search`` and ``data`` share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from recsearch.spec.schema import DataSection

Command = TypeVar("Command", bound=Callable[..., Any])


def reading_options(command: Command) -> Command:
    """``--read`` and ``--prepare``: which ratings there are."""
    command = click.option(
        "--prepare",
        "steps",
        multiple=True,
        metavar="STEP=VALUE",
        help="Prepare the ratings, such as core=5 or 'sample={ users = 0.5 }'; repeat it for more "
        "steps, which replace those of a search file.",
    )(command)
    return click.option(
        "--read",
        "reading",
        multiple=True,
        metavar="KEY=VALUE",
        help="How a file is read: columns.user_id=NAME (or rating, ...), delimiter=:: or "
        "duplicates=last.",
    )(command)


def split_option(command: Command) -> Command:
    """``--split``: what is for training and what is held out."""
    return click.option(
        "--split",
        "split",
        multiple=True,
        metavar="METHOD|KEY=VALUE",
        help="How ratings are split: a method such as global-time, or a key of [data.split] such "
        "as pick=last or holdout=0.2.",
    )(command)


def data_overrides(
    reading: Sequence[str], steps: Sequence[str], split: Sequence[str]
) -> dict[str, Any]:
    """What the options set over a search file, by dotted key.

    Raises:
        UsageError: one of them is not of its form.
    """
    from recsearch.spec import parse_override

    found: dict[str, Any] = {}
    for word in reading:
        key, value = parse_override(word)
        # A delimiter is text, also where TOML would read it as something else.
        found[f"data.{key}"] = word.partition("=")[2] if key == "delimiter" else value
    if steps:
        found["data.prepare"] = [dict([parse_override(step)]) for step in steps]
    for word in split:
        key, value = parse_override(word if "=" in word else f"method={word}")
        found[f"data.split.{key}"] = value
    return found


def variant_words(steps: Sequence[str], split: Sequence[str]) -> list[str]:
    """What the name of a run's folder says of these options."""
    return [*(word.replace("=", "") for word in steps), *(word.replace("=", "") for word in split)]


def data_section(
    reading: Sequence[str], steps: Sequence[str], split: Sequence[str] = ()
) -> DataSection:
    """The options as a checked ``[data]`` of their own, without a search file.

    Raises:
        UsageError: one of them does not fit.
    """
    from recsearch.spec.overrides import apply_overrides
    from recsearch.spec.problem import Origin
    from recsearch.spec.search import read_data

    origin = Origin("command line")
    document = apply_overrides({}, data_overrides(reading, steps, split), origin)
    return read_data(document.get("data", {}), origin)

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
        multiple=True,
        metavar="STEP=VALUE",
        help="Prepare the ratings, such as core=5 or 'sample={ users = 0.5 }'; repeat it for more "
        "steps, which replace those of a search file.",
    )(command)
    return click.option(
        "--read",
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


def data_section(
    reading: Sequence[str], steps: Sequence[str], split: Sequence[str] = ()
) -> DataSection:
    """The options as a checked ``[data]`` of their own, without a search file.

    Raises:
        UsageError: one of them does not fit.
    """
    from recsearch.data_words import data_overrides
    from recsearch.spec.overrides import apply_overrides
    from recsearch.spec.problem import Origin
    from recsearch.spec.search import read_data

    origin = Origin("command line")
    document = apply_overrides({}, data_overrides(reading, steps, split), origin)
    return read_data(document.get("data", {}), origin)

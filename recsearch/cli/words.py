"""Options that take several words: ``--seeds 1 2 3`` as well as ``--seeds 1,2,3``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from recsearch.errors import UsageError


class SpacedOptions(click.Command):
    """A command some of whose options take all words up to the next option.

    Args:
        spaced: those options; they must allow repetition.
    """

    def __init__(self, *args: Any, spaced: Iterable[str] = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._spaced = frozenset(spaced)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every word an option of its own, then parse as usual."""
        return super().parse_args(ctx, list(self._spread(args)))

    def _spread(self, args: list[str]) -> Iterable[str]:
        name, taken = "", 0
        for word in args:
            if word.startswith("-"):
                name, taken = (word if word in self._spaced else ""), 0
                if not name:
                    yield word
            elif name:
                yield from (name, word)
                taken += 1
            else:
                yield word
        if name and not taken:
            yield name


def whole_numbers(option: str, words: Iterable[str]) -> tuple[int, ...]:
    """The numbers of ``1 2 3`` or ``1,2,3``, each once, in their order.

    Raises:
        UsageError: one of them is no whole number of 0 or more.
    """
    found: dict[int, None] = {}
    for word in (part for words_ in words for part in words_.split(",") if part):
        if not word.isdecimal():
            raise UsageError(f"{option} {word}: expected whole numbers, such as {option} 1 2 3")
        found[int(word)] = None
    return tuple(found)

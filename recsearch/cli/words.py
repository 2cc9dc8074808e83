"""Options that take several numbers, ``--seeds 1 2 3`` or ``--seeds 1,2,3``; lists of names."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import click

from recsearch.errors import UsageError

_NUMBERS = re.compile(r"[0-9][0-9,]*")


class SpacedOptions(click.Command):
    """A command some of whose options take all numbers that follow them.

    Args:
        spaced: those options; they must allow repetition.
    """

    def __init__(self, *args: Any, spaced: Iterable[str] = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._spaced = frozenset(spaced)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every word an option of its own, then parse as usual."""
        return super().parse_args(ctx, list(self._spread(args)))

    def _spread(self, args: list[str]) -> Iterator[str]:
        words = deque(args)
        while words:
            word = words.popleft()
            if word == "--":
                yield word
                yield from words
                return
            name, equals, first = word.partition("=")
            if name not in self._spaced:
                yield word
                continue
            if equals:
                yield from (name, first)
            elif not words or words[0].startswith("-"):
                yield name  # which click says needs a value
            else:
                yield from (name, words.popleft())
            # What is no number is the next argument: --seeds 1 2 runs/als-ml1m.
            while words and _NUMBERS.fullmatch(words[0]):
                yield from (name, words.popleft())


def split_names(text: str) -> list[str]:
    """The words of ``RMSE, NDCG@10``.

    Raises:
        UsageError: there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--metrics: names no metric; expected some, such as RMSE,NDCG@10.")
    return names


def whole_numbers(option: str, words: Iterable[str]) -> tuple[int, ...]:
    """The numbers of ``1 2 3`` or ``1,2,3``, each once, in their order.

    Raises:
        UsageError: one of them is no whole number of 0 or more.
    """
    found: dict[int, None] = {}
    for word in (part for words_ in words for part in words_.split(",") if part):
        if not (word.isascii() and word.isdecimal()):
            raise UsageError(f"{option} {word}: expected whole numbers, such as {option} 1 2 3.")
        found[int(word)] = None
    return tuple(found)

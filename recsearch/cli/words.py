"""Options that take several words, such as ``--seeds 1 2 3``; numbers and names in one word."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from recsearch.errors import UsageError

NUMBERS = re.compile(r"[0-9][0-9,]*")
WORDS = re.compile(r"[^-].*", re.DOTALL)


class SpacedOptions(click.Command):
    """A command some of whose options take all the words that follow them, as people type it.

    Args:
        spaced: those options, which must allow repetition, and what a further word of each looks
            like: `NUMBERS`, or `WORDS` up to the next option. ``--`` ends them all.
    """

    def __init__(self, *args: Any, spaced: Mapping[str, re.Pattern[str]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._spaced = dict(spaced)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every word an option of its own, then parse as usual."""
        return super().parse_args(ctx, list(self._spread(args)))

    def _spread(self, args: list[str]) -> Iterator[str]:
        words = deque(args)
        while words:
            word = words.popleft()
            yield word
            if word == "--":
                yield from words
                return
            if word not in self._spaced:  # of --data=x, x is the only one
                continue
            if not words or words[0].startswith("-"):
                follows = f"before {words[0]}" if words else "at the end"
                raise click.BadOptionUsage(word, f"{word}: a value is missing {follows}.")
            yield words.popleft()
            while words and self._spaced[word].fullmatch(words[0]):
                yield from (word, words.popleft())


def metric_names(text: str) -> list[str]:
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

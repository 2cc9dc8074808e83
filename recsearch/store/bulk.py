"""What catalogs and segments have in common: many small things at once, numbered and merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np

_THREADS = 8
_FEW = 4
_BATCH = 256

T = TypeVar("T")
R = TypeVar("R")


def outgrown(sizes: Mapping[str, int], fresh: int) -> list[str]:
    """The files to be merged with so many ``fresh`` entries.

    Those that are not larger than what they are merged with: so there are never many files, and
    no entry is written often.

    Args:
        sizes: Entries of each file that are still true.
        fresh: Entries that are in none of them.
    """
    merged = []
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        if sizes[name] > fresh:
            break
        merged.append(name)
        fresh += sizes[name]
    return merged


def in_parallel(
    work: Callable[[T], R], items: Sequence[T], tick: Callable[[], None] = lambda: None
) -> Iterator[R]:
    """The results in order; ``tick`` is called every few items. Few items are not worth threads."""
    if len(items) <= _FEW:
        for item in items:
            tick()
            yield work(item)
        return
    rest = iter(items)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="collect") as pool:
        while batch := list(islice(rest, _BATCH)):
            tick()
            yield from pool.map(work, batch)


class Numbers(dict[str, int]):
    """Texts, numbered in the order in which they come up."""

    def of(self, text: str) -> int:
        """The number of a text."""
        return self.setdefault(text, len(self))

    def translate(self, texts: Sequence[str], numbers: np.ndarray) -> np.ndarray:
        """From numbers in a list of ``texts`` to ours."""
        ours = np.zeros(len(texts), np.int64)
        for number in np.unique(numbers).tolist():
            ours[number] = self.of(texts[number])
        return ours[numbers]

"""Which searches on which data sets the words of a command mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recsearch.data.catalogue import FILE_KINDS, find_entry
from recsearch.errors import UsageError
from recsearch.spec import available_searches

Pair = tuple[str, str]
"""A search and a data set, as the user names them."""


class Targets(NamedTuple):
    """What a command is to search.

    Attributes:
        pairs: search and data set, without repetitions.
        many: whether it was asked for as several searches, even if they come to one.
    """

    pairs: tuple[Pair, ...]
    many: bool


def find_targets(words: Sequence[str], data: Sequence[str], *, every: bool = False) -> Targets:
    """Read the words of ``recsearch search``.

    ``als ml1m`` and ``als-ml1m`` are one search on one data set. With data sets of their own, all
    words are searches, and each is run on each data set.

    Args:
        words: what stands alone.
        data: values of ``--data``; commas separate names.
        every: all searches that can be named, instead of words.

    Raises:
        UsageError: the words can be read in no way, or in two.
    """
    names = split_names(data)
    if every and words:
        raise UsageError(
            f"--all means every search, so {words[0]} cannot be named beside it.",
            hint="Leave out --all, or the names.",
        )
    if names or every:
        return _product(list(available_searches()) if every else words, names)
    if not words:
        raise UsageError(
            "no search is named.",
            hint="For example: recsearch search als demo, or: recsearch search --all --data demo",
        )
    if len(words) == 1:
        return Targets((divide(words[0]),), many=False)
    if len(words) == 2 and is_dataset(words[1]):
        return Targets(((words[0], words[1]),), many=False)
    if all(_divides(word) for word in words):
        return Targets(tuple(dict.fromkeys(divide(word) for word in words)), many=True)
    if len(words) == 2 and not is_search(words[1]):
        # Neither: the data set's own error says what there is.
        return Targets(((words[0], words[1]),), many=False)
    raise _without_data(words)


def split_names(values: Sequence[str]) -> tuple[str, ...]:
    """Names in lists with commas; a file's name may contain commas itself."""
    names: list[str] = []
    for value in values:
        whole = value.partition(":")[0].lower() in FILE_KINDS and ":" in value
        names += [value] if whole else value.split(",")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def is_dataset(name: str) -> bool:
    """Whether ``name`` can only mean a data set: one of the catalogue, or with a kind before it."""
    if ":" in name or name.partition("@")[0] == "demo":
        return True
    try:
        find_entry(name)
    except UsageError:
        return False
    return True


def is_search(name: str) -> bool:
    """Whether ``name`` is a search that can be named, or a file."""
    return name in available_searches() or Path(name).is_file()


def divide(target: str) -> Pair:
    """``als-implicit-ml100k`` as search and data set: the longest known search name wins.

    Raises:
        UsageError: no known search begins the word, or nothing follows it.
    """
    names = sorted(available_searches(), key=len, reverse=True)
    for name in names:
        if target.startswith(f"{name}-") and len(target) > len(name) + 1:
            return name, target[len(name) + 1 :]
    missing = "no data set follows it" if target in names else "it begins with no known search"
    raise UsageError(
        f"{target}: {missing}. Known searches: {', '.join(sorted(names))}.",
        hint="Name both, such as: recsearch search als demo",
    )


def _divides(word: str) -> bool:
    try:
        return is_dataset(divide(word)[1])
    except UsageError:
        return False


def _product(searches: Sequence[str], names: Sequence[str]) -> Targets:
    """Every search on every data set, one data set after the other."""
    if not searches:
        raise UsageError(
            f"--data {' '.join(names)}: no search is named.",
            hint=f"Name some before it, or all: recsearch search --all --data {' '.join(names)}",
        )
    if not names:
        raise UsageError(
            "--all: no data set is named.", hint="For example: recsearch search --all --data ml100k"
        )
    for word in searches:
        if is_dataset(word) and not is_search(word):
            raise UsageError(
                f"{word} is a data set, but beside --data all words are searches.",
                hint=f"Name it there, too: --data {' '.join([*names, word])}",
            )
    for name in names:
        if is_search(name) and not is_dataset(name):
            raise UsageError(
                f"--data {name}: {name} is a search; --data takes every word up to the next "
                "option.",
                hint=f"Name searches first: recsearch search {name} ... --data DATASET ...",
            )
    unique = dict.fromkeys((search, name) for name in names for search in searches)
    return Targets(tuple(unique), many=True)


def _without_data(words: Sequence[str]) -> UsageError:
    """Several searches, and nothing to search on; data sets among the words are guessed."""
    data = [word for word in words if is_dataset(word) and not is_search(word)]
    searches = [word for word in words if word not in data]
    return UsageError(
        f"{' '.join(words)}: {len(words)} words that are not each a search and a data set, such as "
        "als-ml1m, are searches, and --data names no data set for them.",
        hint="Did you mean: recsearch search "
        f"{' '.join(searches)} --data {' '.join(data or ['ml100k'])}",
    )

"""Names of folders that hold pages about several runs, and short labels of runs in figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from recsearch.identity import digest

_LONGEST = 90
_DIGEST = "~"
"""Parts names from a digest, as no `slug` has it."""


def slug(text: str) -> str:
    """``text`` with all but letters, digits, dots and underscores replaced by hyphens.

    >>> slug("csv:my data/x.csv"), slug("../../etc"), slug("NDCG@10")
    ('csv-my-data-x.csv', 'etc', 'NDCG-10')
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "x"


def compare_folder(names: Sequence[str]) -> str:
    """Folder of the page that compares runs, whichever comes first; of other runs another one.

    >>> compare_folder(["ease-ml1m", "als-ml1m"])
    'als-ml1m+ease-ml1m'
    """
    words = sorted(names)
    plain = "+".join(words)
    safe = "+".join(slug(word) for word in words)
    if safe == plain and len(safe) <= _LONGEST:
        return safe
    return f"{safe[:_LONGEST]}{_DIGEST}{digest(words)[:8]}"


def compared_in(folder: str) -> str:
    """The runs that a folder of `compare_folder` is named by; "" for one of another kind.

    >>> compared_in("als-ml1m+ease-ml1m"), compared_in("als+x-y~7ca8ee60"), compared_in("ml1m-1a")
    ('als-ml1m, ease-ml1m', 'als, x-y', '')
    """
    names, parted, _ = folder.partition(_DIGEST)
    if not parted and "+" not in names:
        return ""
    return names.replace("+", ", ") + ("\u2026" if len(names) == _LONGEST else "")


def group_folder(dataset: str, objective: str, basis: Sequence[str]) -> str:
    """Folder of the page that compares all runs of one ``basis``, however many there will be."""
    return f"{slug(f'{dataset}-{objective}')[:_LONGEST]}-{digest(list(basis))[:8]}"


def dataset_folder(name: str, dataset_id: str) -> str:
    """Folder of the page of a data set; two of one name have other ids.

    >>> dataset_folder("ml1m", "a450532ee737cd6d")
    'ml1m-a450532e'
    """
    return f"{slug(name)[:_LONGEST]}-{slug(dataset_id)[:8]}"


def labels(names: Sequence[str]) -> tuple[str, ...]:
    """Names without the words that most of them end with, as long as they stay different.

    >>> labels(["als-ml1m", "item-knn-ml1m"]), labels(["als-1", "als-2"])
    (('als', 'item-knn'), ('als-1', 'als-2'))
    """
    words = [name.split("-") for name in names]
    endings = Counter(tuple(each[at:]) for each in words for at in range(1, len(each)))
    common = [ending for ending, times in endings.items() if 2 * times > len(names) > 1]
    longest = "-".join(["", *max(common, key=len, default=())])
    found = tuple(name.removesuffix(longest) for name in names)
    return found if len(set(found)) == len(set(names)) and all(found) else tuple(names)

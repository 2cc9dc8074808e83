"""Which search on which data set the words of a command mean."""

from __future__ import annotations

from recsearch.errors import UsageError
from recsearch.spec import available_searches


def divide(target: str) -> tuple[str, str]:
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

"""The one check that all ratings pass, whatever they were read from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recsearch.errors import DataError

Where = Callable[[int], str]
"""Row number in the order of the file to how a person finds it: ``ratings.csv, line 17``."""


def check_values(
    what: str, values: np.ndarray, limits: tuple[float, float] | None, where: Where
) -> None:
    """Check that there are ratings and that each is a number inside ``limits``.

    Args:
        what: Names the data set in the error.
        values: (n,) ratings in the order of the file.
        limits: Lowest and highest rating allowed, or None.
        where: Names a row for the error.

    Raises:
        DataError: no rows; or the first rating that is not finite or out of range.
    """
    if not len(values):
        raise DataError(f"{what} holds no ratings")
    with np.errstate(over="ignore"):
        # Ratings are kept as float32, in which 1e39 is infinite.
        bad = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
    if len(bad):
        raise DataError(
            f"{where(int(bad[0]))}: the rating is {values[bad[0]]}, expected a finite number"
            f"{_more(len(bad))}"
        )
    if limits is None:
        return
    bad = np.flatnonzero((values < limits[0]) | (values > limits[1]))
    if len(bad):
        raise DataError(
            f"{where(int(bad[0]))}: the rating is {values[bad[0]]:g}, "
            f"expected {limits[0]:g} to {limits[1]:g}{_more(len(bad))}"
        )


def check_pairs(
    order: np.ndarray, repeated: np.ndarray, pair: Callable[[int], str], where: Where
) -> None:
    """Refuse ratings of one item twice by the same user.

    Args:
        order: (n,) row numbers of the file, sorted by (user, item), stable.
        repeated: (n - 1,) bool; whether ``order[i + 1]`` is the same pair as ``order[i]``.
        pair: Row number to ``user 3, item 7``.
        where: Names a row for the error.

    Raises:
        DataError: names both rows of the first repeated pair.
    """
    bad = np.flatnonzero(repeated)
    if not len(bad):
        return
    first = bad[np.argmin(order[bad + 1])]
    one, two = int(order[first]), int(order[first + 1])
    raise DataError(
        f"{where(two)}: {pair(two)} was already rated in {where(one)}; "
        f"expected at most one rating per user and item{_more(len(bad))}",
        hint="Remove one of them, or decide which counts: --read duplicates=last (or first, mean, "
        "max), or duplicates under [data] in the search file.",
    )


def _more(found: int) -> str:
    return f" ({found - 1} more like it)" if found > 1 else ""

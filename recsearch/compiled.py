"""Machine code from Python functions, by numba: on one thread, kept on disk where that is possible.

Importing this module imports numba, which takes a second: import it where compiled code is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core.types import Array

F = TypeVar("F", bound=Callable[..., Any])

REORDER = frozenset({"reassoc", "contract", "nsz"})
"""What the compiler may do to sums: change their order. The machine code is the same in every
process of a machine, so results are as well; NaN and infinity keep their meaning."""


def compiled(signature: Any, *, reorder: bool = False) -> Callable[[F], F]:
    """Compile a function for one signature, or load what an earlier process compiled.

    Args:
        signature: numba signature, such as ``void(int64)``.
        reorder: whether sums may be taken in another order than written, see `REORDER`.
    """
    options = {"nogil": True, "fastmath": set(REORDER) if reorder else False}

    def decorate(function: F) -> F:
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except Exception:  # noqa: BLE001 - a cache that cannot be used must not end a trial
            # What is wrong with the function itself is raised again.
            return numba.njit(signature, **options)(function)

    return decorate


def inlined(*, reorder: bool = False) -> Callable[[F], F]:
    """A function for use in compiled ones of the same module only: the cache follows that file."""
    return numba.njit(nogil=True, fastmath=set(REORDER) if reorder else False)


def read(dtype: Any, dimensions: int = 1) -> Array:
    """Type of an array that is only read, so that read-only arrays need no code of their own."""
    return Array(dtype, dimensions, "C", readonly=True)


def written(dtype: Any, dimensions: int = 1) -> Array:
    """Type of an array that is written to."""
    return Array(dtype, dimensions, "C")

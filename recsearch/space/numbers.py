"""Numbers as search files write them."""

from __future__ import annotations

import math
from typing import Any


def is_real(value: Any) -> bool:
    """Whether ``value`` is an int or a float; booleans are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an int; neither ``True`` nor ``1.0`` is one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_power_of_two(value: float) -> bool:
    """Whether ``value`` is 2 to an integer exponent."""
    return value > 0 and math.isfinite(value) and math.frexp(value)[0] == 0.5


def same(left: Any, right: Any) -> bool:
    """Equality as in TOML: ``1`` equals ``1.0``, but not ``true``."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)

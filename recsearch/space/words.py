"""Values and names as messages print them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def show(value: Any) -> str:
    """A value as a search file writes it, without quotes around strings."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def quote(value: Any) -> str:
    """A value as a search file writes it, with quotes around strings."""
    return f'"{value}"' if isinstance(value, str) else show(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` for a misspelt name, or nothing where none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""

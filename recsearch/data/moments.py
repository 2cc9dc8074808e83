"""Moments as a user writes them: ISO dates or seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds_of(moment: str | int) -> int:
    """Seconds since 1970 of an ISO date (UTC unless it says otherwise), or of such seconds.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(moment, int) and not isinstance(moment, bool):
        return moment
    if not isinstance(moment, str):
        raise ValueError(f"{moment!r} is no time")
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())

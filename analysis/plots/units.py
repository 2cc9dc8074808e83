"""The unit in which a time axis is labelled."""

from __future__ import annotations

_UNITS = ((2.0, "hours", 3600.0), (2.0, "minutes", 60.0), (0.0, "seconds", 1.0))


def time_unit(seconds: float) -> tuple[str, float]:
    """The largest unit that ``seconds`` holds twice, and its length in seconds.

    >>> time_unit(90), time_unit(7200)
    (('seconds', 1.0), ('hours', 3600.0))
    """
    return next((unit, length) for least, unit, length in _UNITS if seconds >= least * length)

"""How numbers, bytes, durations and dates are written on the pages."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

ABSENT = "\N{EN DASH}"
"""Stands where a value was not measured."""
MINUS = "\N{MINUS SIGN}"

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """Write ``value`` with ``digits`` significant digits, trailing zeros dropped.

    >>> number(0.1234567), number(3.17e-9), number(1209), number(None)
    ('0.1235', '3.17e-9', '1209', '–')
    """
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return "not finite"
    if float(value).is_integer() and abs(value) < 10**6:
        return _minus(str(int(value)))
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return _minus(text)
    mantissa, exponent = text.split("e")
    return _minus(f"{mantissa}e{int(exponent)}")


def metric(value: float | None) -> str:
    """Write a metric so that values of one column align: 5 digits from 0.1 on, else 4.

    >>> metric(0.8123), metric(0.0262), metric(1), metric(0.0004)
    ('0.81230', '0.02620', '1.0000', '0.0004')
    """
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0.0000"
    if abs(value) < 1e-3 or abs(value) >= 1e5:
        return number(value)
    return _minus(f"{value:#.{5 if abs(value) >= 0.1 else 4}g}")


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference with its sign, ``+0.0394``.

    >>> signed(0.03941), signed(-0.5), signed(0.0)
    ('+0.0394', '−0.5', '0')
    """
    if value is None:
        return ABSENT
    text = number(value, digits)
    return f"+{text}" if math.isfinite(value) and value > 0 else text


def percent(share: float) -> str:
    """Write a share of one as a percentage.

    >>> percent(0.0463), percent(0.000314), percent(0.0)
    ('4.6 %', '0.031 %', '0.0 %')
    """
    if 0 < abs(share) < 0.001:
        return f"{number(100 * share, 2)} %"
    return _minus(f"{100 * share:.1f} %")


def count(value: int) -> str:
    """Write a whole number with a thin space between thousands.

    >>> count(994169)
    '994\u202f169'
    """
    return _minus(f"{value:,}".replace(",", "\u202f"))


def plural(value: int, noun: str) -> str:
    """Write a number with its noun.

    >>> plural(1, "trial"), plural(3, "trial")
    ('1 trial', '3 trials')
    """
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def size(num_bytes: float) -> str:
    """Write a number of bytes in binary units.

    >>> size(0), size(2_500_000), size(1024)
    ('0 B', '2.4 MiB', '1.0 KiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while abs(num_bytes) >= 1024 and power < len(units) - 1:
        num_bytes /= 1024
        power += 1
    return f"{num_bytes:.0f} B" if power == 0 else f"{num_bytes:.1f} {units[power]}"


def duration(seconds: float) -> str:
    """Write a duration in its two largest units.

    >>> duration(0.42), duration(75), duration(7384)
    ('0.4 s', '1 min 15 s', '2 h 03 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(text: str | None) -> datetime | None:
    """Parse a time of the journal (ISO 8601); None where absent or unreadable."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def day(text: str | None) -> str:
    """Write a time of the journal to the minute, in UTC."""
    found = moment(text)
    return ABSENT if found is None else found.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def value_text(value: Any) -> str:
    """Write a parameter's value: numbers with 4 digits, the rest as JSON would.

    >>> value_text(True), value_text(0.0877123), value_text("adam"), value_text(None)
    ('true', '0.08771', 'adam', 'null')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return number(value)


def probability(p: float) -> str:
    """Write a p value.

    >>> probability(0.03), probability(2e-7)
    ('0.0300', '< 0.0001')
    """
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def power(base: int, exponent: int) -> str:
    """Write a power for an axis.

    >>> power(10, -12)
    '10⁻¹²'
    """
    return f"{base}{str(exponent).translate(_SUPERSCRIPT)}"


def exact(value: Any) -> Any:
    """Make ``value`` strict JSON: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(key): exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _minus(text: str) -> str:
    return text.replace("-", MINUS, 1) if text.startswith("-") else text

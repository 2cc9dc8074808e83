"""``--read``, ``--prepare`` and ``--split`` as keys of a search file, and in the name of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def data_overrides(
    reading: Sequence[str], steps: Sequence[str], split: Sequence[str]
) -> dict[str, Any]:
    """What the options set over a search file, by dotted key.

    Raises:
        UsageError: one of them is not of its form.
    """
    from recsearch.spec import parse_override

    found: dict[str, Any] = {}
    for word in reading:
        key, value = parse_override(word)
        # A delimiter is text, also where TOML would read it as something else.
        found[f"data.{key}"] = word.partition("=")[2] if key == "delimiter" else value
    if steps:
        found["data.prepare"] = [dict([parse_override(step)]) for step in steps]
    for word in split:
        key, value = parse_override(word if "=" in word else f"method={word}")
        found[f"data.split.{key}"] = value
    return found


def variant_words(steps: Sequence[str], split: Sequence[str]) -> list[str]:
    """What the name of a run's folder says of these options."""
    return [*(word.replace("=", "") for word in steps), *(word.replace("=", "") for word in split)]

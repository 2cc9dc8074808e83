"""How the commands of the store write sizes, shapes and epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def size(number: float) -> str:
    """Bytes with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def span(epochs: Sequence[int]) -> str:
    """Epochs, short where none is left out."""
    if len(epochs) > 1 and epochs[-1] - epochs[0] + 1 == len(epochs):
        return f"{epochs[0]}-{epochs[-1]}"
    return ",".join(str(epoch) for epoch in epochs)


def shape(dimensions: Sequence[int]) -> str:
    """A shape, such as ``50x4``."""
    return "x".join(str(n) for n in dimensions) or "scalar"


def name_of(value: Any) -> str | None:
    """What info says of a search or run, which may be a name or a mapping with one."""
    if isinstance(value, Mapping):
        value = value.get("name")
    return None if value is None else str(value)


def seconds(number: float) -> str:
    """A duration."""
    if number < 60:
        return f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"

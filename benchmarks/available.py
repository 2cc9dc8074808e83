"""Data sets that benchmarks measure on, or generated ones of their shape."""

from __future__ import annotations

from recsearch.data import load_dataset
from recsearch.errors import DataNotFoundError

STAND_INS = {"ml1m": "demo:ml1m"}


def available(name: str) -> tuple[str, str | None]:
    """The name of a data set that is on this machine, and a note where it stands in for another.

    Raises:
        DataNotFoundError: it is not here and nothing has its shape.
    """
    try:
        load_dataset(name)
    except DataNotFoundError:
        if name not in STAND_INS:
            raise
        note = f"{name} is not on this machine: generated ratings of its shape instead"
        print(note)
        return STAND_INS[name], note
    return name, None

"""How a file of ratings is read, where it does not speak for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recsearch.errors import UsageError

COLUMNS = ("user_id", "item_id", "rating", "timestamp")
REQUIRED = ("user_id", "item_id")
DUPLICATES = ("error", "first", "last", "mean", "max")
WORDS = {
    "first": "the first in time counts",
    "last": "the last in time counts",
    "mean": "their mean counts, at the time of the last",
    "max": "the highest counts",
}
"""What becomes of several ratings of one item by one user, for the notes of a data set."""


@dataclass(frozen=True)
class Reading:
    """How to read a file of ratings.

    Attributes:
        columns: Our names of columns (`COLUMNS`) to those of the file, or to their numbers from 1
            on in a file without a line of names. What is not named is found by its usual names.
        delimiter: What separates the columns of a CSV file, one character or several; None for
            the one of ``, TAB ; |`` that its first line has most of.
        duplicates: What becomes of several ratings of one item by one user: an ``error``, or the
            ``first`` or ``last`` in time (of equal times, in the file), their ``mean`` or ``max``.
    """

    columns: Mapping[str, str | int] = field(default_factory=dict)
    delimiter: str | None = None
    duplicates: str = "error"

    @property
    def by_number(self) -> bool:
        """Whether columns are known by their numbers: the file has no line of names."""
        return any(isinstance(name, int) for name in self.columns.values())

    def table(self) -> dict[str, Any]:
        """What is not the default, as JSON values."""
        found: dict[str, Any] = {}
        if self.columns:
            found["columns"] = dict(self.columns)
        if self.delimiter is not None:
            found["delimiter"] = self.delimiter
        if self.duplicates != "error":
            found["duplicates"] = self.duplicates
        return found

    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know of it."""
        if self.duplicates == "error":
            return ()
        return (f"of several ratings of one item by one user, {WORDS[self.duplicates]}",)

    def check(self, kind: str) -> None:
        """Refuse what cannot be meant for files of ``kind``.

        Raises:
            UsageError: an unknown column or rule, or a key that has no part in such a file.
        """
        if self.duplicates not in DUPLICATES:
            raise UsageError(
                f"data.duplicates is {self.duplicates!r}, expected one of {', '.join(DUPLICATES)}"
            )
        if self.columns and kind not in ("csv", "parquet"):
            raise UsageError(f"data.columns are for csv: and parquet: files, not for {kind}")
        if self.delimiter is not None and kind != "csv":
            raise UsageError(f"data.delimiter is for csv: files, not for {kind}")
        if self.delimiter is not None and (
            not self.delimiter or any(c in self.delimiter for c in '\r\n"')
        ):
            raise UsageError(
                f"data.delimiter is {self.delimiter!r}, expected one character or several, none "
                "of them a line break or a quote"
            )
        self._check_columns(kind)

    def _check_columns(self, kind: str) -> None:
        for column in self.columns:
            if column not in COLUMNS:
                raise UsageError(
                    f"data.columns.{column}: there is no such column, expected one of "
                    f"{', '.join(COLUMNS)}"
                )
        names = list(self.columns.values())
        if len(set(names)) < len(names):
            raise UsageError(f"data.columns: {self.columns} names one column of the file twice")
        if not self.by_number:
            return
        whole = all(isinstance(name, int) and name >= 1 for name in names)
        if kind != "csv" or not whole or not set(REQUIRED) <= set(self.columns):
            raise UsageError(
                f"data.columns: {dict(self.columns)} does not fit, expected names, or for a csv: "
                "file without a line of names the numbers, from 1 on, of at least user_id and "
                "item_id"
            )


def reading_of_table(table: Mapping[str, Any]) -> Reading:
    """The reading that `Reading.table` recorded."""
    return Reading(
        columns=dict(table.get("columns", {})),
        delimiter=table.get("delimiter"),
        duplicates=table.get("duplicates", "error"),
    )

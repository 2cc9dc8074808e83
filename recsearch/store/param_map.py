"""Parameter maps: files that give stored arrays other names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recsearch.errors import UsageError

_COMMENT = re.compile(r"(^|\s)#.*")


class _Line(NamedTuple):
    number: int
    old: str
    new: str

    def apply(self, name: str) -> str | None:
        """The new name of an array, None if the line is not about it."""
        pattern = re.escape(self.old).replace(r"\*", "(.*)")
        match = re.fullmatch(pattern, name, re.DOTALL)
        if match is None:
            return None
        parts = iter(match.groups())
        return re.sub(r"\*", lambda _: next(parts), self.new)


class ParameterMap:
    """Old and new names of arrays, from a file.

    Each line has the old name and the new one, apart by tabs or spaces (by tabs only where there
    are any). Names are ``part/name``, or names within any part. ``*`` in the old name stands
    for anything, and in the new one for the same. ``#`` begins a comment. Of two lines that fit an
    array, one without ``*`` counts.

    Args:
        path: The file, for messages.
        lines: What it has in it.

    Raises:
        UsageError: naming file and line.
    """

    def __init__(self, path: str, lines: Sequence[str] = ()):
        self._path = path
        self._lines: list[_Line] = []
        for number, text in enumerate(lines, start=1):
            content = _COMMENT.sub("", text).strip()
            if not content:
                continue
            names = re.split(r"\t+", content) if "\t" in content else content.split()
            if len(names) != 2:
                raise self._error(number, f"expected an old and a new name, not {content!r}")
            line = _Line(number, *(name.strip() for name in names))
            if line.old.count("*") != line.new.count("*"):
                raise self._error(number, "the two names do not have as many * as each other")
            same = next((other for other in self._lines if other.old == line.old), None)
            if same is not None:
                raise self._error(number, f"{line.old} is on line {same.number} too")
            self._lines.append(line)

    @classmethod
    def read(cls, path: str | Path) -> ParameterMap:
        """Read a file.

        Raises:
            UsageError: it cannot be read, or naming the line that is wrong.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: cannot be read as a parameter map: {error}") from error
        return cls(str(path), text.splitlines())

    def rename(self, stored: Sequence[str], wanted: Mapping[str, object]) -> dict[str, str]:
        """New name of every stored array to its old one.

        Raises:
            UsageError: naming a line that fits no stored array, leads to none of ``wanted``, or
                contradicts another one.
        """
        renamed: dict[str, str] = {}
        results: dict[_Line, list[str]] = {line: [] for line in self._lines}
        for old in stored:
            line, new = self._line_of(old)
            if new in renamed:
                both = f"{renamed[new]} and {old} would both become {new}"
                raise self._error(line.number if line else self._maker(new, results), both)
            renamed[new] = old
            if line is not None:
                results[line].append(new)
        for line, names in results.items():
            if not names:
                raise self._error(line.number, f"the checkpoint has no array {line.old}")
            if not any(name in wanted for name in names):
                raise self._error(line.number, f"there is no array {line.new} to restore into")
        return renamed

    def _line_of(self, name: str) -> tuple[_Line | None, str]:
        part, _, tensor = name.partition("/")
        fits = []
        for line in self._lines:
            new = line.apply(name) if "/" in line.old else None
            if new is None and (inside := line.apply(tensor)) is not None:
                new = f"{part}/{inside}"
            if new is not None:
                fits.append((line, new))
        exact = [fit for fit in fits if "*" not in fit[0].old]
        fits = exact or fits
        if len(fits) > 1:
            raise self._error(fits[1][0].number, f"fits {name}, as does line {fits[0][0].number}")
        return fits[0] if fits else (None, name)

    @staticmethod
    def _maker(new: str, results: Mapping[_Line, Sequence[str]]) -> int:
        return next(line.number for line, names in results.items() if new in names)

    def _error(self, number: int, what: str) -> UsageError:
        return UsageError(f"{self._path}, line {number}: {what}")

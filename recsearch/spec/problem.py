"""Errors of search files: file, key, what is wrong, what was expected, the nearest valid key."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recsearch.errors import SpecError
from recsearch.space import DomainError
from recsearch.space.words import nearest, quote, show
from recsearch.spec.schema import EXPECTED, Section, keys_of

AnySection = TypeVar("AnySection", bound=Section)

NOUNS = {
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "bool": "true or false",
    "list": "an array",
    "dict": "a table",
    "finite": "a finite number",
    "invalid": "a string, number, boolean, array or table",
}
"""What pydantic's kinds of type errors ask for."""

UNION = "a string, number or boolean"
"""What values of free type may be."""


@dataclass(frozen=True)
class Origin:
    """Where a document came from: a file, and keys that the command line set over it."""

    file: str
    overridden: frozenset[str] = frozenset()

    def of(self, key: str) -> str:
        """Who is to blame for ``key``."""
        if any(f"{key}.".startswith(f"{k}.") or k.startswith(f"{key}.") for k in self.overridden):
            return f"{self.file}, overridden by the command line"
        return self.file

    def error(self, key: str, problem: str, expected: str, file: str | None = None) -> SpecError:
        """One paragraph about one key."""
        return SpecError(f"{file or self.of(key)}: {key}: {problem}, expected {expected}")

    def unknown(self, key: str, known: Iterable[str]) -> SpecError:
        """A key that does not exist."""
        prefix, _, word = key.rpartition(".")
        names = sorted(known)
        where = f"[{prefix}]" if prefix else "the file"
        return self.error(
            key,
            "is no key of " + where,
            f"one of {', '.join(names) or 'none'}{nearest(word, names)}",
        )

    def unknown_value(self, key: str, value: Any, known: Iterable[str]) -> SpecError:
        """A word that is none of those that ``key`` may have."""
        names = list(known)
        return self.error(
            key,
            f"{quote(value)} does not fit",
            f"one of {', '.join(names)}{nearest(str(value), names)}",
        )

    def domain_error(self, prefix: str, error: DomainError) -> SpecError:
        """A domain that contradicts itself, to which any of its keys may have led."""
        key = f"{prefix}.{error.key}"
        blamed = next((k for k in self.overridden if k.startswith(f"{prefix}.")), key)
        return self.error(key, error.problem, error.expected, self.of(blamed))


def parse_section(section: type[AnySection], table: Any, prefix: str, origin: Origin) -> AnySection:
    """Read one table; ``prefix`` is empty for a whole file.

    Raises:
        SpecError: for its first wrong key.
    """
    if not isinstance(table, Mapping):
        raise origin.error(prefix, f"{quote(table)} is not a table", f"a table [{prefix}]")
    known = keys_of(section)
    for key in table:
        if key not in known:
            raise origin.unknown(f"{prefix}.{key}".lstrip("."), known)
    try:
        return section.model_validate(dict(table))
    except ValidationError as err:
        raise _first(err.errors(), table, prefix, origin) from None


def _first(
    errors: list[ErrorDetails], table: Mapping[str, Any], prefix: str, origin: Origin
) -> SpecError:
    error = errors[0]
    if error["type"] == "missing":
        return origin.error(f"{prefix}.{error['loc'][-1]}".lstrip("."), "is missing", "a value")
    words, in_union = _path(error["loc"], table)
    expected = UNION if in_union and error["type"] != "finite_number" else _expected(error)
    key = ".".join([prefix, *words]).lstrip(".")
    return origin.error(key, f"{quote(error['input'])} does not fit", expected)


def _path(location: tuple[int | str, ...], table: Any) -> tuple[list[str], bool]:
    """The keys of ``location``, and whether pydantic put names of union members among them."""
    words = []
    for part in location:
        if isinstance(table, Mapping | list) and part in _keys(table):
            table = table[part]  # type: ignore[index]
            words.append(str(part))
    return words, len(words) < len(location)


def _keys(table: Mapping[str, Any] | list[Any]) -> Container[Any]:
    return table if isinstance(table, Mapping) else range(len(table))


def _expected(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "literal_error":
        names = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"one of {', '.join(names)}{nearest(str(error['input']), names)}"
    if "ge" in context:
        return f"{show(context['ge'])} or more"
    if "gt" in context:
        return f"more than {show(context['gt'])}"
    if kind == "string_pattern_mismatch":
        return EXPECTED[context["pattern"]]
    noun = NOUNS.get(re.split("[_-]", kind)[0])
    return noun or error["msg"].removeprefix("Input should be ")

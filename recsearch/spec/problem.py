"""Errors of search files: file, key, what is wrong, what was expected, the nearest valid key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recsearch.errors import SpecError
from recsearch.space import DomainError
from recsearch.space.words import nearest, show
from recsearch.spec.schema import Section, keys_of

AnySection = TypeVar("AnySection", bound=Section)

NOUNS = {
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "bool": "true or false",
    "list": "an array",
    "dict": "a table",
    "model": "a table",
}


@dataclass(frozen=True)
class Origin:
    """Where a document came from: a file, and keys that the command line set over it."""

    file: str
    overridden: frozenset[str] = frozenset()

    def of(self, key: str) -> str:
        """Who is to blame for ``key``."""
        if any(key == k or key.startswith(f"{k}.") for k in self.overridden):
            return f"{self.file}, overridden by the command line"
        return self.file

    def error(self, key: str, problem: str, expected: str) -> SpecError:
        """One paragraph about one key."""
        return SpecError(f"{self.of(key)}: {key}: {problem}, expected {expected}")

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
            f"{show(value)!r} does not fit",
            f"one of {', '.join(names)}{nearest(str(value), names)}",
        )

    def domain_error(self, prefix: str, error: DomainError) -> SpecError:
        """A domain that contradicts itself."""
        return self.error(f"{prefix}.{error.key}", error.problem, error.expected)


def parse_section(section: type[AnySection], table: Any, prefix: str, origin: Origin) -> AnySection:
    """Read one table.

    Raises:
        SpecError: for its first wrong key, naming how many more there are.
    """
    if not isinstance(table, Mapping):
        raise origin.error(prefix, f"{show(table)!r} is not a table", f"a table [{prefix}]")
    known = keys_of(section)
    for key in table:
        if key not in known:
            raise origin.unknown(f"{prefix}.{key}", known)
    try:
        return section.model_validate(dict(table))
    except ValidationError as err:
        raise _first(err.errors(), prefix, origin) from None


def _first(errors: list[ErrorDetails], prefix: str, origin: Origin) -> SpecError:
    error = errors[0]
    key = ".".join([prefix, *(str(part) for part in error["loc"] if _is_key(part))])
    if error["type"] == "missing":
        return origin.error(key, "is missing", "a value")
    return origin.error(key, f"{show(error['input'])!r} does not fit", _expected(error))


def _is_key(part: int | str) -> bool:
    """Pydantic puts names of union members into locations, too."""
    return isinstance(part, int) or part.isidentifier() or "." in part


def _expected(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "literal_error":
        word = error["input"]
        names = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"one of {', '.join(names)}" + (
            nearest(word, names) if isinstance(word, str) else ""
        )
    for bound, words in (("ge", "or more"), ("le", "or less")):
        if bound in context:
            return f"{context[bound]} {words}"
    if kind == "string_pattern_mismatch":
        return "all, or best and last with optional counts, such as best+last or best:2+last:3"
    noun = NOUNS.get(kind.rpartition("_")[0])
    return noun or _lower_first(error["msg"].removeprefix("Input should be "))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]

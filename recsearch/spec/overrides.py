"""Keys that the command line sets over those of a search file."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from typing import Any

from recsearch.errors import UsageError
from recsearch.space.words import nearest, quote
from recsearch.spec.problem import Origin


def parse_override(text: str) -> tuple[str, Any]:
    """Read ``KEY=VALUE``; the value is TOML, or else a string.

    >>> parse_override("search.trials=20")
    ('search.trials', 20)
    >>> parse_override("search.metric=NDCG@10")
    ('search.metric', 'NDCG@10')

    Raises:
        UsageError: there is no key or no equals sign.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise UsageError(
            f"{text!r} sets nothing, expected KEY=VALUE",
            hint="For example: --set space.embedding_size.max=64",
        )
    return key, _toml_value(value)


def _toml_value(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return document["value"] if len(document) == 1 else text


def apply_overrides(
    document: Mapping[str, Any], overrides: Mapping[str, Any], origin: Origin
) -> dict[str, Any]:
    """A copy of ``document`` with ``overrides`` by dotted key laid over it.

    Args:
        document: sections of a search file, ``space`` by dotted parameter names.
        overrides: dotted key to value.
        origin: for messages.

    Raises:
        SpecError: a key leads through something that is no table, or to no parameter.
    """
    result = copy.deepcopy(dict(document))
    for key, value in overrides.items():
        section, _, rest = key.partition(".")
        if section == "space" and rest:
            _set_in_space(result.setdefault("space", {}), rest, value, origin)
        else:
            _set(result, key.split("."), value, origin)
    _forget_options(document, overrides, result)
    return result


def _set(table: dict[str, Any], path: list[str], value: Any, origin: Origin) -> None:
    *parents, leaf = path
    for depth, parent in enumerate(parents):
        below = table.setdefault(parent, {})
        if not isinstance(below, dict):
            key = ".".join(path[: depth + 1])
            raise origin.error(".".join(path), f"{key} is not a table", f"{key} itself")
        table = below
    table[leaf] = value


def _set_in_space(space: dict[str, Any], rest: str, value: Any, origin: Origin) -> None:
    name, key = _split(rest, space)
    if key:
        space[name] = dict(space[name])
        _set(space[name], key.split("."), value, origin)
    elif isinstance(value, Mapping):
        space[rest] = dict(value)
    elif name:
        raise origin.error(
            f"space.{rest}",
            f"{quote(value)} is not a table",
            f"a key of it such as space.{rest}.max, or model.config.{rest} for a fixed value",
        )
    else:
        wanted = rest.rpartition(".")[0] or rest
        raise origin.error(
            f"space.{wanted}",
            "is no parameter of the space",
            f"one of {', '.join(space) or 'none'}{nearest(wanted, space)}",
        )


def _split(rest: str, space: Mapping[str, Any]) -> tuple[str, str]:
    """The longest parameter name that ``rest`` begins with, and the key after it; empty if none."""
    words = rest.split(".")
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        if name in space:
            return name, ".".join(words[count:])
    return "", ""


def _forget_options(
    document: Mapping[str, Any], overrides: Mapping[str, Any], result: dict[str, Any]
) -> None:
    """Another scheduler has other options: those of the file's scheduler do not apply to it."""
    chosen, search = overrides.get("search.scheduler"), document.get("search")
    if chosen is None or not isinstance(search, Mapping):
        return
    if chosen == search.get("scheduler", "asha"):
        return
    kept = {
        key.removeprefix("search.scheduler_options."): value
        for key, value in overrides.items()
        if key.startswith("search.scheduler_options.")
    }
    result["search"]["scheduler_options"] = overrides.get("search.scheduler_options", kept)

"""Completion of model configurations through LensKit's own pydantic classes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError

from recsearch.errors import UsageError
from recsearch.identity import canonical_json

ENTITIES = ("user", "item")


def is_complete(config: Mapping[str, Any], fields: frozenset[str], pairs: frozenset[str]) -> bool:
    """Whether ``config`` has the form that `complete_config` gives, judged without its schema."""
    return config.keys() == fields and all(
        isinstance(config[name], Mapping) and set(config[name]) == set(ENTITIES) for name in pairs
    )


def complete_config(
    schema: type[BaseModel],
    config: Mapping[str, Any],
    family: str,
    *,
    pairs: Mapping[str, float],
    aliases: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """Validate ``config`` with ``schema`` and fill in the defaults.

    LensKit ignores keys that it does not know; here they are refused. A value that LensKit takes
    either as one number or by entity is always written by entity, so that equal configurations
    have equal text.

    Args:
        schema: LensKit's configuration class.
        config: what the user gave; nested for ``{user, item}`` values.
        family: short name, for messages.
        pairs: fields given as a number or as ``{user, item}``, each with what LensKit assumes for
            an entity that is left out of the latter.
        aliases: other keys that LensKit accepts for a field.

    Raises:
        UsageError: an unknown key or a value that does not fit.
    """
    aliases = {**_schema_aliases(schema), **(aliases or {})}
    allowed = [name for name in schema.model_fields if name != "epochs"]
    prepared = dict(config)
    if "epochs" in prepared:
        raise UsageError(
            f"{family}: epochs is no parameter of the model here; every epoch is trained, measured "
            "and saved on its own.",
            hint="Set max_epochs in [search] instead.",
        )
    _check_keys(family, prepared, [*allowed, *(a for names in aliases.values() for a in names)])
    _check_aliases(family, prepared, aliases)
    for field, absent in pairs.items():
        default = schema.model_fields[field].default
        prepared[field] = _as_pair(family, field, prepared.get(field, default), absent)
    try:
        completed = schema.model_validate(prepared).model_dump(mode="json", exclude={"epochs"})
    except ValidationError as err:
        raise UsageError(f"{family}: {_first_problem(err, config)}") from err
    _check_finite(family, completed)
    return completed


def _schema_aliases(schema: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, field in schema.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            choices = [str(choice) for choice in field.validation_alias.choices]
            found[name] = tuple(choice for choice in choices if choice != name)
    return found


def _check_keys(family: str, given: Iterable[str], allowed: list[str], within: str = "") -> None:
    for key in given:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1, cutoff=0.4)
            guess = f" Did you mean {within}{near[0]}?" if near else ""
            valid = ", ".join(within + name for name in allowed)
            raise UsageError(
                f"{family}: no parameter {within}{key}.{guess}", hint=f"Parameters: {valid}."
            )


def _check_aliases(
    family: str, given: Mapping[str, Any], aliases: Mapping[str, tuple[str, ...]]
) -> None:
    for field, others in aliases.items():
        used = [name for name in (field, *others) if name in given]
        if len(used) > 1:
            raise UsageError(f"{family}: {' and '.join(used)} are the same parameter; give one.")


def _as_pair(family: str, field: str, value: Any, absent: float) -> dict[str, Any]:
    if isinstance(value, Mapping):
        _check_keys(family, value, list(ENTITIES), within=f"{field}.")
        pair = {entity: value.get(entity, absent) for entity in ENTITIES}
    else:
        pair = dict.fromkeys(ENTITIES, value)
    for entity, part in pair.items():
        if isinstance(part, bool) or not isinstance(part, int | float) or part < 0:
            raise UsageError(
                f"{family}: {field}.{entity} = {part!r}: expected a number of at least 0."
            )
    return {entity: float(part) for entity, part in pair.items()}


def _first_problem(err: ValidationError, config: Mapping[str, Any]) -> str:
    """The first field that does not fit: its path, its value, and what it may be instead."""
    problems = err.errors()
    field = str(problems[0]["loc"][0]) if problems[0]["loc"] else ""
    # For a choice of types pydantic reports one problem each; the deepest are the most specific.
    same = [problem for problem in problems if str(problem["loc"][:1]) == str((field,))]
    depth = max((len(problem["loc"]) for problem in same), default=0)
    same = [problem for problem in same if len(problem["loc"]) == depth] or problems[:1]
    path, value = field, config.get(field)
    for word in same[0]["loc"][1:]:
        if isinstance(value, Mapping) and word in value:
            path, value = f"{path}.{word}", value[word]
    texts = (problem["msg"].lower().removeprefix("value error, ") for problem in same)
    reasons = " or ".join(dict.fromkeys(texts))
    # What concerns several fields has no path.
    return f"{path} = {value!r}: {reasons}." if path else f"{reasons}."


def _check_finite(family: str, completed: Mapping[str, Any]) -> None:
    for key, value in completed.items():
        try:
            canonical_json(value)
        except ValueError as err:
            raise UsageError(f"{family}: {key} must be finite, not {value!r}.") from err

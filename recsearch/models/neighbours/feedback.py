"""Configurations of neighbourhood models, whose kind of feedback is fixed by the family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from recsearch.errors import UsageError
from recsearch.models.config import complete_config


def complete_feedback(
    schema: type[BaseModel], config: Mapping[str, Any], family: str, feedback: str
) -> dict[str, Any]:
    """Complete a configuration of LensKit's item or user neighbourhoods.

    Args:
        schema: LensKit's configuration class.
        config: what the user gave.
        family: short name, which ends in the kind of feedback.
        feedback: ``explicit`` or ``implicit``.

    Raises:
        UsageError: an unknown key, a value that does not fit, or the other kind of feedback.
    """
    given = config.get("feedback", feedback)
    completed = complete_config(schema, {**config, "feedback": given}, family, pairs={})
    if completed["feedback"] != feedback:
        other = f"{family.removesuffix(feedback)}{completed['feedback']}"
        raise UsageError(
            f"{family}: feedback = {given!r}: this model is the one for {feedback} feedback.",
            hint=f'Name the other one: class = "{other}".',
        )
    # A setting of the speed of LensKit's training that it does not use any more.
    completed.pop("block_size", None)
    return completed

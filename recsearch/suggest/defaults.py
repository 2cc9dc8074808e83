"""The default configuration as a point of the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsearch.spec import SearchSpec


def default_params(spec: SearchSpec, complete: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the searched parameters have where nobody searches, clipped into the space.

    Args:
        spec: the search; its fixed parameters come before the model's defaults.
        complete: the model's complete default configuration, nested.

    Returns:
        Values by dotted name. A plain default stands for every part of a divided parameter
        (``regularization = 0.1`` for ``regularization.user``); a parameter without a default gets
        the middle of its domain.
    """
    values = {}
    for name in spec.space:
        value = _lookup(spec.model.config, name)
        values[name] = _lookup(complete, name) if value is None else value
    return spec.space.clip(values)


def _lookup(config: Mapping[str, Any], name: str) -> Any:
    found: Any = config
    for word in name.split("."):
        if not isinstance(found, Mapping):
            return found
        found = found.get(word)
    return None if isinstance(found, Mapping) else found

"""What is known to be wrong with what a search trains."""

from __future__ import annotations

from recsearch.spec.check import corners
from recsearch.spec.search import SearchSpec


def search_warnings(spec: SearchSpec) -> tuple[str, ...]:
    """Warnings of the model for every bound and choice of a space that fits it, each once.

    See `recsearch.models.Family.warning`. Imports the model.
    """
    from recsearch.models import resolve

    family = resolve(spec.model.class_)
    points = [params for _, params in corners(spec)] or [{}]
    found = (family.warning(family.complete(spec.configuration(params))) for params in points)
    return tuple(dict.fromkeys(text for text in found if text is not None))

"""Whether a search fits its model: class, fixed and searched parameters, metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recsearch.errors import SpecError, UsageError
from recsearch.space.words import show
from recsearch.spec.search import SearchSpec

if TYPE_CHECKING:
    from recsearch.models import Family


def check_against_model(spec: SearchSpec) -> None:
    """Complete a configuration for every bound and every choice of the space. Imports the model.

    Raises:
        SpecError: no such model; a parameter that it does not have, or a value that it refuses; a
            rating metric for a model that predicts no ratings.
    """
    from recsearch.models import resolve

    try:
        family = resolve(spec.model.class_)
    except UsageError as err:
        raise _blame(spec, "model.class", err) from None
    _check_ratings(spec, family.predicts_ratings)
    try:
        family.complete(spec.model.config)
    except UsageError as err:
        raise _blame(spec, "model.config", err) from None
    for name, params in corners(spec):
        try:
            family.complete(spec.configuration(params))
        except UsageError as err:
            raise _blame(spec, *_culprit(spec, family, name, params, err)) from None


def _culprit(
    spec: SearchSpec, family: Family, name: str, params: dict[str, Any], error: UsageError
) -> tuple[str, UsageError]:
    """The parameter that is refused even alone; else ``name``, by which the point was made."""
    for other in params:
        alone = {other: params[other], **_enabling(spec, other)}
        try:
            family.complete(spec.configuration(alone))
        except UsageError as err:
            return f"space.{other} = {show(params[other])}", err
    return f"space.{name} = {show(params[name])}", error


def _check_ratings(spec: SearchSpec, predicts: bool) -> None:
    from recsearch.evaluation import parse

    if spec.model.predicts_ratings and not predicts:
        raise SpecError(
            f"{spec.source}: model.predicts_ratings: {spec.model.class_} predicts no ratings, "
            "expected false or no such key"
        )
    for name in (*spec.search.objectives, *spec.search.metrics):
        if parse(name).kind == "rating" and not predicts:
            raise SpecError(
                f"{spec.source}: search.metric: {name} needs predicted ratings, which "
                f"{spec.model.class_} does not give, expected a ranking metric such as NDCG@10"
            )


def corners(spec: SearchSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """One point for every bound of a range and every choice, with the parameter it is about."""
    first = {name: domain.extremes()[0] for name, domain in spec.space.items()}
    for name, domain in spec.space.items():
        for value in domain.extremes():
            point = {**first, **_enabling(spec, name), name: value}
            yield name, spec.space.restrict(point)


def _enabling(spec: SearchSpec, name: str) -> dict[str, Any]:
    """Values of other parameters under which ``name`` takes part."""
    values: dict[str, Any] = {}
    for other, allowed in spec.space[name].when:
        values |= {**_enabling(spec, other), other: allowed[0]}
    return values


def _blame(spec: SearchSpec, key: str, error: UsageError) -> SpecError:
    return SpecError(f"{spec.source}: {key}: {error.message}", hint=error.hint)

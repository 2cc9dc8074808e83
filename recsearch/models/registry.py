"""From a name in a search file to a family. Nothing is imported until a family is asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from recsearch.errors import UsageError
from recsearch.models.protocol import Family


@dataclass(frozen=True)
class FamilyEntry:
    """A registered family: calling it imports its adapter and returns the family.

    Attributes:
        name: short name.
        title: what screens and pages call it.
        class_path: the component it wraps, ``package.module:Class``.
        adapter: module and class of the adapter, ``package.module:Class``.
        variant: parameter that tells families of one component apart, and its value here. The
            first of them is the one that the class path alone means.
    """

    name: str
    title: str
    class_path: str
    adapter: str
    variant: tuple[str, str] | None = None

    def __call__(self) -> Family:
        """The family; the same object every time."""
        return _instance(self.adapter)


_ENTRIES = (
    FamilyEntry(
        "als",
        "ALS BiasedMF",
        "lenskit.als:BiasedMFScorer",
        "recsearch.models.als.biased:BiasedMFFamily",
    ),
    FamilyEntry(
        "als-implicit",
        "ALS ImplicitMF",
        "lenskit.als:ImplicitMFScorer",
        "recsearch.models.als.implicit:ImplicitMFFamily",
    ),
    FamilyEntry(
        "bias",
        "User and item bias",
        "lenskit.basic:BiasScorer",
        "recsearch.models.bias:BiasFamily",
    ),
    FamilyEntry(
        "popular",
        "Most popular",
        "lenskit.basic:PopScorer",
        "recsearch.models.popular:PopularFamily",
    ),
    FamilyEntry(
        "flexmf-explicit",
        "FlexMF for ratings",
        "lenskit.flexmf:FlexMFExplicitScorer",
        "recsearch.models.flexmf.family:FlexMFExplicitFamily",
    ),
    FamilyEntry(
        "flexmf-implicit",
        "FlexMF for implicit feedback",
        "lenskit.flexmf:FlexMFImplicitScorer",
        "recsearch.models.flexmf.family:FlexMFImplicitFamily",
    ),
    FamilyEntry(
        "lightgcn",
        "LightGCN on PyTorch Geometric",
        "lenskit.graphs:LightGCNScorer",
        "recsearch.models.lightgcn:LightGCNFamily",
    ),
    FamilyEntry(
        "funksvd",
        "FunkSVD",
        "lenskit.funksvd:FunkSVDScorer",
        "recsearch.models.funksvd:FunkSVDFamily",
    ),
    FamilyEntry(
        "iknn-explicit",
        "Item-kNN, explicit feedback",
        "lenskit.knn:ItemKNNScorer",
        "recsearch.models.neighbours.item:ItemKNNExplicitFamily",
        ("feedback", "explicit"),
    ),
    FamilyEntry(
        "iknn-implicit",
        "Item-kNN, implicit feedback",
        "lenskit.knn:ItemKNNScorer",
        "recsearch.models.neighbours.item:ItemKNNImplicitFamily",
        ("feedback", "implicit"),
    ),
    FamilyEntry(
        "uknn-explicit",
        "User-kNN, explicit feedback",
        "lenskit.knn:UserKNNScorer",
        "recsearch.models.neighbours.user:UserKNNExplicitFamily",
        ("feedback", "explicit"),
    ),
    FamilyEntry(
        "uknn-implicit",
        "User-kNN, implicit feedback",
        "lenskit.knn:UserKNNScorer",
        "recsearch.models.neighbours.user:UserKNNImplicitFamily",
        ("feedback", "implicit"),
    ),
    FamilyEntry(
        "ease",
        "EASE",
        "lenskit.knn:EASEScorer",
        "recsearch.models.neighbours.ease:EASEFamily",
    ),
    FamilyEntry(
        "slim",
        "SLIM",
        "lenskit.knn:SLIMScorer",
        "recsearch.models.neighbours.slim:SLIMFamily",
    ),
)

FAMILIES: Mapping[str, Callable[[], Family]] = MappingProxyType(
    {entry.name: entry for entry in _ENTRIES}
)
"""Short name to family factory, in the order in which screens list them."""

_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def resolve(name: str) -> Family:
    """The family of a short name (``als``) or class path (``lenskit.als:BiasedMFScorer``).

    A path with a dot before the class (``lenskit.als.BiasedMFScorer``) is accepted too. Any other
    ``package.module:Class`` is imported and must be a model class as `recsearch.models.protocol`
    describes.

    Raises:
        UsageError: no such family; names the nearest ones.
    """
    known = _known(name)
    if known is not None:
        return known()
    if _CLASS_PATH.fullmatch(name) and not name.startswith("lenskit."):
        from recsearch.models.custom import custom_family

        return custom_family(name)
    raise UsageError(f"no model called {name!r}.{_nearest(name)}", hint=_hint())


def variant_of(name: str, config: Mapping[str, Any]) -> str:
    """The short name of the family that a class path means with these fixed parameters.

    A component may be several families: `lenskit.knn:ItemKNNScorer` predicts ratings with explicit
    feedback and does not with implicit. What leaves no choice is returned as it is.
    """
    known = _known(name)
    if known is None or known.variant is None or name.strip().lower() == known.name:
        return name
    wanted = (known.variant[0], config.get(known.variant[0]))
    for entry in _ENTRIES:
        if entry.class_path == known.class_path and entry.variant == wanted:
            return entry.name
    return name


def _known(name: str) -> FamilyEntry | None:
    wanted = name.strip().lower()
    for entry in _ENTRIES:
        if wanted == entry.name or name.strip().replace(":", ".") == entry.class_path.replace(
            ":", "."
        ):
            return entry
    return None


def _nearest(name: str) -> str:
    candidates = [form for entry in _ENTRIES for form in (entry.name, entry.class_path)]
    by_lower = {form.lower(): form for form in candidates}
    wanted = name.lower().replace(" ", "")
    found = difflib.get_close_matches(wanted, list(by_lower), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(by_lower[form] for form in found)}?" if found else ""


def _hint() -> str:
    names = ", ".join(f"{entry.name} ({entry.class_path})" for entry in _ENTRIES)
    return f"Models: {names}, or a class of your own as package.module:Class."


@cache
def _instance(adapter: str) -> Family:
    module, _, cls = adapter.partition(":")
    family: Family = getattr(import_module(module), cls)()
    return family

"""How to get the same result again: commands, ids, versions and the data's digest."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from analysis.citation import citation
from analysis.values import dig
from recsearch.identity import canonical_json, short
from recsearch.run import RunView
from recsearch.urls import public_url, without_secrets


class Identifier(NamedTuple):
    """An id by name; ``short`` is what screens show."""

    name: str
    short: str
    full: str


class ReproduceInfo(NamedTuple):
    """Commands with what each does, ids, versions, where the ratings came from, what to cite."""

    commands: tuple[tuple[str, str], ...]
    ids: tuple[Identifier, ...]
    seed: str
    versions: tuple[tuple[str, str], ...]
    code: tuple[tuple[str, str], ...]
    archive: str
    archive_sha256: str | None
    official: str
    citation: str


def reproduce_info(run: RunView, store_url: str | None = None) -> ReproduceInfo:
    """Collect what another person needs to repeat the search or to load its best model.

    ``store_url`` is added to the commands that read checkpoints; credentials in it are left out.
    """
    identity = run.identity
    dataset = identity.get("dataset") or {}
    return ReproduceInfo(
        commands=tuple(_commands(run, store_url)),
        ids=tuple(_ids(run)),
        seed=str(identity.get("seed", "")),
        versions=_pairs(identity.get("versions")),
        code=_pairs(identity.get("code")),
        archive=str(dataset.get("origin") or "unknown"),
        archive_sha256=dataset.get("sha256"),
        official=official_words(dataset),
        citation=citation(run),
    )


def _commands(run: RunView, store_url: str | None) -> list[tuple[str, str]]:
    identity = run.identity
    where = shlex.quote(f"runs/{run.path.name}")
    store = f" --store {shlex.quote(public_url(store_url))}" if store_url else ""
    found = [(_search_command(identity), "repeats the search, or continues it")]
    if run.best() is not None:
        found.append(
            (f"recsearch verify {where}{store}", "retrains the best and compares every metric")
        )
        found.append((f"recsearch load {where}{store}", "loads the best model from the store"))
        for metric in run.objectives[1:]:
            config = shlex.quote(f"runs/{run.path.name}/best-config-{metric.name}.json")
            purpose = f"retrains the best by {metric.name}"
            found.append((f"recsearch verify {config}{store}", purpose))
    return found


def _search_command(identity: dict[str, Any]) -> str:
    if identity.get("command"):
        return without_secrets(str(identity["command"]))
    words = ["recsearch", "search", str(identity.get("search_file") or "search.toml")]
    dataset = dig(identity, "dataset", "name")
    words += [str(dataset)] if dataset else []
    words += ["--seed", str(identity["seed"])] if "seed" in identity else []
    return shlex.join(words)


def _ids(run: RunView) -> list[Identifier]:
    found = [
        ("dataset_id", dig(run.identity, "dataset", "dataset_id")),
        ("split_id", dig(run.identity, "split", "split_id")),
    ]
    others = list(dig(run.identity, "validation", "split_ids", default=()))[1:]
    found += [(f"split_id of fold {fold}", full) for fold, full in enumerate(others, start=1)]
    best = run.best()
    if best is not None:
        found.append(("trial key of the best", best[0].key))
        more = enumerate(best[0].keys[1:], start=1)
        found += [(f"trial key of the best, fold {fold}", key) for fold, key in more]
    return [Identifier(name, short(str(full)), str(full)) for name, full in found if full]


def official_words(dataset: Mapping[str, Any]) -> str:
    """Whether ratings come from the official archive, in words."""
    if dataset.get("generated"):
        return "generated"
    verdict = dataset.get("official")
    if verdict is None:
        return "no official digest is known"
    return "the official archive" if verdict else "not the official archive"


def _pairs(found: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, dict):
        return ()
    return tuple(
        (str(key), value if isinstance(value, str) else canonical_json(value))
        for key, value in found.items()
    )

"""Search files in the format of LensKit's tuner and the LensKit Codex.

The format is that of ``lenskit.tuning.spec`` and ``lenskit.pipeline.config`` (LensKit 2025.8 to
2026.3): ``[search]``, ``[space.COMPONENT]`` and a ``[pipeline]`` given inline or by file. It is
rewritten here into our own sections; what has no counterpart is noted, not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recsearch.space.words import quote
from recsearch.spec.lenskit_tables import search_section, space_section
from recsearch.spec.problem import Origin

PIPELINE_KEYS = ("meta", "options", "components")
"""What of a pipeline is read. Its wiring (``inputs``, ``aliases``, …) is noted."""

ANEW = "the pipeline is built anew around the searched model"


def is_lenskit(document: Mapping[str, Any]) -> bool:
    """Whether a document is in LensKit's format: it has a pipeline where ours has a model."""
    return "pipeline" in document and "model" not in document


def search_name(search: str | Path) -> str:
    """What a search, given by path or name, is called in the names of its runs.

    That is its file's name, or the folder's where it is a model folder of the LensKit Codex: all
    of them hold a ``search.toml`` beside its ``pipeline.toml``.
    """
    path = Path(search)
    return _model_folder(path) or path.stem


def _model_folder(path: Path) -> str | None:
    if path.name != "search.toml" or not path.with_name("pipeline.toml").is_file():
        return None
    return path.parent.resolve().name or None


def from_lenskit(
    document: Mapping[str, Any], path: Path, read: Callable[[Path], dict[str, Any]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Rewrite a LensKit search file into our sections.

    Args:
        document: its tables.
        path: where it is; a pipeline file is looked up beside it.
        read: reads a TOML or JSON file.

    Returns:
        Our sections, and what of the file has no effect, one line each.

    Raises:
        SpecError: a key is unknown, or the pipeline lacks the searched component.
    """
    origin = Origin(path.name)
    notes: list[str] = []
    for key in document:
        if key not in ("search", "space", "pipeline"):
            raise origin.unknown(key, ("search", "space", "pipeline"))
    pipeline, where = _pipeline(document["pipeline"], path, read, origin)
    component, space = _component(document.get("space"), origin)
    model = _model(pipeline, component, where, notes)
    search = search_section(document.get("search", {}), model, origin, notes)
    rewritten = {
        "title": _title(pipeline, path, where, notes),
        "model": model,
        "search": search,
        "space": space_section(space, f"space.{component}", origin, notes),
    }
    return rewritten, tuple(notes)


def _title(pipeline: dict[str, Any], path: Path, where: Origin, notes: list[str]) -> str:
    """The pipeline's name; in a model folder the folder's, as the Codex itself has it.

    Its pipelines were copied from each other, some with the name they had there: that of
    ``uknn-implicit`` says ``uknn-explicit``.
    """
    name = _table(pipeline, "meta", where).get("name")
    folder = _model_folder(path) if where.file == "pipeline.toml" else None
    if name is not None and not isinstance(name, str):
        raise where.error("meta.name", f"{quote(name)} does not fit", "a string")
    if folder and name and name != folder:
        notes.append(f"meta.name: {quote(name)}, but a model folder is named by itself: {folder}")
    return folder or name or path.parent.name or path.stem


def _pipeline(
    table: Any, path: Path, read: Callable[[Path], dict[str, Any]], origin: Origin
) -> tuple[dict[str, Any], Origin]:
    if not isinstance(table, dict):
        raise origin.error("pipeline", f"{quote(table)} is not a table", "a table [pipeline]")
    if "file" not in table:
        return table, origin
    for key in table:
        if key != "file":
            raise origin.error(f"pipeline.{key}", "stands beside pipeline.file", "only one of both")
    name = table["file"]
    if not isinstance(name, str) or Path(name).suffix not in (".toml", ".json"):
        raise origin.error("pipeline.file", f"{quote(name)} does not fit", "a .toml or .json file")
    file = path.parent / name
    if not file.is_file():
        raise origin.error("pipeline.file", f"there is no {file}", "a pipeline beside the search")
    return read(file), Origin(file.name)


def _component(space: Any, origin: Origin) -> tuple[str, dict[str, Any]]:
    if not isinstance(space, dict) or len(space) != 1:
        names = ", ".join(space) if isinstance(space, dict) and space else "none"
        raise origin.error(
            "space", f"holds the components {names}", "exactly one, such as [space.scorer]"
        )
    component, parameters = next(iter(space.items()))
    if not isinstance(parameters, dict):
        raise origin.error(f"space.{component}", "is not a table", f"a table [space.{component}]")
    return component, parameters


def _model(
    pipeline: dict[str, Any], component: str, where: Origin, notes: list[str]
) -> dict[str, Any]:
    components = _table(pipeline, "components", where)
    entry, key = components.get(component), f"components.{component}"
    if not isinstance(entry, dict):
        names = ", ".join(components) or "none"
        raise where.error(key, "is missing", f"the searched component; there is {names}")
    code = entry.get("class", entry.get("code"))
    if not isinstance(code, str) or not code:
        raise where.error(f"{key}.class", f"{quote(code)} does not fit", "a class path")
    config = _table(entry, "config", where, f"{key}.")
    fixed = {name: value for name, value in config.items() if name != "epochs"}
    if "epochs" in config:
        notes.append(f"{key}.config.epochs: search.max_epochs and the stop rule decide")
    notes.extend(f"components.{other}: {ANEW}" for other in components if other != component)
    notes.extend(f"{other}: {ANEW}" for other in pipeline if other not in PIPELINE_KEYS)
    model: dict[str, Any] = {"class": _class_path(code), "config": fixed}
    options = _table(pipeline, "options", where)
    notes.extend(f"options.{other}: {ANEW}" for other in options if other != "base")
    if "base" in options:
        model["predicts_ratings"] = _predicts(options["base"], fixed, notes)
    return model


def _predicts(base: Any, config: dict[str, Any], notes: list[str]) -> bool:
    """Whether the searched model predicts ratings, by the pipeline around it.

    A pipeline for ratings may surround a model of implicit feedback, as ``iknn-implicit`` of the
    Codex did in 2025: its fallback predicts them then.
    """
    if base != "std:topn-predict":
        return False
    if config.get("feedback") == "implicit":
        notes.append("options.base: the ratings are predicted by the fallback alone, not the model")
        return False
    return True


def _table(parent: dict[str, Any], key: str, where: Origin, prefix: str = "") -> dict[str, Any]:
    """A table that may be missing."""
    table = parent.get(key)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise where.error(f"{prefix}{key}", f"{quote(table)} is not a table", "a table")
    return table


def _class_path(code: str) -> str:
    """``module:Class``, also from LensKit's older ``module.Class``.

    Pipelines that LensKit saved name the module in which a class is defined
    (``lenskit.als._explicit:BiasedMFScorer``); it is exported by the package above.
    """
    if ":" not in code and "." in code:
        module, _, name = code.rpartition(".")
        code = f"{module}:{name}"
    module, _, name = code.partition(":")
    package = module.split(".")
    return f"{'.'.join(package[:2])}:{name}" if package[0] == "lenskit" and name else code

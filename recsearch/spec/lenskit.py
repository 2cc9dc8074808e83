"""Search files in the format of LensKit's tuner and the LensKit Codex.

The format is that of ``lenskit.tuning.spec`` and ``lenskit.pipeline.config`` (LensKit 2025.8 to
2026.3): ``[search]``, ``[space.COMPONENT]`` and a ``[pipeline]`` given inline or by file. It is
rewritten here into our own sections; what has no counterpart is noted, not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recsearch.errors import UsageError
from recsearch.space.words import quote
from recsearch.spec.problem import Origin

METHODS = {"hyperopt": "tpe", "optuna": "tpe", "tpe": "tpe", "random": "random"}
DEFAULT_POINTS = 60
DEFAULT_MAX_EPOCHS = 100
DEFAULT_MIN_EPOCHS = 3

KNOWN_KEYS = (
    "method", "max_points", "default_points", "max_epochs", "min_epochs", "metric", "list_length",
    "num_cpus", "num_gpus", "checkpoint_iters", "error_action",
)  # fmt: skip

WITHOUT_EFFECT = {
    "num_cpus": "the number of workers is an option of the command",
    "num_gpus": "models train on the CPU",
    "checkpoint_iters": "every epoch is stored",
    "error_action": "a failing trial never ends the others",
}
"""Keys of ``[search]`` that are accepted and ignored, and why."""


def is_lenskit(document: Mapping[str, Any]) -> bool:
    """Whether a document is in LensKit's format: it has a pipeline where ours has a model."""
    return "pipeline" in document and "model" not in document


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
    title, model = _model(pipeline, component, where, notes)
    search = _search(document.get("search", {}), model, origin, notes)
    rewritten = {
        "title": title or path.parent.name or path.stem,
        "model": model,
        "search": search,
        "space": _space(space, f"space.{component}", origin, notes),
    }
    return rewritten, tuple(notes)


def _pipeline(
    table: Any, path: Path, read: Callable[[Path], dict[str, Any]], origin: Origin
) -> tuple[dict[str, Any], Origin]:
    if not isinstance(table, dict):
        raise origin.error("pipeline", f"{quote(table)} is not a table", "a table [pipeline]")
    if "file" not in table:
        return table, origin
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
) -> tuple[str | None, dict[str, Any]]:
    components = pipeline.get("components")
    entry = components.get(component) if isinstance(components, dict) else None
    key = f"components.{component}"
    if not isinstance(entry, dict):
        names = ", ".join(components) if isinstance(components, dict) else "none"
        raise where.error(key, "is missing", f"the searched component; there is {names}")
    code = entry.get("class", entry.get("code"))
    if not isinstance(code, str) or not code:
        raise where.error(f"{key}.class", f"{quote(code)} does not fit", "a class path")
    config = entry.get("config") or {}
    if not isinstance(config, dict):
        raise where.error(f"{key}.config", f"{quote(config)} is not a table", "a table")
    fixed = {name: value for name, value in config.items() if name != "epochs"}
    if "epochs" in config:
        notes.append(f"{key}.config.epochs: search.max_epochs and the stop rule decide")
    notes.extend(
        f"components.{other}: the pipeline is built anew around the searched model"
        for other in components or ()
        if other != component
    )
    meta, options = pipeline.get("meta") or {}, pipeline.get("options") or {}
    model = {"class": _class_path(code), "config": fixed}
    if "base" in options:
        model["predicts_ratings"] = options["base"] == "std:topn-predict"
    return meta.get("name"), model


def _class_path(code: str) -> str:
    """``module:Class``, also from LensKit's older ``module.Class``."""
    if ":" in code or "." not in code:
        return code
    module, _, name = code.rpartition(".")
    return f"{module}:{name}"


def _search(table: Any, model: dict[str, Any], origin: Origin, notes: list[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise origin.error("search", f"{quote(table)} is not a table", "a table [search]")
    for key in table:
        if key not in KNOWN_KEYS:
            raise origin.unknown(f"search.{key}", KNOWN_KEYS)
    notes.extend(f"search.{key}: {why}" for key, why in WITHOUT_EFFECT.items() if key in table)
    limit = _integer(table, "max_points", None, origin)
    points = _integer(table, "default_points", DEFAULT_POINTS, origin)
    return {
        "metric": _metric(table, model, origin, notes),
        "method": _method(table, origin),
        "trials": points if limit is None else min(points or limit, limit),
        "max_epochs": _integer(table, "max_epochs", DEFAULT_MAX_EPOCHS, origin),
        "scheduler": "median",
        "stop": {
            "rule": "plateau",
            "patience": 3,
            "min_improvement": 0.005,
            "grace": _integer(table, "min_epochs", DEFAULT_MIN_EPOCHS, origin),
        },
    }


def _integer(table: dict[str, Any], key: str, default: int | None, origin: Origin) -> int | None:
    value = table.get(key, default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise origin.error(f"search.{key}", f"{quote(value)} does not fit", "an integer of 1 or more")


def _method(table: dict[str, Any], origin: Origin) -> str:
    method = table.get("method", "hyperopt")
    if not isinstance(method, str) or method not in METHODS:
        raise origin.unknown_value("search.method", method, METHODS)
    return METHODS[method]


def _metric(table: dict[str, Any], model: dict[str, Any], origin: Origin, notes: list[str]) -> Any:
    metric, length = table.get("metric"), _integer(table, "list_length", None, origin)
    if metric is None:
        metric = "RMSE" if model.get("predicts_ratings") else "RBP"
        notes.append(f"search.metric: not given, so {metric}")
    if length is None or not isinstance(metric, str):
        return metric
    cut = f"{metric}@{length}"
    if _is_metric(cut):
        return cut
    notes.append(f"search.list_length: {metric} has no cut-off")
    return metric


def _is_metric(name: str) -> bool:
    from recsearch.evaluation import parse

    try:
        parse(name)
    except UsageError:
        return False
    return True


def _space(tables: dict[str, Any], prefix: str, origin: Origin, notes: list[str]) -> dict[str, Any]:
    """Nested parameter tables in our form, in the order of the file."""
    result: dict[str, Any] = {}
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise origin.error(f"{prefix}.{key}", f"{quote(table)} is not a table", "a parameter")
        if not isinstance(table.get("type"), str):
            result[key] = _space(table, f"{prefix}.{key}", origin, notes)
            continue
        if "base" in table:
            notes.append(f"{prefix}.{key}.base: the base of a logarithm changes no distribution")
        name, ours = _parameter(key, {k: v for k, v in table.items() if k != "base"})
        result[name] = ours
    return result


def _parameter(key: str, table: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """LensKit reads ``embedding_size_exp = e`` as ``embedding_size = 2 ** e``."""
    exponents = [table.get("min"), table.get("max")]
    bounds = [2**e for e in exponents if isinstance(e, int) and 0 <= e < 32]
    if key != "embedding_size_exp" or len(bounds) != len(exponents):
        return key, table
    low, high = bounds
    return "embedding_size", {**table, "min": low, "max": high, "scale": "pow2"}

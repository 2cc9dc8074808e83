"""``[search]`` and ``[space.COMPONENT]`` of LensKit's tuner, rewritten into our sections."""

from __future__ import annotations

from typing import Any

from recsearch.errors import UsageError
from recsearch.space.words import nearest, quote
from recsearch.spec.problem import Origin

METHODS = {"hyperopt": "tpe", "optuna": "tpe", "tpe": "tpe", "random": "random"}
DEFAULT_POINTS = 60
DEFAULT_MAX_EPOCHS = 100
DEFAULT_MIN_EPOCHS = 3

KNOWN_KEYS = (
    "method", "max_points", "default_points", "max_epochs", "min_epochs", "metric", "list_length",
    "median_min_trials", "plateau_check_iters", "plateau_min_rel_improvement",
    "num_cpus", "num_gpus", "checkpoint_iters", "error_action",
)  # fmt: skip

WITHOUT_EFFECT = {
    "num_cpus": "the number of workers is an option of the command",
    "num_gpus": "the device is an option of the command",
    "checkpoint_iters": "every epoch is stored",
    "error_action": "a failing trial never ends the others",
}
"""Keys of ``[search]`` that are accepted and ignored, and why."""

UNUSED = {"bool": ("min", "max", "scale", "choices"), "choice": ("min", "max", "scale"),
          "int": ("choices",), "float": ("choices",)}  # fmt: skip
"""Keys that LensKit allows in every parameter, by the type for which they mean nothing."""

MAX_EXPONENT = 31


def search_section(
    table: Any, model: dict[str, Any], origin: Origin, notes: list[str]
) -> dict[str, Any]:
    """Our ``[search]``.

    Args:
        table: LensKit's.
        model: our ``[model]``; whether it predicts ratings decides where no metric is named.
        origin: for errors.
        notes: receives a line for every key without effect.

    Raises:
        SpecError: a key looks misspelt, or a value does not fit.
    """
    if not isinstance(table, dict):
        raise origin.error("search", f"{quote(table)} is not a table", "a table [search]")
    for key in table:
        _check_known(key, origin, notes)
    notes.extend(f"search.{key}: {why}" for key, why in WITHOUT_EFFECT.items() if key in table)
    limit = _integer(table, "max_points", None, origin)
    points = _integer(table, "default_points", DEFAULT_POINTS, origin)
    peers = _integer(table, "median_min_trials", None, origin)
    return {
        "metric": _metric(table, model, origin, notes),
        "method": _method(table, origin),
        "trials": points if limit is None else min(points or limit, limit),
        "max_epochs": _integer(table, "max_epochs", DEFAULT_MAX_EPOCHS, origin),
        "scheduler": "median",
        **({} if peers is None else {"scheduler_options": {"min_peers": peers}}),
        "stop": {
            "rule": "plateau",
            "patience": _integer(table, "plateau_check_iters", 3, origin),
            "min_improvement": _fraction(table, "plateau_min_rel_improvement", 0.005, origin),
            "grace": _integer(table, "min_epochs", DEFAULT_MIN_EPOCHS, origin),
        },
    }


def _check_known(key: str, origin: Origin, notes: list[str]) -> None:
    """LensKit ignores keys that it does not know, which hides misspelt ones."""
    if key in KNOWN_KEYS:
        return
    if nearest(key, KNOWN_KEYS):
        raise origin.unknown(f"search.{key}", KNOWN_KEYS)
    notes.append(f"search.{key}: LensKit has no such key and ignores it, too")


def _integer(table: dict[str, Any], key: str, default: int | None, origin: Origin) -> int | None:
    value = table.get(key, default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise origin.error(f"search.{key}", f"{quote(value)} does not fit", "an integer of 1 or more")


def _fraction(table: dict[str, Any], key: str, default: float, origin: Origin) -> float:
    value = table.get(key, default)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    raise origin.error(
        f"search.{key}", f"{quote(value)} does not fit", "a number from 0 to below 1"
    )


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


def space_section(
    tables: dict[str, Any], prefix: str, origin: Origin, notes: list[str]
) -> dict[str, Any]:
    """Nested parameter tables in our form, in the order of the file.

    Args:
        tables: those of the searched component.
        prefix: where they are, for errors and notes.
        origin: for errors.
        notes: receives a line for everything that changes nothing.

    Raises:
        SpecError: something is neither a parameter nor a group of them, or out of range.
    """
    result: dict[str, Any] = {}
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise origin.error(f"{prefix}.{key}", f"{quote(table)} is not a table", "a parameter")
        if not isinstance(table.get("type"), str):
            result[key] = space_section(table, f"{prefix}.{key}", origin, notes)
            continue
        kept = _effective(table, f"{prefix}.{key}", notes)
        name, ours = _parameter(key, kept, f"{prefix}.{key}", origin, notes)
        result[name] = ours
    return result


def _effective(table: dict[str, Any], key: str, notes: list[str]) -> dict[str, Any]:
    """A parameter without what has no effect in LensKit or here."""
    if "base" in table:
        notes.append(f"{key}.base: the base of a logarithm changes no distribution")
    unused = [name for name in UNUSED.get(table["type"], ()) if name in table]
    notes.extend(f"{key}.{name}: a {table['type']} has none" for name in unused)
    return {name: value for name, value in table.items() if name not in ("base", *unused)}


def _parameter(
    key: str, table: dict[str, Any], where: str, origin: Origin, notes: list[str]
) -> tuple[str, dict[str, Any]]:
    """LensKit reads ``embedding_size_exp = e`` as ``embedding_size = 2 ** e``."""
    if key != "embedding_size_exp":
        return key, table
    bounds = {}
    for bound in ("min", "max"):
        exponent = table.get(bound)
        if type(exponent) is not int or not 0 <= exponent <= MAX_EXPONENT:
            expected = f"an exponent of two, from 0 to {MAX_EXPONENT}"
            raise origin.error(f"{where}.{bound}", f"{quote(exponent)} does not fit", expected)
        bounds[bound] = 2**exponent
    if table.get("scale", "uniform") != "uniform":
        notes.append(f"{where}.scale: all powers of two are equally likely")
    return "embedding_size", {**table, **bounds, "scale": "pow2"}

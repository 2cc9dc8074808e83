"""What the measured models add up to: ``final.json``, ``results.csv`` and ``per-user.parquet``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.errors import RecsearchError
from recsearch.evaluation import parse
from recsearch.files import replace_file, write_atomic
from recsearch.final.phases import read_result
from recsearch.final.plan import Unit
from recsearch.prediction import write_parquet
from recsearch.run import RunView

FORMAT = 1
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Spread:
    """A metric over test parts and seeds.

    Attributes:
        mean: over all of them.
        std_parts: sample standard deviation over parts of the means over seeds; None for one part.
        std_seeds: over seeds of the means over parts; None for one seed.
        n: number of models.
    """

    mean: float | None
    std_parts: float | None
    std_seeds: float | None
    n: int


@dataclass(frozen=True)
class Final:
    """Everything that `recsearch final` found out, as ``final.json`` has it.

    Attributes:
        path: of ``final.json``.
        document: its content.
    """

    path: Path
    document: dict[str, Any]

    def spread(self, config: str, metric: str) -> Spread:
        """A metric of ``best``, ``default`` or a baseline."""
        return Spread(**self.document["results"][config]["metrics"][metric])

    @property
    def configs(self) -> list[str]:
        """What was measured, the best configuration first."""
        return list(self.document["results"])

    def gain(self, over: str) -> float | None:
        """By how much the best beats ``over`` in the objective, positive for better."""
        name, results = self.document["objective"], self.document["results"]
        if over not in results or name not in results[over]["metrics"]:
            return None
        one, other = self.spread("best", name).mean, self.spread(over, name).mean
        if one is None or other is None:
            return None
        return other - one if parse(name).direction == "min" else one - other


def final_path(root: Path) -> Path:
    """Where the results of a run are."""
    return root / "final" / "final.json"


def read_final(root: Path) -> Final | None:
    """The results of the run in a folder, None where there are none.

    Raises:
        RecsearchError: ``final.json`` is unreadable or of another format.
    """
    path = final_path(root)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}, not {FORMAT}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise RecsearchError(
            f"{path}: not readable results: {err}.",
            hint=f"Write it anew from what has been measured: recsearch final {root}",
        ) from err
    return Final(path, document)


def summarise(
    view: RunView, units: Sequence[Unit], baselines: Callable[[], Mapping[str, Rows]]
) -> Final:
    """Add up the results of ``units``.

    Args:
        view: the run.
        units: models, all of them measured.
        baselines: measures the baselines; asked only where ``final.json`` has not got them for
            these parts.
    """
    path = final_path(view.path)
    parts = sorted({unit.part for unit in units})
    results: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(unit.candidate.name for unit in units):
        own = [unit for unit in units if unit.candidate.name == name]
        rows = [_row(unit) for unit in own]
        results[name] = {
            **_described(own[0]),
            "metrics": _spreads(rows, own[0].metrics),
            "models": rows,
        }
    for name, rows in _known_or(baselines, path, parts).items():
        names = list(rows[0]["metrics"]) if rows else []
        results[name] = {
            "config": view.baselines[name]["config"],
            "validation": view.baselines[name]["metrics"],
            "metrics": _spreads([{**row, "seed": None} for row in rows], names),
            "models": rows,
        }
    document = {
        "format": FORMAT,
        "run": view.name,
        "run_id": view.identity["run_id"],
        "objective": view.objective.name,
        "direction": view.objective.direction,
        "dataset_id": view.identity["dataset"]["dataset_id"],
        "parts": parts,
        "seeds": sorted({unit.seed for unit in units}),
        "results": results,
    }
    return Final(path, document)


def write_results(final: Final, units: Sequence[Unit]) -> None:
    """Write ``results.csv``, ``per-user.parquet`` and, last, ``final.json``.

    Raises:
        RecsearchError: one of them cannot be written.
    """
    folder = final.path.parent
    replace_file(folder / "results.csv", lambda file: file.write(_csv(final).encode()))
    write_parquet(folder / "per-user.parquet", per_user_table(units))
    write_atomic(final.path, final.document)


def per_user_table(units: Sequence[Unit]) -> Any:
    """Columns ``config, part, seed, user_id`` and one per metric, a row for each test user."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for unit in units:
        table = pq.read_table(unit.users)
        heads = {"config": unit.candidate.name, "part": unit.part, "seed": unit.seed}
        for at, (name, value) in enumerate(heads.items()):
            table = table.add_column(at, name, pa.array([value] * len(table)))
        tables.append(table)
    return pa.concat_tables(tables)


def _row(unit: Unit) -> dict[str, Any]:
    found = read_result(unit)
    names = ("part", "seed", "epochs", "key", "split_id", "users", "metrics")
    return {name: found[name] for name in names}


def _described(unit: Unit) -> dict[str, Any]:
    told = asdict(unit.candidate)
    return {name: told[name] for name in ("config", "trial", "epochs", "validation")}


def _spreads(rows: Rows, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {name: asdict(_spread(rows, name)) for name in metrics}


def _spread(rows: Rows, metric: str) -> Spread:
    values = {(row["part"], row["seed"]): row["metrics"].get(metric) for row in rows}
    if not values or any(value is None for value in values.values()):
        return Spread(None, None, None, len(values))
    by_part, by_seed = (
        [
            float(np.mean([v for k, v in values.items() if k[at] == each]))
            for each in dict.fromkeys(k[at] for k in values)
        ]
        for at in (0, 1)
    )
    mean = float(np.mean(list(values.values())))
    return Spread(mean, _std(by_part), _std(by_seed), len(values))


def _std(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    found = float(np.std(values, ddof=1))
    return found if math.isfinite(found) else None


def _known_or(
    measure: Callable[[], Mapping[str, Rows]], path: Path, parts: Sequence[int]
) -> Mapping[str, Rows]:
    """The baselines of an earlier ``final.json`` where it has these parts, else measured."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["results"]
        found = {name: known[name]["models"] for name in ("bias", "popular") if name in known}
        if found and all([row["part"] for row in rows] == parts for rows in found.values()):
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return measure()


def _csv(final: Final) -> str:
    """A row for each model and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("config", "part", "seed", "metric", "value"))
    for config, result in final.document["results"].items():
        for row in result["models"]:
            for metric, value in row["metrics"].items():
                writer.writerow((config, row["part"], row.get("seed", ""), metric, value))
    return text.getvalue()

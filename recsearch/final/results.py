"""What the measured models add up to: ``final.json``, ``results.csv`` and ``per-user.parquet``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from recsearch.errors import RecsearchError
from recsearch.files import replace_file, write_atomic
from recsearch.final.outcome import FORMAT, Final, Spread, final_path
from recsearch.final.phases import read_result
from recsearch.final.plan import Unit
from recsearch.prediction import write_parquet
from recsearch.run import RunView

Rows = list[dict[str, Any]]


def summarise(view: RunView, units: Sequence[Unit], baselines: Mapping[str, Rows]) -> Final:
    """Add up the results of ``units``.

    Args:
        view: the run.
        units: models, all of them measured.
        baselines: a row for each part by name; see `measure_baselines`.
    """
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
    for name, rows in baselines.items():
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
    return Final(final_path(view.path), document)


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
    if found is None:
        raise RecsearchError(
            f"{unit.result}: was there a moment ago, and is not any more.",
            hint="Type the same command again.",
        )
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
    return float(np.std(values, ddof=1))


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

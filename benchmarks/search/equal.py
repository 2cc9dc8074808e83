"""Part ``equal``: the same configurations through LensKit's tuner and through ours.

The same split, number of epochs and initial factors; the sides take turns, so that what else the
machine does falls on both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.best_so_far import journal_rows
from benchmarks.search.configurations import chunks, configurations
from benchmarks.search.float64 import float64_curve
from benchmarks.search.lenskit_files import tuning_spec, write_inputs
from benchmarks.search.processes import python, run
from benchmarks.search.results import Part, Settings
from recsearch.data import Split, load_dataset, load_split
from recsearch.journal import read_events

TOLERANCE = 1e-4
NEVER = 10_000
"""Epochs before LensKit's rules may end a trial: more than any has."""

Curve = list[float | None]


def measure(settings: Settings, part: Part, folder: Path) -> None:
    """Run all chunks on both sides, then whatever float64 has to decide."""
    points = configurations(settings.configs, settings.largest)
    split = load_split(load_dataset(settings.data))
    curves: list[tuple[Curve, Curve]] = []
    for number, chunk in enumerate(chunks(points, settings.chunks), start=1):
        place = folder / f"chunk{number}"
        ours = part.once(f"ours {number}", lambda c=chunk, p=place: _ours(settings, c, p))
        theirs = part.once(
            f"lenskit {number}", lambda c=chunk, p=place: _lenskit(split, settings, c, p)
        )
        curves += zip(ours["curves"], theirs["curves"], strict=True)
    rows = compare(points, curves)
    for row in rows:
        if row["difference"] is None or row["difference"] > TOLERANCE:
            n = row["trial"] - 1
            exact = part.once(
                f"float64 {n + 1}", lambda n=n: float64_curve(split, points[n], settings.epochs)
            )
            row["ours_from_float64"], row["lenskit_from_float64"] = (
                largest_difference(side, exact) for side in curves[n]
            )
    part.once("configurations", lambda: rows)


def _ours(settings: Settings, points: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    place = folder / "ours"
    job = {"data": settings.data, "epochs": settings.epochs}
    usage = run(python("benchmarks.search.given", _job(place, points, **job)), place)
    curves: list[Curve] = [[] for _ in points]
    for row in journal_rows(read_events(place / "run" / "journal.ndjson")):
        curves[row.trial - 1].append(_finite(row.value))
    return {**usage.figures, "curves": curves}


def _lenskit(
    split: Split, settings: Settings, points: list[dict[str, Any]], folder: Path
) -> dict[str, Any]:
    place = folder / "lenskit"
    job = _job(place, points)
    # LensKit 2025.8.1 trains one epoch more than max_epochs.
    last = settings.epochs - 1
    spec = tuning_spec({}, points=1, max_epochs=last, min_epochs=NEVER)
    write_inputs(split, spec, place, settings.lenskit_seed)
    usage = run(python("benchmarks.search.lenskit_given", job), place)
    curves = json.loads((place / "curves.json").read_text(encoding="utf-8"))
    return {
        **usage.figures,
        "curves": [[_finite(v) for v in curves[str(n)]] for n in range(len(points))],
    }


def _job(folder: Path, points: list[dict[str, Any]], **more: Any) -> Path:
    folder.mkdir(parents=True)
    path = folder / "job.json"
    path.write_text(json.dumps({"points": points, "folder": str(folder), **more}))
    return path


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def largest_difference(one: Sequence[float | None], other: Sequence[float | None]) -> float | None:
    """Largest difference per epoch; None where one side lacks an epoch or is not finite in it.

    Epochs in which both have diverged do not count; None where there are no others.
    """
    if len(one) != len(other):
        return None
    pairs = [pair for pair in zip(one, other, strict=True) if pair != (None, None)]
    if any(a is None or b is None for a, b in pairs):
        return None
    return max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=None)


def compare(
    points: Sequence[Mapping[str, Any]], curves: Sequence[tuple[Curve, Curve]]
) -> list[dict[str, Any]]:
    """One row for each configuration."""
    return [
        {
            "trial": number,
            "size": point["embedding_size"],
            "regularization": point["regularization"],
            "epochs": [len(ours), len(theirs)],
            "last_ours": ours[-1] if ours else None,
            "last_lenskit": theirs[-1] if theirs else None,
            "difference": largest_difference(ours, theirs),
        }
        for number, (point, (ours, theirs)) in enumerate(zip(points, curves, strict=True), start=1)
    ]


def totals(steps: Mapping[str, Any], side: str) -> dict[str, float]:
    """Sums of wall and CPU seconds over the chunks of a side, and the largest peak of memory."""
    found = [step for name, step in steps.items() if name.startswith(f"{side} ")]
    return {
        "wall_s": sum(step["wall_s"] for step in found),
        "cpu_s": sum(step["cpu_s"] for step in found),
        "peak_mb": max((step["peak_mb"] for step in found), default=0.0),
    }

"""Our searches as a user runs them: by command, in an empty store and run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.best_so_far import best_so_far, journal_rows, seconds
from benchmarks.search.processes import Usage, python, run
from recsearch.journal import read_events

FINISHED_WITH_ERRORS = 5


def command(
    data: str,
    folder: Path,
    *,
    trials: int,
    seed: int = 42,
    workers: int | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """``recsearch search als DATA`` with run and store below ``folder``."""
    words = ["search", "als", data, "--run", folder / "run", "--store", folder / "store"]
    words += ["--trials", str(trials), "--seed", str(seed), "--no-report", "--quiet", *options]
    if workers is not None:
        words += ["--workers", str(workers)]
    return python("recsearch", *words)


def search(data: str, folder: Path, **how: Any) -> dict[str, Any]:
    """Run a search; what it took and what it found, see :func:`summary`."""
    accepted = (0, FINISHED_WITH_ERRORS)
    usage = run(command(data, folder, **how), folder, accepted=accepted)
    return summary(read_events(folder / "run" / "journal.ndjson"), usage)


def summary(events: Sequence[Mapping[str, Any]], usage: Usage) -> dict[str, Any]:
    """Figures of a search from its journal.

    Returns:
        Seconds count from the moment the command was started; ``searching_s`` is from the first
        suggestion to the last event about a trial. ``best_so_far`` holds every improvement.
    """
    rows = journal_rows(events)
    steps = best_so_far(rows, usage.began)
    about = [seconds(event["time"]) for event in events if "trial" in event]
    bias = next((e["metrics"]["RMSE"] for e in events if _is_bias(e)), None)
    best = steps[-1][1] if steps else None
    return {
        **usage.figures,
        "trials": _count(events, "suggested"),
        "pruned": _count(events, "pruned"),
        "errors": _count(events, "error"),
        "epochs": len(rows),
        "first_epoch_s": round(min(row.time for row in rows) - usage.began, 3) if rows else None,
        "searching_s": round(max(about) - min(about), 3) if about else None,
        "train_s": round(sum(e.get("train_s", 0.0) for e in events if e["event"] == "epoch"), 3),
        "eval_s": round(sum(e.get("eval_s", 0.0) for e in events if e["event"] == "epoch"), 3),
        "best": best,
        "bias": bias,
        "gain": None if best is None or bias is None else bias - best,
        "best_so_far": steps,
    }


def _count(events: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(event["event"] == name for event in events)


def _is_bias(event: Mapping[str, Any]) -> bool:
    return bool(event["event"] == "baseline" and event["name"] == "bias")

"""What commands after a search found out about its best, kept in the run folder for the page.

Each file is derived: deleted, it is found out again by the same command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsearch.epochs import EpochRow, TrialView
from recsearch.files import write_atomic
from recsearch.run_paths import RunPaths

GAINS_FORMAT = 1


def best_place(trial: TrialView, row: EpochRow) -> dict[str, Any]:
    """How a document names the best that it is about; after another best it is out of date."""
    return {"trial": trial.number, "epoch": row.epoch, "key": trial.key}


def keep_gains(root: Path, document: Mapping[str, Any]) -> None:
    """Keep what `recsearch.gains.measure_gains` found.

    Raises:
        RecsearchError: the file cannot be written.
    """
    write_atomic(RunPaths(root).gains, {"format": GAINS_FORMAT, **document})


def read_gains(root: Path) -> dict[str, Any] | None:
    """What `keep_gains` kept; None where there is nothing that can be read."""
    found = _read(RunPaths(root).gains)
    return found if found.get("format") == GAINS_FORMAT else None


def keep_verification(root: Path, key: str, epochs: int, entry: Mapping[str, Any]) -> None:
    """Keep what verifying one configuration of a run came to; that of others stays.

    Args:
        root: the run folder.
        key: trial key of the configuration.
        epochs: for how many it was trained.
        entry: ``passed`` and ``time``; ``difference`` and ``bit_equal``, or ``message``.

    Raises:
        RecsearchError: the file cannot be written.
    """
    paths = RunPaths(root)
    write_atomic(paths.verification, {**_read(paths.verification), f"{key}:{epochs}": dict(entry)})


def read_verification(root: Path, key: str, epochs: int) -> dict[str, Any] | None:
    """What `keep_verification` kept of one configuration; None where it is not known."""
    found = _read(RunPaths(root).verification).get(f"{key}:{epochs}")
    return found if isinstance(found, dict) else None


def any_verification(root: Path) -> bool:
    """Whether any configuration of the run was ever verified, or failed to be."""
    return bool(_read(RunPaths(root).verification))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

"""Results of `recsearch compare` as files that pages can show, and whether they are still true.

A comparison lies in ``comparisons/`` of the run whose name comes first, one file for each set of
runs and each kind: ``validation`` or ``test``. It names what was measured of every run, so that one
measured before a run found a better epoch is recognised. Derived: it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from recsearch.comparison import LEVEL, RESAMPLES, Comparison, Sample
from recsearch.errors import RecsearchError
from recsearch.files import write_atomic
from recsearch.final.outcome import read_final
from recsearch.identity import digest
from recsearch.journal import now
from recsearch.run import RunView
from recsearch.run_paths import RunPaths

FORMAT = 1
KINDS = ("validation", "test")


@dataclass(frozen=True)
class Stored:
    """One stored comparison.

    Attributes:
        path: its file.
        kind: what was compared: the best epochs on the ``validation`` part, or the results of
            `recsearch final` on the ``test`` parts.
        time: when it was measured.
        runs: folder name to what was measured of it: ``run_id``, ``name`` (as the rows call it),
            ``stamp``, and ``trial`` and ``epoch`` where it was one.
        rows: the comparisons.
    """

    path: Path
    kind: str
    time: str
    runs: Mapping[str, Mapping[str, Any]]
    rows: tuple[Comparison, ...]

    def matches(self, views: Mapping[str, RunView]) -> bool:
        """Whether all its runs are among ``views``, which are by folder name."""
        return all(
            name in views and views[name].identity.get("run_id") == run["run_id"]
            for name, run in self.runs.items()
        )

    def outdated(self, views: Mapping[str, RunView]) -> list[str]:
        """Names of the runs of which something else would be measured now."""
        return [
            name
            for name, run in self.runs.items()
            if run["stamp"] != _stamp(views[name], self.kind)
        ]


def measured_now(view: RunView, kind: str) -> dict[str, Any]:
    """What a comparison made now would measure of a run; nothing where there is nothing yet.

    Raises:
        RecsearchError: the test results are unreadable.
    """
    if kind == "test":
        final = read_final(view.path)
        return {} if final is None else {"stamp": digest(final.document)}
    best = view.best()
    if best is None:
        return {}
    trial, row = best
    # A key binds data, split, model, configuration, seed and code.
    stamp = digest([list(trial.fold_keys), row.epoch])
    return {"stamp": stamp, "trial": trial.number, "epoch": row.epoch}


def save_comparison(
    roots: Sequence[Path],
    kind: str,
    samples: Sequence[Sample],
    rows: Sequence[Comparison],
) -> Path:
    """Write a comparison beside the first of its runs; one of the same runs is replaced.

    Args:
        roots: the run folders, in the order of ``samples``.
        kind: one of `KINDS`.
        samples: what was compared, each with what was measured.
        rows: what came out.

    Raises:
        RecsearchError: the folder cannot be written.
    """
    folders = [root.resolve() for root in roots]
    runs = {
        folder.name: {"run_id": _run_id(folder), "name": sample.name, **sample.measured}
        for folder, sample in zip(folders, samples, strict=True)
    }
    first = min(folders, key=lambda folder: folder.name)
    path = RunPaths(first).comparisons / file_name(kind, list(runs))
    document = {
        "format": FORMAT,
        "kind": kind,
        "time": now(),
        "level": LEVEL,
        "resamples": RESAMPLES,
        "runs": runs,
        "rows": [{name: _encode(value) for name, value in asdict(row).items()} for row in rows],
    }
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as err:
        raise RecsearchError(f"{path.parent}: cannot be made: {err.strerror}.") from err
    write_atomic(path, document)
    return path


def file_name(kind: str, folders: Sequence[str]) -> str:
    """Name of the file of a comparison of these run folders, in whichever order they are given."""
    return f"{kind}-{digest(sorted(folders))[:16]}.json"


def read_comparisons(root: Path) -> list[Stored]:
    """The comparisons in a run folder; one that cannot be read is as good as absent."""
    found = []
    for path in sorted(RunPaths(root).comparisons.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found.append(_read(path))
    return found


def _read(path: Path) -> Stored:
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["format"] != FORMAT or document["kind"] not in KINDS:
        raise ValueError("another format")
    runs = {str(name): dict(run) for name, run in document["runs"].items()}
    if any(not {"run_id", "name", "stamp"} <= run.keys() for run in runs.values()):
        raise ValueError("a run without what was measured of it")
    return Stored(
        path=path,
        kind=document["kind"],
        time=str(document["time"]),
        runs=runs,
        rows=tuple(_row(row, runs) for row in document["rows"]),
    )


def _row(row: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> Comparison:
    kinds = {field.name: str(field.type) for field in fields(Comparison)}
    values = {name: _decode(row[name], kinds[name]) for name in kinds}
    if not {values["one"], values["other"]} <= {run["name"] for run in runs.values()}:
        raise ValueError("a row of a run that is not listed")
    return Comparison(**values)


def _encode(value: Any) -> Any:
    """JSON has no infinity, which effects of differences that do not vary are."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _decode(value: Any, kind: str) -> Any:
    if value is None and kind.endswith("| None"):
        return None
    if kind.startswith("str"):
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        return value
    return int(value) if kind == "int" else float(value)


def _stamp(view: RunView, kind: str) -> str | None:
    with contextlib.suppress(RecsearchError):
        return measured_now(view, kind).get("stamp")
    return None


def _run_id(folder: Path) -> str | None:
    return RunView.open(folder).identity.get("run_id")

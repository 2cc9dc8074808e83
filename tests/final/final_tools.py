"""A searched run of the noisy model, copies of it, and what is in them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from search_tools import search_without_ray, write_search

from recsearch.final.phases import _cached_split
from recsearch.final.work import FinalRequest
from recsearch.journal import Journal, read_events
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


def searched(root: Path, *, trials: int = 3, epochs: int = 3, **config: Any) -> RunView:
    """A search whose best trial is not its default, with baselines in its journal."""
    root.mkdir(parents=True, exist_ok=True)
    path = write_search(root / "noisy.toml", model="noisy:Noisy", trials=trials, max_epochs=epochs)
    text = path.read_text(encoding="utf-8")
    fixed = ", ".join(f"{name} = {value}" for name, value in config.items())
    text = text.replace("[search]", f"config = {{ {fixed} }}\n[search]", 1) if fixed else text
    path.write_text(text.replace("min = 0.5, max = 2.0", "min = 0.1, max = 0.5"), encoding="utf-8")
    view = search_without_ray(
        root,
        dataset="demo:small",
        search=str(path),
        **{"search.trials": trials, "search.max_epochs": epochs},
    )
    with Journal(RunPaths(view.path).journal) as journal:
        damping = {"damping": {"user": 5.0, "item": 5.0}}
        journal.append("baseline", name="bias", config=damping, metrics={"RMSE": 0.9})
        journal.append("baseline", name="popular", config={}, metrics={"NDCG@10": 0.1})
    return RunView.open(view.path)


def copy(view: RunView, folder: Path) -> Path:
    """The run and its store, elsewhere; both read test data anew."""
    _cached_split.cache_clear()
    shutil.copytree(view.path.parent, folder)
    return folder / view.path.name


def request(root: Path, **values: Any) -> FinalRequest:
    return FinalRequest(root, **{"parts": (1,), "command": "recsearch final", **values})


def outcome(root: Path) -> dict[str, bytes]:
    """Everything that a finished ``final`` leaves, by file; bytes must be equal."""
    folder = root / "final"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def document(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "final" / "final.json").read_text(encoding="utf-8")))


def told_of(root: Path) -> list[dict[str, Any]]:
    return [event for event in read_events(root / "journal.ndjson") if event["event"] == "test"]


def trained(log: Path) -> Counter[str]:
    return Counter(log.read_text(encoding="utf-8").splitlines() if log.exists() else [])

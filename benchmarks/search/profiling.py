"""Part ``profile``: where the driver and the workers of a search spend their time (py-spy)."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.search import ours
from benchmarks.search.processes import ROOT, run
from benchmarks.search.results import Part, Settings
from recsearch.journal import read_events

RATE = 50
TOP = 15
LIBRARY = re.compile(r".*/(site-packages|lib/python3\.\d+)/")
OUTSIDE = "(no Python frame)"
WORKER = "ray/_private/workers/default_worker.py"
DRIVER = "recsearch/cli/search.py"


def measure(settings: Settings, part: Part, folder: Path, label: str, out: Path | None) -> None:
    """Profile one search under a label, such as before and after a change."""
    name = f"{label}.speedscope.json"

    def profile() -> dict[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        found = _profile(settings, folder, folder / name)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, out / name)
        return found

    part.once(label, profile)


def _profile(settings: Settings, folder: Path, path: Path) -> dict[str, Any]:
    search = ours.command(settings.data, folder, trials=settings.profile_trials)
    spy = str(Path(sys.executable).with_name("py-spy"))
    command = [spy, "record", "--subprocesses", "--format", "speedscope", "--rate", str(RATE)]
    usage = run([*command, "--output", str(path), "--", *search], folder)
    summary = ours.summary(read_events(folder / "run" / "journal.ndjson"), usage)
    kept = ("wall_s", "cpu_s", "trials", "epochs", "train_s", "eval_s")
    found = json.loads(path.read_text(encoding="utf-8"))
    return {**{key: summary[key] for key in kept}, "roles": top_functions(found)}


def top_functions(speedscope: Mapping[str, Any], top: int = TOP) -> dict[str, Any]:
    """Active seconds by role of the process, and the functions with the largest shares of them.

    Args:
        speedscope: a file as py-spy writes it: one sampled profile for each thread, stacks from
            the outermost frame on, weights in seconds.
        top: functions to name, by the time spent in themselves.

    Returns:
        ``driver``, ``worker`` and ``ray`` (all other processes), as far as they were seen:
        ``seconds``, and ``functions`` with ``self`` and ``total`` shares.
    """
    frames = speedscope["shared"]["frames"]
    threads = defaultdict(list)
    for profile in speedscope["profiles"]:
        threads[_process(profile["name"])].append(profile)
    own: dict[str, Counter[str]] = defaultdict(Counter)
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for profiles in threads.values():
        role = _role(profiles, frames)
        for profile in profiles:
            for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
                names = [_name(frames[index]) for index in stack if _is_code(frames[index])]
                own[role][names[-1] if names else OUTSIDE] += weight
                for name in set(names):
                    total[role][name] += weight
    return {role: _shares(own[role], total[role], top) for role in sorted(own)}


def _shares(own: Counter[str], total: Counter[str], top: int) -> dict[str, Any]:
    seconds = sum(own.values())
    return {
        "seconds": round(seconds, 2),
        "functions": [
            {
                "function": name,
                "self": round(weight / seconds, 4),
                "total": round(total[name] / seconds, 4),
            }
            for name, weight in own.most_common(top)
        ],
    }


def _process(name: str) -> str:
    found = re.search(r"[Pp]rocess (\d+)", name)
    return found[1] if found else "driver"


def _role(profiles: list[Mapping[str, Any]], frames: list[Mapping[str, Any]]) -> str:
    files = {
        frames[index].get("file") or ""
        for profile in profiles
        for stack in profile["samples"]
        for index in stack
    }
    if any(file.endswith(WORKER) for file in files):
        return "worker"
    return "driver" if any(file.endswith(DRIVER) for file in files) else "ray"


def _is_code(frame: Mapping[str, Any]) -> bool:
    """Whether a frame is a function, not the command of the process that py-spy puts first."""
    return bool(frame.get("file"))


def _name(frame: Mapping[str, Any]) -> str:
    """Function and file, the latter from its package on."""
    file = (frame.get("file") or "").removeprefix(f"{ROOT}/")
    return f"{frame['name']} ({LIBRARY.sub('', file)})"

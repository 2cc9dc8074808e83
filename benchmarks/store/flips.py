"""One bit of a stored file turns over: who notices when the checkpoint is loaded?"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from benchmarks.store.measure import ready
from benchmarks.store.protocol import Strategy
from benchmarks.store.strategies import DISTRIBUTED, OURS, OURS_SMALL, STRATEGIES, TORCH_SAVE
from benchmarks.store.trace import Knobs, SparseTrace, Tables, Trace, Truth

NAMES = (TORCH_SAVE, DISTRIBUTED, "safetensors", OURS, OURS_SMALL)
PICKLED = ".metadata"
"""What DCP unpickles: left alone, because a bit flipped there may import anything."""
HINTS = ("index", "catalog", "leases", "tomb", "tmp")
"""Folders of a store whose files a restore does not need."""


def flips(folder: Path, times: int, seed: int = 1) -> dict[str, dict[str, int]]:
    """Flip bits, one at a time, anywhere in the files that a checkpoint is restored from.

    Returns:
        By strategy how many were ``detected`` (the load failed), loaded ``silently`` with wrong
        rows, or were ``harmless`` (the load was right: the bit means nothing).
    """
    trace = SparseTrace(Knobs(tables=4, rows=2000, dim=16, share=0.05, versions=3, seed=seed))
    truth = Truth(trace, folder / "truth")
    found = {}
    for name in NAMES:
        place = folder / name.replace(" ", "-")
        version = _save(STRATEGIES[name], trace, place)
        found[name] = _flip_all(STRATEGIES[name], trace, truth, version, place, times, seed)
        shutil.rmtree(place)
    return found


def _save(strategy: type[Strategy], trace: Trace, place: Path) -> int:
    one, live = strategy(place, trace), trace.empty()
    for version, touched in trace.replay(live):
        one.save(version, live, touched)
        one.wait(behind=True)
    one.close()
    return trace.versions - 1


def _flip_all(
    strategy: type[Strategy],
    trace: Trace,
    truth: Truth,
    version: int,
    place: Path,
    times: int,
    seed: int,
) -> dict[str, int]:
    rng = random.Random(seed)  # noqa: S311 - which bit, no secret
    files = (path for path in sorted(place.rglob("*")) if path.is_file())
    needed = [path for path in files if _is_needed(path.relative_to(place), strategy, version)]
    sizes = [path.stat().st_size for path in needed]
    counts = {"detected": 0, "silently": 0, "harmless": 0}
    into = ready(trace)
    for path in rng.choices(needed, sizes, k=times):
        at, bit = rng.randrange(path.stat().st_size), 1 << rng.randrange(8)
        _turn(path, at, bit)
        counts[_outcome(strategy, trace, truth, version, place, into)] += 1
        _turn(path, at, bit)
    return counts


def _outcome(
    strategy: type[Strategy],
    trace: Trace,
    truth: Truth,
    version: int,
    place: Path,
    into: Tables,
) -> str:
    one = strategy(place, trace)
    try:
        one.restore(version, into)
    except Exception:  # noqa: BLE001 - any refusal is a detection
        return "detected"
    finally:
        one.close()
    return "silently" if truth.wrong_rows(version, into) else "harmless"


def _turn(path: Path, at: int, bit: int) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bit]))


def _is_needed(path: Path, strategy: type[Strategy], version: int) -> bool:
    if strategy.whole:
        return path.parts[0].startswith(f"{version:06d}") and path.name != PICKLED
    if path.suffix == ".man":
        return path.name.startswith(f"{version + 1:06d}-")  # epochs count from 1
    return path.parts[0] not in HINTS

"""Many writers at once: checkpoints of one store per second, beside plain synced files."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store.disk import write_synced
from recsearch.state import Part
from recsearch.store import Store

BYTES = 2_500_000
"""About an ALS state at size 64."""
TIMEOUT_S = 300
"""When to give up on a writer that has died."""
KINDS = ("store", "plain files")


def writers(folder: Path, processes: int, checkpoints: int, repeats: int) -> dict[str, Any]:
    """Processes that each write checkpoints of all-new bytes, into one store or as plain files.

    Args:
        folder: For both.
        processes: How many at once.
        checkpoints: Of each.
        repeats: Runs of each kind, in turns; medians count.
    """
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    latencies: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(repeats):
        for kind in KINDS if number % 2 else reversed(KINDS):
            rate, seconds = _together(kind, folder / f"{kind}{number}", processes, checkpoints)
            rates[kind].append(rate)
            latencies[kind] += seconds
    store, plain = (statistics.median(rates[kind]) for kind in KINDS)
    return {
        "processes": processes,
        "checkpoints": checkpoints,
        "bytes": BYTES,
        "store_per_s": store,
        "plain_per_s": plain,
        "ratio": store / plain,
        "store_ms": _percentiles(latencies["store"]),
        "plain_ms": _percentiles(latencies["plain files"]),
    }


def _together(
    kind: str, folder: Path, processes: int, checkpoints: int
) -> tuple[float, list[float]]:
    """Checkpoints per second of all writers together, and the seconds that each one took."""
    folder.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(processes), context.Queue()
    started = [
        context.Process(target=_write, args=(kind, folder, n, checkpoints, gate, results))
        for n in range(processes)
    ]
    for process in started:
        process.start()
    found = [results.get(timeout=TIMEOUT_S) for _ in started]
    for process in started:
        process.join()
    span = max(end for _, end, _ in found) - min(begin for begin, _, _ in found)
    return processes * checkpoints / span, [s for _, _, seconds in found for s in seconds]


def _write(
    kind: str, folder: Path, number: int, checkpoints: int, gate: Barrier, results: Queue[Any]
) -> None:
    state = np.random.default_rng(number).standard_normal((BYTES // 256, 64), dtype=np.float32)
    store = Store.open(folder) if kind == "store" else None
    track = store.track(codec="fast") if store else None
    key, seconds = f"{number:064x}", []
    gate.wait(TIMEOUT_S)
    began = last = time.monotonic()
    for epoch in range(1, checkpoints + 1):
        state.view(np.uint32)[...] += 1  # every row is new, at the cost of a memcpy
        if track is not None:
            track.stage({"model": Part({"weights": state})}).commit(key, epoch, {})
        else:
            write_synced(folder / f"{number}-{epoch}", state.reshape(-1).view(np.uint8).data)
        seconds.append(time.monotonic() - last)
        last = time.monotonic()
    results.put((began, last, seconds))
    if track and store:
        track.close()
        store.close()


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{q}": 1e3 * float(np.percentile(seconds, q)) for q in (50, 99)}

"""100,000 checkpoints of 1,000 trials in one store: what opening, saving and looking cost then."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store.facts import machine
from benchmarks.store.targets import Verdict, verdict
from recsearch.state import Part, State
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.backend import Buffer
from recsearch.store.layout import Layout
from recsearch.store.local import LocalBackend

TRIALS = 1_000
ROWS, SIZE = 20, 8
COMMITS = 41
BIG_BYTES = 256 * 2**20
PASSES = 3
BUILDERS = 2


class Unsynced(LocalBackend):
    """For building only: a crash of the machine could lose what it wrote."""

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        """Create without waiting for the disk."""
        return super().put_create(name, chunks, durable=False)


def scale_test(checkpoints: int, folder: Path, keep: Path | None = None) -> dict[str, Any]:
    """Build a large store and measure it: as its writers leave it, collected, and thinned out.

    Args:
        checkpoints: How many; rounded to whole epochs of 1,000 trials.
        folder: For everything.
        keep: Build there, or measure what is there already and drop nothing of it.
    """
    root = keep or folder / "store"
    results: dict[str, Any] = {"benchmark": "store_scale", "machine": machine(folder)}
    figures: dict[str, Any] = {"build_s": build(root, checkpoints)}
    figures["as written"] = look(root, folder / "empty0")
    with Store.open(root) as store:
        figures["gc_first_s"] = seconds_of(lambda: store.collect(grace_s=0))
    figures["collected"] = look(root, folder / "empty1")
    with Store.open(root) as store:
        figures["gc_idle_s"] = seconds_of(lambda: store.collect(grace_s=0))
    figures["rates"] = rates(folder)
    if keep is None:
        figures["thinned"] = thin_out(root)
    targets = [asdict(found) for found in judge(figures)]
    return results | {"figures": figures, "targets": targets}


def judge(figures: dict[str, Any]) -> list[Verdict]:
    """The targets of scale, for the store as collections leave it while a search runs."""
    after, rate = figures["collected"], figures["rates"]
    where = f"{after['checkpoints']:,} checkpoints"
    return [
        verdict("open, s", 1.0, [(where, after["open_s"])]),
        verdict("commit, x in an empty store", 1.5, [(where, after["commit_ratio"])]),
        verdict("ls, s", 5.0, [(where, after["ls_s"])]),
        verdict("du, s", 5.0, [(where, after["du_s"])]),
        verdict("plain copy, x repacking", 2.0, [("half dead packs", rate["copy_to_repack"])]),
    ]


def build(root: Path, checkpoints: int) -> float | None:
    """Save all epochs of all trials, from several processes; seconds, None if it is there."""
    if (root / Layout.FORMAT).exists():
        return None
    Store.open(root).close()
    epochs = max(1, checkpoints // TRIALS)
    shares = [range(start, TRIALS, BUILDERS) for start in range(BUILDERS)]
    with ProcessPoolExecutor(BUILDERS, get_context("spawn")) as pool:
        return seconds_of(
            lambda: list(pool.map(_save_trials, [root] * BUILDERS, shares, [epochs] * BUILDERS))
        )


def look(root: Path, empty: Path) -> dict[str, float]:
    """What using the store costs, each time by a store object that knows nothing of it yet."""
    opened = statistics.median(seconds_of(lambda: Store.open(root).close()) for _ in range(5))
    first, large, small = commits(root, empty)
    began = time.perf_counter()
    count = list_all(root)
    listed = time.perf_counter() - began
    return {
        "open_s": opened,
        "first_commit_s": first,
        "commit_ms": 1e3 * large,
        "commit_empty_ms": 1e3 * small,
        "commit_ratio": large / small,
        "ls_s": listed,
        "du_s": seconds_of(lambda: Store.open(root).du()),
        "checkpoints": count,
    }


def list_all(root: Path) -> int:
    """Count all checkpoints, as a listing does: every trial's epochs and its last manifest."""
    with Store.open(root) as store:
        return sum(len(store.epochs(store.read(key).key)) for key in sorted(store.keys()))


def commits(root: Path, empty: Path) -> tuple[float, float, float]:
    """Seconds of the first commit to the large store; medians there and in an empty one.

    Commits take turns, so that whatever else the machine does slows both.
    """
    key = os.urandom(32).hex()
    seconds: dict[Path, list[float]] = {root: [], empty: []}
    with Store.open(root) as large, Store.open(empty) as small:
        tracks = {root: (large, large.track()), empty: (small, small.track())}
        for epoch in range(1, COMMITS + 1):
            for place, (store, track) in tracks.items():
                began = time.perf_counter()
                store.save(key, epoch, state_of(TRIALS, epoch), info_of(TRIALS, epoch), track=track)
                seconds[place].append(time.perf_counter() - began)
        for _, track in tracks.values():
            track.close()
    medians = {place: statistics.median(found[1:]) for place, found in seconds.items()}
    return seconds[root][0], medians[root], medians[empty]


def thin_out(root: Path) -> dict[str, Any]:
    """Drop all epochs but the best and the last of every trial, and collect."""
    found: dict[str, Any] = {}
    with Store.open(root) as store:
        keys = store.keys()

        def drop() -> None:
            for key in keys:
                records = [Record(e, 1 / e) for e in store.epochs(key)]
                store.retain(key, BestAndLast("max"), records)

        found["drop_s"] = seconds_of(drop)
        began, swept = time.perf_counter(), 0
        for _ in range(PASSES):
            done = store.collect(grace_s=0)
            swept += done.swept_packs
            if not done.waiting_packs and not done.unreferenced_packs:
                break
        found |= {"gc_s": time.perf_counter() - began, "swept_packs": swept}
        found["packs_left"] = store.du().packs
    return found


def rates(folder: Path) -> dict[str, float]:
    """Bytes per second of repacking half dead packs and of a plain synced copy, in turns."""
    repacked, copied = [], []
    for number in range(3):
        repacked.append(_repack_rate(folder / f"repack{number}"))
        copied.append(_copy_rate(folder))
    repack, copy = statistics.median(repacked), statistics.median(copied)
    return {"repack_mb_s": repack / 1e6, "copy_mb_s": copy / 1e6, "copy_to_repack": copy / repack}


def _repack_rate(place: Path) -> float:
    half = BIG_BYTES // 16
    with Store.open(place) as store:
        shared = np.random.default_rng(1).integers(0, 256, (8, half), dtype=np.uint8)
        for number in range(8):
            own = np.random.default_rng(10 + number).integers(0, 256, half, dtype=np.uint8)
            store.save(key_of(1), number + 1, {"m": Part({"a": own, "b": shared[number]})}, {})
            store.save(key_of(2), number + 1, {"m": Part({"b": shared[number]})}, {})
        store.retain(key_of(1), BestAndLast("min", 0, 0), [Record(e, None) for e in range(1, 9)])
        began = time.perf_counter()
        done = store.collect(grace_s=0)
        rate = done.repacked_bytes / (time.perf_counter() - began)
    shutil.rmtree(place)
    return rate


def _copy_rate(folder: Path) -> float:
    source, target = folder / "plain", folder / "copy"
    source.write_bytes(np.random.default_rng(0).bytes(BIG_BYTES // 2))
    began = time.perf_counter()
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, 4 * 2**20)
        write.flush()
        os.fsync(write.fileno())
    rate = BIG_BYTES // 2 / (time.perf_counter() - began)
    source.unlink()
    target.unlink()
    return rate


def _save_trials(root: Path, trials: range, epochs: int) -> None:
    with Store.on(Unsynced(root)) as store:
        for trial in trials:
            with store.track() as track:
                for epoch in range(1, epochs + 1):
                    state, info = state_of(trial, epoch), info_of(trial, epoch)
                    store.save(key_of(trial), epoch, state, info, track=track)


def key_of(trial: int) -> str:
    """The key of a trial."""
    return f"{trial:03x}".ljust(64, "e")


def state_of(trial: int, epoch: int) -> State:
    """A small model whose vocabulary all trials share."""
    rng = np.random.default_rng((trial, epoch))
    return {
        "model": Part({"items": rng.normal(size=(ROWS, SIZE)).astype(np.float32)}),
        "vocabulary": Part({"ids": np.arange(ROWS)}, constant=True),
    }


def info_of(trial: int, epoch: int) -> dict[str, Any]:
    """What a search records."""
    return {
        "owner": f"run-{trial % 10}/{trial}",
        "trial": trial,
        "model": "als",
        "objective": "RMSE",
        "metrics": {"RMSE": 1 / epoch},
        "retention": "best+last",
        "history": [{"epoch": epoch, "train_s": 0.3, "eval_s": 0.05}],
    }


def seconds_of(task: Callable[[], object]) -> float:
    """How long a task takes."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def run(checkpoints: int, keep: Path | None, folder: Path | None, path: Path) -> dict[str, Any]:
    """Measure and write the results."""
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=folder) as place:
        results = scale_test(checkpoints, Path(place), keep)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results

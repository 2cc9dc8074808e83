"""Writers, readers and a collector on one store, each a process, and what became of the commits.

Every state is a function of writer and epoch, so that any reader can tell whether what it gets is
right. ``python race_driver.py FOLDER COMMITS`` prints the result of :func:`race` as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROWS, WIDTH, TOUCHED = 400, 16, 8
KEPT = 3
"""A writer drops all but its last epochs, as it goes."""


@dataclass(frozen=True)
class Raced:
    """The outcome.

    Attributes:
        commits: Checkpoints that were acknowledged.
        lost: Those that should be there in the end and are not, or do not restore exactly.
        dangling: Problems that a full verification finds in the end.
        garbage: Packs that nothing refers to after the last collection.
        wrong: Reads that gave something else than was saved, or damage.
        reads: Reads that gave what was saved.
        missed: Reads of what had just been dropped.
        swept: Packs that the collector deleted meanwhile.
        repacked: Packs of which it copied the live part.
        seconds: Wall time of the writers, start of Python included.
        commit_p50_ms: Median time that a commit took.
        commit_p99_ms: Of 100 commits one took longer.
    """

    commits: int
    lost: int
    dangling: int
    garbage: int
    wrong: int
    reads: int
    missed: int
    swept: int
    repacked: int
    seconds: float
    commit_p50_ms: float
    commit_p99_ms: float


def key_of(writer: int) -> str:
    return f"{writer:02x}" * 32


def touched_rows(writer: int, epoch: int) -> np.ndarray:
    return (epoch * 31 + writer + 7 * np.arange(TOUCHED)) % ROWS


def next_table(table: np.ndarray, writer: int, epoch: int) -> np.ndarray:
    """Change the rows of one epoch in place."""
    rows = touched_rows(writer, epoch)
    table[rows] = (epoch * 1000 + rows[:, None]) + np.arange(WIDTH) / np.float32(64)
    return table


def tensors_of(writer: int, epoch: int) -> dict[str, np.ndarray]:
    """What a checkpoint holds: a table of which some rows change, what all share, and its own."""
    table = np.zeros((ROWS, WIDTH), "<f4")
    for number in range(max(1, epoch - 2 * ROWS), epoch + 1):
        next_table(table, writer, number)
    return {"table": table, **_dense(writer, epoch)}


def _dense(writer: int, epoch: int) -> dict[str, np.ndarray]:
    return {
        "shared": np.random.default_rng(epoch // 4).normal(size=300),
        "own": np.random.default_rng([writer, epoch]).normal(size=60),
    }


def race(root: Path, commits: int, *, writers: int = 8, readers: int = 2) -> Raced:
    """Run ``writers`` that commit so often in all, a collector and ``readers`` meanwhile."""
    from recsearch.store import Store

    store = Store.open(root / "store")
    each = commits // writers
    stop = root / "stop"
    others = [_start("collect", root), *(_start("read", root, writers, n) for n in range(readers))]
    began = time.perf_counter()
    workers = [_start("write", root, number, each) for number in range(writers)]
    done = [_result(worker) for worker in workers]
    seconds = time.perf_counter() - began
    stop.touch()
    collected, *read = (_result(other) for other in others)
    lost = sum(not _holds(store, n, e) for n in range(writers) for e in _last(each))
    for _ in range(2):
        store.collect(grace_s=0)
    took = np.concatenate([one["took"] for one in done])
    last = store.collect(grace_s=0)
    raced = Raced(
        commits=len(took),
        lost=lost,
        dangling=len(store.verify().problems),
        garbage=last.unreferenced_packs,
        wrong=sum(one["wrong"] for one in read),
        reads=sum(one["reads"] for one in read),
        missed=sum(one["missed"] for one in read),
        swept=collected["swept"],
        repacked=collected["repacked"],
        seconds=seconds,
        commit_p50_ms=float(np.median(took)),
        commit_p99_ms=float(np.quantile(took, 0.99)),
    )
    store.close()
    return raced


def plain_files(root: Path, commits: int, *, writers: int = 8) -> float:
    """Seconds that the same writers take to write each state as a synced file of its own."""
    root.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    workers = [_start("plain", root, number, commits // writers) for number in range(writers)]
    for worker in workers:
        _result(worker)
    return time.perf_counter() - began


def _last(epochs: int) -> range:
    return range(max(1, epochs - KEPT + 1), epochs + 1)


def _holds(store, writer: int, epoch: int) -> bool:
    from recsearch.errors import StoreError

    try:
        found = store.restore(key_of(writer), epoch)["m"].tensors
    except StoreError:
        return False
    expected = tensors_of(writer, epoch)
    return all(found[name].tobytes() == array.tobytes() for name, array in expected.items())


def _start(role: str, root: Path, *numbers: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--role", role, str(root), *map(str, numbers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str]) -> dict:
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    return json.loads(out)


def _write(root: Path, writer: int, epochs: int) -> dict:
    from recsearch.state import Part
    from recsearch.store import BestAndLast, Record, Store, index, manifest

    manifest.BLOCK_BYTES, index.REFRESH_S = 4096, 0.5
    key, took, table = key_of(writer), [], np.zeros((ROWS, WIDTH), "<f4")
    with Store.open(root / "store") as store:
        track = store.track(codec=("fast", "small")[writer % 2])
        for epoch in range(1, epochs + 1):
            next_table(table, writer, epoch)
            tensors = {"table": table, **_dense(writer, epoch)}
            part = Part(tensors, touched={"table": touched_rows(writer, epoch)})
            began = time.perf_counter()
            store.save(key, epoch, {"m": part}, {"owner": str(writer)}, track=track)
            took.append(1000 * (time.perf_counter() - began))
            records = [Record(e, None) for e in range(max(1, epoch - 2 * KEPT), epoch + 1)]
            store.retain(key, BestAndLast("min", 0, KEPT), records, owner=str(writer))
            if epoch % 50 == 0:  # as a trial that is paused and goes on
                track.close()
                track = store.track(codec=("small", "fast")[writer % 2], after=store.read(key))
        track.close()
    return {"took": took}


def _plain(root: Path, writer: int, epochs: int) -> dict:
    folder = root / str(writer)
    folder.mkdir()
    table = np.zeros((ROWS, WIDTH), "<f4")
    for epoch in range(1, epochs + 1):
        tensors = {"table": next_table(table, writer, epoch), **_dense(writer, epoch)}
        with (folder / "partial").open("wb") as file:
            for array in tensors.values():
                file.write(array.tobytes())
            file.flush()
            os.fsync(file.fileno())
        (folder / "partial").rename(folder / str(epoch))
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        (folder / str(epoch - KEPT)).unlink(missing_ok=True)
    return {}


def _read(root: Path, writers: int, seed: int) -> dict:
    from recsearch.errors import CheckpointNotFoundError, StoreError
    from recsearch.store import Store

    rng, store = np.random.default_rng(seed), Store.open(root / "store")
    count = {"reads": 0, "missed": 0, "wrong": 0}
    while not (root / "stop").exists():
        writer = int(rng.integers(writers))
        epochs = store.epochs(key_of(writer))
        if not epochs:
            continue
        epoch = int(rng.choice(epochs))
        expected = tensors_of(writer, epoch)
        try:
            if rng.random() < 0.5:
                found = store.restore(key_of(writer), epoch)["m"].tensors
            else:
                rows = rng.integers(0, ROWS, 9)
                part = store.read_rows(key_of(writer), epoch, "m", "table", rows)
                found, expected = {"table": part}, {"table": expected["table"][rows]}
        except CheckpointNotFoundError:
            count["missed"] += 1
            continue
        except StoreError as error:
            sys.stderr.write(f"{error}\n")
            count["wrong"] += 1
            continue
        right = all(found[name].tobytes() == array.tobytes() for name, array in expected.items())
        count["reads" if right else "wrong"] += 1
    return count


def _collect(root: Path) -> dict:
    from recsearch.store import Store

    count = {"swept": 0, "repacked": 0}
    with Store.open(root / "store") as store:
        while not (root / "stop").exists():
            done = store.collect(grace_s=0, max_waste=0.2)
            count["swept"] += done.swept_packs
            count["repacked"] += len(done.repacked)
    return count


_ROLES = {"write": _write, "read": _read, "collect": _collect, "plain": _plain}


if __name__ == "__main__":
    if sys.argv[1] == "--role":
        role, folder, *numbers = sys.argv[2:]
        sys.stdout.write(json.dumps(_ROLES[role](Path(folder), *map(int, numbers))))
    else:
        outcome = asdict(race(Path(sys.argv[1]), int(sys.argv[2])))
        plain = plain_files(Path(sys.argv[1]) / "plain", int(sys.argv[2]))
        sys.stdout.write(json.dumps({**outcome, "plain_seconds": plain}, indent=1) + "\n")

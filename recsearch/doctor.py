"""What a search will find on this machine: libraries, cores, memory, disk, store and data."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from recsearch import __version__
from recsearch.cpus import available_cpus
from recsearch.errors import RecsearchError

LIBRARIES = ("ray", "lenskit", "torch", "numpy", "scipy", "pandas", "numba", "hyperopt")
OPTIONAL = ("torch-geometric",)
LITTLE_MEMORY, LITTLE_DISK, SLOW_SYNC_MS = 3 * 10**9, 2 * 10**9, 50.0
"""Below or above these a search is likely to suffer: bytes, bytes, and milliseconds of a sync."""

SYNCS, WRITTEN_BYTES = 20, 2**25


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        text: what was found, in a line.
        problem: what is wrong with it and what to do; None if nothing is.
    """

    name: str
    text: str
    problem: str | None = None


def examine(store_url: str, folder: Path) -> Iterator[Finding]:
    """Look at everything, one after the other; what cannot be looked at is a finding itself.

    Args:
        store_url: the checkpoint store that searches here would use.
        folder: where they would run.
    """
    checks: Sequence[tuple[str, Callable[[], Finding]]] = (
        ("recsearch", _program),
        ("libraries", _libraries),
        ("cores", _cores),
        ("memory", _memory),
        ("threads", _threads),
        ("disk", lambda: _disk(_place(store_url, folder))),
        ("store", lambda: _store(store_url)),
        ("data", _data),
    )
    for name, check in checks:
        try:
            yield check()
        except (RecsearchError, OSError) as err:
            yield Finding(name, "could not be looked at", str(err))


def _program() -> Finding:
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return Finding("recsearch", f"{__version__}; Python {platform.python_version()}; {system}")


def _libraries() -> Finding:
    found = {name: _version(name) for name in (*LIBRARIES, *OPTIONAL)}
    missing = [name for name in LIBRARIES if found[name] is None]
    problem = None
    if missing:
        problem = f"{', '.join(missing)}: not installed. Install recsearch again: pip install -e ."
    return Finding(
        "libraries", ", ".join(f"{n} {v or '(absent)'}" for n, v in found.items()), problem
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cores() -> Finding:
    usable, there = available_cpus(), os.cpu_count() or 1
    text = f"{usable} for this process, of {there}; so many trials at a time unless --workers"
    busy = os.getloadavg()[0]
    problem = None
    if busy > usable:
        problem = (
            f"{busy:.1f} processes want a core already, so a search is slower than its forecast."
        )
    return Finding("cores", text, problem)


def _memory() -> Finding:
    from recsearch.cost import available_bytes

    total, free = psutil.virtual_memory().total, available_bytes()
    text = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    problem = None
    if free < LITTLE_MEMORY:
        problem = "little: Ray and two workers take 2 GB. --dry-run says what a search will take."
    return Finding("memory", text, problem)


def _threads() -> Finding:
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    shown = ", ".join(
        f"{pool['internal_api']} {pool['num_threads']}"
        for pool in sorted(pools, key=lambda pool: str(pool["internal_api"]))
    )
    return Finding("threads", f"one in each worker; here: {shown or 'none loaded'}")


def _place(store_url: str, folder: Path) -> Path:
    """The nearest folder that exists to where checkpoints go; remote ones leave the run folder."""
    place = folder if "://" in store_url else Path(store_url).expanduser().absolute()
    while not place.exists():
        place = place.parent
    return place


def _disk(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    sync_ms, speed = _measure(place)
    text = (
        f"{free / 1e9:.1f} GB free at {place}; 4 kB are durable after {sync_ms:.1f} ms, "
        f"{speed / 1e6:.0f} MB/s are written and synced"
    )
    problems = []
    if free < LITTLE_DISK:
        problems.append("little room: see --quota, and recsearch store gc --dry-run.")
    if sync_ms > SLOW_SYNC_MS:
        problems.append(
            "syncs are slow, and every epoch waits for some: try another disk (--store)."
        )
    return Finding("disk", text, " ".join(problems) or None)


def _measure(place: Path) -> tuple[float, float]:
    """Median milliseconds of a small durable write, and bytes per second of a large one."""
    with tempfile.TemporaryDirectory(prefix=".recsearch-doctor-", dir=place) as folder:
        small = [_write(Path(folder) / f"{number}", bytes(4096)) for number in range(SYNCS)]
        large = _write(Path(folder) / "large", os.urandom(WRITTEN_BYTES))
    return 1000 * statistics.median(small), WRITTEN_BYTES / large


def _write(path: Path, content: bytes) -> float:
    began = time.perf_counter()
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


def _store(store_url: str) -> Finding:
    from recsearch.store import Store

    if "://" not in store_url and not Path(store_url).expanduser().exists():
        return Finding("store", f"{store_url}: none yet; the first search makes it")
    with Store.open(store_url, create=False) as store:
        report = store.verify("structure")
        keys = list(store.keys())
        epochs = sum(len(store.epochs(key)) for key in keys)
    text = f"{store_url}: {epochs:,} checkpoints of {len(keys):,} trials"
    if not report.problems:
        return Finding("store", f"{text}; manifests and tables are intact")
    problem = (
        f"{len(report.problems)} problems, the first: {report.problems[0]}. All of them: recsearch "
        f"store verify; then: recsearch store repair --dry-run"
    )
    return Finding("store", text, problem)


def _data() -> Finding:
    from recsearch.data import DATASETS, fetch

    there, absent = [], []
    for name, entry in DATASETS.items():
        if entry.archive is None:
            continue  # generated
        found = fetch.locate(entry.archive)
        if found is None:
            absent.append(name)
        else:
            official = found.sha256 == entry.archive.sha256
            there.append(name if official else f"{name} (not the official archive)")
    text = f"found {', '.join(there) or 'none'}"
    text += f"; fetched when first used: {', '.join(absent)}" if absent else ""
    return Finding("data", text)

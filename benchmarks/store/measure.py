"""Times, bytes and wrong rows of every strategy over one trace."""

from __future__ import annotations

import gc
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.store.disk import disk_usage, evict
from benchmarks.store.protocol import Strategy
from benchmarks.store.strategies import STRATEGIES
from benchmarks.store.trace import Tables, Touched, Trace, Truth

Row: TypeAlias = dict[str, Any]
"""One strategy over one trace, as it stands in the results; milliseconds and bytes."""

NUMBERS_PER_S = 3e6
"""What code that makes a Python object of every number gets done."""
FEWEST = 4
"""Versions that a strategy must get through within its budget, or it is left out."""
ENOUGH_S = 0.3
"""A restore is timed again until this much has been spent on it, at most ``RESTORES`` times."""
RESTORES = 3
SLOW_S = 2.0
"""A restore that takes longer is bound by the processor, and not timed cold."""
SIZES = ("bytes", "allocated", "total_bytes", "files")
"""Bytes per checkpoint after the first, as they are and as allocated; bytes and files in all."""
_GARBAGE = 0x5A


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes:
        repeats: Whole runs of every strategy, each in another order.
        budget_s: Seconds that a ``bounded`` strategy may spend on saving in one run; then it gets
            no further versions. One that takes twice as long with its restores is not repeated.
        cold: Whether to time restores of files that are not in memory, too.
        seed: Decides the orders.
        progress: Takes a line now and then.
    """

    repeats: int
    budget_s: float
    cold: bool
    seed: int = 1
    progress: Callable[[str], None] = print


@dataclass
class Samples:
    """What the runs of one strategy have given; seconds."""

    repeats: int = 0
    first: list[float] = field(default_factory=list)
    blocking: list[float] = field(default_factory=list)
    durable: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    sizes: list[tuple[int, int, int, int]] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    warm: dict[int, list[float]] = field(default_factory=dict)
    cold: dict[int, list[float]] = field(default_factory=dict)
    wrong: dict[int, int] = field(default_factory=dict)
    slow: bool = False


def measure(trace: Trace, names: Iterable[str], settings: Settings, folder: Path) -> list[Row]:
    """Run strategies over a trace, their order shuffled in every repeat.

    Args:
        trace: The trace.
        names: Of the strategies.
        settings: How thoroughly.
        folder: For all files; emptied in the end.
    """
    rng = random.Random(settings.seed)  # noqa: S311 - an order, no secret
    able = [name for name in names if affordable(STRATEGIES[name], trace, settings.budget_s)]
    samples = {name: Samples() for name in able}
    truth = Truth(trace, folder / "truth")
    truth.prepare(set(probes(trace.versions)))
    copies = []
    for _ in range(settings.repeats):
        copies.append(memcpy_s(trace))
        for name in rng.sample(able, len(able)):
            if not samples[name].slow:
                _run(name, trace, truth, settings, samples[name], folder / "run")
    shutil.rmtree(folder)
    copied = 1e3 * statistics.median(copies)
    rows = [row_of(name, trace, samples[name]) for name in able]
    rows += [_left_out(name, trace) for name in names if name not in able]
    return [row | {"memcpy_ms": copied} for row in rows]


def probes(versions: int) -> list[int]:
    """The versions that are restored: the first, those at a third and two thirds, the last."""
    last = versions - 1
    return [0, last // 3, 2 * last // 3, last]


def numbers_changed(trace: Trace) -> float:
    """How many numbers change per version."""
    return trace.share * trace.nbytes / 4


def affordable(strategy: type[Strategy], trace: Trace, budget_s: float) -> bool:
    """Whether a strategy gets through a few versions within its budget."""
    return not strategy.rows_in_python or (
        FEWEST * numbers_changed(trace) / NUMBERS_PER_S <= budget_s
    )


def memcpy_s(trace: Trace) -> float:
    """Seconds that copying a state into ready arrays takes, on one thread."""
    source, into, seconds = ready(trace), ready(trace), []
    for _ in range(5):
        began = time.perf_counter()
        for name, table in source.items():
            np.copyto(into[name], table)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def ready(trace: Trace) -> Tables:
    """Arrays for a state in memory that the process really has."""
    tables = trace.empty()
    _spoil(tables)
    return tables


def _spoil(tables: Tables) -> None:
    for table in tables.values():
        table.reshape(-1).view(np.uint8)[...] = _GARBAGE


def _run(
    name: str,
    trace: Trace,
    truth: Truth,
    settings: Settings,
    samples: Samples,
    folder: Path,
) -> None:
    strategy = STRATEGIES[name]
    began = time.perf_counter()
    gc.collect()
    count = _save(strategy, trace, settings.budget_s, samples, folder)
    into = ready(trace)
    for version in probes(count):
        _restore(strategy, trace, truth, version, into, samples, folder, cold=settings.cold)
    shutil.rmtree(folder)
    spent = time.perf_counter() - began
    samples.repeats += 1
    samples.slow = strategy.bounded and spent > 2 * settings.budget_s
    settings.progress(f"  {trace.name}  {name}  {count} versions  {spent:.1f} s")


def _save(
    strategy: type[Strategy], trace: Trace, budget_s: float, samples: Samples, folder: Path
) -> int:
    """Save the versions of a trace; how many were, or would have been if they are all alike."""
    one, live = strategy(folder, trace), trace.empty()
    chosen = set(probes(trace.versions) if strategy.whole else range(trace.versions))
    # The same versions in every run.
    most = samples.versions[0] if samples.versions else trace.versions
    spent, count, saved = 0.0, 0, 0
    for version, touched in trace.replay(live):
        count += 1
        if version in chosen:
            spent += _save_once(one, version, live, touched, samples)
            saved += 1
        if version == 0:
            before = disk_usage(folder)
        over = strategy.bounded and spent > budget_s and count >= FEWEST
        if count >= most or over:
            break
    one.close()
    after, steps = disk_usage(folder), max(1, saved - 1)
    apparent, allocated = ((after[n] - before[n]) // steps for n in (0, 1))
    samples.sizes.append((apparent, allocated, after[0], after[2]))
    samples.versions.append(count)
    return count


def _save_once(
    one: Strategy, version: int, live: Tables, touched: Touched, samples: Samples
) -> float:
    cpu, began = time.process_time(), time.perf_counter()
    one.save(version, live, touched)
    free = time.perf_counter()
    one.wait()
    durable = time.perf_counter()
    one.wait(behind=True)
    done = time.perf_counter()
    if version == 0:
        samples.first.append(durable - began)
    else:
        samples.blocking.append(free - began)
        samples.durable.append(durable - began)
        samples.behind.append(done - began)
        samples.cpu.append(time.process_time() - cpu)
    return done - began


def _restore(
    strategy: type[Strategy],
    trace: Trace,
    truth: Truth,
    version: int,
    into: Tables,
    samples: Samples,
    folder: Path,
    *,
    cold: bool,
) -> None:
    """Time restoring one version, opening included, warm and cold; count what is wrong then."""
    warm: list[float] = []
    while len(warm) < RESTORES and (not warm or sum(warm) < ENOUGH_S):
        warm.append(_restore_once(strategy, trace, version, into, folder))
    samples.warm.setdefault(version, []).extend(warm)
    if cold and warm[0] < SLOW_S and evict(folder):
        seconds = _restore_once(strategy, trace, version, into, folder)
        samples.cold.setdefault(version, []).append(seconds)
    wrong = truth.wrong_rows(version, into)
    samples.wrong[version] = max(wrong, samples.wrong.get(version, 0))


def _restore_once(
    strategy: type[Strategy], trace: Trace, version: int, into: Tables, folder: Path
) -> float:
    _spoil(into)
    began = time.perf_counter()
    one = strategy(folder, trace)
    one.restore(version, into)
    seconds = time.perf_counter() - began
    one.close()
    return seconds


def row_of(name: str, trace: Trace, samples: Samples) -> Row:
    """The figures of one strategy."""
    count, strategy = min(samples.versions), STRATEGIES[name]
    notes = [f"{count} of {trace.versions} versions"] if count < trace.versions else []
    if samples.slow:
        notes.append(f"{samples.repeats} run" + "s" * (samples.repeats > 1))
    milliseconds = {
        "first_ms": spread(samples.first),
        "blocking_ms": spread(samples.blocking),
        "durable_ms": spread(samples.durable),
        "behind_ms": spread(samples.behind),
        "cpu_ms": spread(samples.cpu),
    }
    return {
        **_about(name, trace),
        "versions": count,
        "repeats": samples.repeats,
        **milliseconds,
        **dict(zip(SIZES, np.median(samples.sizes, axis=0).astype(int).tolist(), strict=True)),
        "warm_ms": {str(v): spread(found) for v, found in sorted(samples.warm.items())},
        "cold_ms": {str(v): spread(found) for v, found in sorted(samples.cold.items())},
        "wrong_rows": {str(v): found for v, found in sorted(samples.wrong.items())},
        "lossy": strategy.lossy,
        "synced": strategy.synced,
        "note": ", ".join(notes),
    }


def _left_out(name: str, trace: Trace) -> Row:
    seconds = numbers_changed(trace) / NUMBERS_PER_S
    note = f"left out, {seconds:.2g} s each"
    return {**_about(name, trace), "versions": 0, "repeats": 0, "note": note}


def _about(name: str, trace: Trace) -> Row:
    return {
        "trace": trace.name,
        "share": trace.share,
        "state_bytes": trace.nbytes,
        "rows": sum(len(table) for table in trace.empty().values()),
        "epoch_ms": trace.epoch_s and 1e3 * trace.epoch_s,
        "strategy": name,
    }


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and maximum, in milliseconds."""
    return {"median": 1e3 * statistics.median(seconds), "max": 1e3 * max(seconds)}

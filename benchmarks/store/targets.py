"""What the store is to reach, as pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from benchmarks.store.measure import Row
from benchmarks.store.ours import RHO
from benchmarks.store.strategies import (
    DISTRIBUTED,
    INCRCP_MENDED,
    NAIVE,
    OURS,
    OURS_SMALL,
    OURS_UNTOLD,
    TORCH_SAVE,
    TORCH_SAVE_SYNCED,
)

Cell: TypeAlias = dict[str, Row]
"""The rows of one trace by strategy."""
Found: TypeAlias = Iterable[tuple[str, float]]
"""Where a figure is from, and the figure."""

LAW = 1 + 1 / RHO
"""Bytes stored per byte changed: the rows, and the blocks rewritten for them."""
SLACK = 1.05


@dataclass(frozen=True)
class Measured:
    """Everything there is to judge by.

    Attributes:
        cells: What was measured over traces.
        figures: What was measured beside them, by name.
    """

    cells: list[Cell]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One target.

    Attributes:
        target: What is to be reached.
        limit: The figure to reach.
        figure: The worst one found; None where it was not measured.
        where: What it is from.
        met: Whether it is reached; None where it was not measured.
        at_least: Whether more is better.
        figures: All that were found, by what they are from.
    """

    target: str
    limit: float
    figure: float | None
    where: str
    met: bool | None
    at_least: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A target and how its figure is found; the worst of several counts."""

    name: str
    limit: float
    find: Callable[[Measured], Found]
    at_least: bool = False

    def judge(self, measured: Measured) -> Verdict:
        """Compare what was measured with the limit."""
        return verdict(self.name, self.limit, self.find(measured), at_least=self.at_least)


def verdict(name: str, limit: float, found: Found, *, at_least: bool = False) -> Verdict:
    """Compare the worst of some figures with a limit."""
    figures = dict(found)
    if not figures:
        return Verdict(name, limit, None, "", None, at_least)
    where = (min if at_least else max)(figures, key=figures.__getitem__)
    figure = figures[where]
    met = figure >= limit if at_least else figure <= limit
    return Verdict(name, limit, figure, where, met, at_least, figures)


def judge(rows: list[Row], figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All targets."""
    cells: dict[str, Cell] = {}
    for row in rows:
        cells.setdefault(row["trace"], {})[row["strategy"]] = row
    measured = Measured([*cells.values()], figures)
    return [asdict(target.judge(measured)) for target in TARGETS]


def blocking_to_memcpy(measured: Measured) -> Found:
    """Blocking time of a save to that of copying the state."""
    for where, row in _of(measured.cells, OURS):
        yield where, row["blocking_ms"]["median"] / row["memcpy_ms"]


def blocking_to_epoch(measured: Measured) -> Found:
    """Blocking time of a save to the training time of the epoch, of ALS at size 64."""
    for where, row in _of(measured.cells, OURS):
        if row["epoch_ms"] and "d=64" in where:
            yield where, row["blocking_ms"]["median"] / row["epoch_ms"]


def search_slower(measured: Measured) -> Found:
    """By how much a trial is slower with checkpoints."""
    if "search" in measured.figures:
        yield measured.figures["search"]["trial"], measured.figures["search"]["slower"]


def durable(share: float, other: str) -> Callable[[Measured], Found]:
    """Time to durable relative to another strategy, for traces of one share of changed rows."""

    def find(measured: Measured) -> Found:
        for cell in _with_share(measured.cells, share):
            for where, row, peer in _pairs(cell, OURS, other):
                yield where, row["durable_ms"]["median"] / peer["durable_ms"]["median"]

    return find


def law(ours: str, factor: float) -> Callable[[Measured], Found]:
    """Bytes per checkpoint relative to ``factor`` times p (1 + 1/rho) of the state."""

    def find(measured: Measured) -> Found:
        for where, row in _of(measured.cells, ours):
            if row["share"] < 0.5:
                yield where, row["bytes"] / (factor * LAW * row["share"] * row["state_bytes"])

    return find


def bytes_to_incrcp(measured: Measured) -> Found:
    """Bytes per checkpoint relative to IncrCP without its faults."""
    for cell in measured.cells:
        for where, row, peer in _pairs(cell, OURS, INCRCP_MENDED):
            if row["share"] < 0.5:
                yield where, row["bytes"] / peer["bytes"]


def als_bytes(measured: Measured) -> Found:
    """Bytes of all epochs of an ALS trial relative to those of torch.save."""
    for cell in measured.cells:
        for where, row, peer in _pairs(cell, OURS_SMALL, TORCH_SAVE):
            if row["epoch_ms"]:
                yield where, row["total_bytes"] / (row["versions"] * peer["bytes"])


def recomputed_bytes(measured: Measured) -> Found:
    """The same with the users of most epochs computed again instead of stored."""
    saved = {r["trace"]: r["versions"] * r["bytes"] for _, r in _of(measured.cells, TORCH_SAVE)}
    for found in measured.figures.get("recomputed", []):
        if found["trace"] in saved:
            yield found["trace"], found["bytes"] / saved[found["trace"]]


def slowest_recovery(measured: Measured) -> Found:
    """The slowest of the restored versions relative to loading a torch.save file, warm."""
    for cell in measured.cells:
        for where, row, peer in _pairs(cell, OURS, TORCH_SAVE):
            ours, theirs = _warm(row), sorted(_warm(peer).values())
            version = max(ours, key=ours.__getitem__)
            yield f"{where}, v={version}", ours[version] / theirs[len(theirs) // 2]


def recovery_spread(measured: Measured) -> Found:
    """The slowest of the restored versions relative to the fastest."""
    for where, row in _of(measured.cells, OURS):
        warm = _warm(row).values()
        yield where, max(warm) / min(warm)


def recovery_to(other: str) -> Callable[[Measured], Found]:
    """Restoring the last version relative to another strategy, where 5 % of the rows change."""

    def find(measured: Measured) -> Found:
        for cell in _with_share(measured.cells, 0.05):
            for where, row, peer in _pairs(cell, OURS, other):
                version = max(_warm(peer))
                ours = _warm(row)[max(_warm(row))]
                yield f"{where}, v={version}", ours / _warm(peer)[version]

    return find


def wrong_rows(measured: Measured) -> Found:
    """Rows that were restored wrongly."""
    for name in (OURS, OURS_SMALL, OURS_UNTOLD):
        for where, row in _of(measured.cells, name):
            yield f"{where}, {name}", sum(row["wrong_rows"].values())


def allocated_to_live(measured: Measured) -> Found:
    """Allocated bytes after a collection relative to those that checkpoints need."""
    for found in measured.figures.get("collections", []):
        yield f"{found['trace']}, {found['codec']}", found["allocated_bytes"] / found["live_bytes"]


def clone_bytes(measured: Measured) -> Found:
    """Bytes that a clone or a rerun adds, relative to 4 KiB + 0.1 % of the state."""
    for found in measured.figures.get("clones", []):
        if found["how"] != "anew":
            where = f"{found['trace']}, {found['how']}"
            yield where, found["added_bytes"] / found["allowed_bytes"]


def writers_rate(measured: Measured) -> Found:
    """Checkpoints per second of several writers relative to plain synced files."""
    if "writers" in measured.figures:
        yield (
            f"{measured.figures['writers']['processes']} processes",
            measured.figures["writers"]["ratio"],
        )


def flips_missed(measured: Measured) -> Found:
    """Flipped bits that a restore did not notice."""
    for name, counts in measured.figures.get("flips", {}).items():
        if name in (OURS, OURS_SMALL):
            yield name, counts["silently"]


TARGETS = (
    Target("blocking per save, x memcpy of the state", 2.0, blocking_to_memcpy),
    Target("blocking per save, share of an ALS d=64 epoch", 0.01, blocking_to_epoch),
    Target("whole search slower by", 0.02, search_slower),
    Target("durable at p = 5 %, x torch.save+fsync", 0.08, durable(0.05, TORCH_SAVE_SYNCED)),
    Target("durable at p = 5 %, x DCP", 0.15, durable(0.05, DISTRIBUTED)),
    Target("durable at p = 0.1 %, x torch.save+fsync", 0.01, durable(0.001, TORCH_SAVE_SYNCED)),
    Target("durable of dense states, x torch.save+fsync", 0.8, durable(1.0, TORCH_SAVE_SYNCED)),
    Target("sparse bytes, raw, x p(1+1/rho)", SLACK, law(OURS, 1.0)),
    Target("sparse bytes, deltas, x 1.05 p(1+1/rho)", 0.65, law(OURS_SMALL, SLACK)),
    Target("sparse bytes, x IncrCP mended", 0.8, bytes_to_incrcp),
    Target("all ALS epochs, x torch.save, lossless", 0.76, als_bytes),
    Target("all ALS epochs, x torch.save, with extrapolation", 0.70, als_bytes),
    Target("all ALS epochs, x torch.save, with recompute", 0.35, recomputed_bytes),
    Target("recovery of any version, x torch.load, warm", 2.0, slowest_recovery),
    Target("recovery, slowest / fastest version", 2.5, recovery_spread),
    Target("recovery of the last version, x IncrCP mended", 0.1, recovery_to(INCRCP_MENDED)),
    Target("recovery of the last version, x naive rows", 0.5, recovery_to(NAIVE)),
    Target("rows restored wrongly", 0, wrong_rows),
    Target("allocated after a collection, x live bytes", 1.10, allocated_to_live),
    Target("bytes added by a clone, x (4 KiB + 0.1 %)", 1.0, clone_bytes),
    Target("writers together, x plain synced files", 0.9, writers_rate, at_least=True),
    Target("flipped bits not noticed", 0, flips_missed),
)


def _of(cells: list[Cell], name: str) -> Iterable[tuple[str, Row]]:
    for cell in cells:
        row = cell.get(name)
        if row is not None and row["versions"]:
            yield row["trace"], row


def _pairs(cell: Cell, ours: str, other: str) -> Iterable[tuple[str, Row, Row]]:
    row, peer = cell.get(ours), cell.get(other)
    if row and peer and row["versions"] and peer["versions"]:
        yield row["trace"], row, peer


def _with_share(cells: list[Cell], share: float) -> list[Cell]:
    return [cell for cell in cells if next(iter(cell.values()))["share"] == share]


def _warm(row: Row) -> dict[int, float]:
    return {int(version): times["median"] for version, times in row["warm_ms"].items()}

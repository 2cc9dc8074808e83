"""How many bytes a store holds, for whom, and how many nobody needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from recsearch.store.catalog import Catalog, epoch_of, labels_of, unpacked
from recsearch.store.inventory import Inventory, take_inventory
from recsearch.store.layout import Layout
from recsearch.store.reader import Source
from recsearch.store.segment import CODECS

T = TypeVar("T")

GROUPS = ("run", "algorithm", "policy")


@dataclass(frozen=True)
class Share:
    """What some checkpoints hold.

    Attributes:
        checkpoints: How many there are; one that several owners keep counts for each.
        epochs: How many different epochs of trials they restore to.
        logical_bytes: Raw bytes of the arrays of all of them: what plain files would take.
        stored_bytes: Bytes of the blobs that they refer to, each counted once, and of their
            manifests. A blob that others need too counts for each of them.
        seconds: Time that training and evaluating their epochs took, where it is recorded.
        save_seconds: Time that their trials had spent on saving when the last of them was saved,
            where it is recorded.
    """

    checkpoints: int
    epochs: int
    logical_bytes: int
    stored_bytes: int
    seconds: float
    save_seconds: float

    @property
    def ratio(self) -> float:
        """Stored relative to logical bytes."""
        return self.stored_bytes / self.logical_bytes if self.logical_bytes else 0.0


@dataclass(frozen=True)
class Usage(Share):
    """A whole store; ``stored_bytes`` are those of all packs, hints and manifests.

    Attributes:
        packs: Number of packs.
        unreferenced_bytes: Stored bytes that no checkpoint needs. A collection frees whole packs,
            and rewrites packs where that makes up more than a tenth.
        keys: Each trial's share.
        groups: By ``run``, ``algorithm`` and ``policy``: the shares by name.
        codecs: By codec, of the blobs that checkpoints need: ``blobs``, ``raw_bytes``, and
            ``stored_bytes``.
        run_codecs: The same by run, of the blobs that its checkpoints need.
        restorable: The epochs of each trial all packs of which are there, by key. Whether their
            blobs are intact, `verify` tells.
    """

    packs: int
    unreferenced_bytes: int
    keys: Mapping[str, Share]
    groups: Mapping[str, Mapping[str, Share]]
    codecs: Mapping[str, Mapping[str, int]]
    run_codecs: Mapping[str, Mapping[str, Mapping[str, int]]]
    restorable: Mapping[str, tuple[int, ...]]


def measure(source: Source, catalog: Catalog) -> Usage:
    """Measure a store; reads the manifests that no catalog knows, and no blob.

    Raises:
        StoreDamagedError: a manifest cannot be read.
    """
    backend = source.backend
    listed = ((Layout.parse_pack(e.name), e.size) for e in backend.list(Layout.PACKS))
    packs = {ulid: size for ulid, size in listed if ulid is not None}
    hints = [e.size for prefix in (Layout.INDEX, Layout.CATALOG) for e in backend.list(prefix)]
    catalog.refresh()
    for error in catalog.damaged.values():
        raise error
    needed = catalog.needed() & packs.keys()
    inventory = take_inventory(catalog, needed)
    tally = _Tally(catalog, inventory)
    labels = labels_of(catalog.rows.values())
    found = [labels[label] for _, label in tally.trials]
    everything = tally.shares([""] * len(found)).get("", Share(0, 0, 0, 0, 0.0, 0.0))
    live = inventory.rows[np.unique(tally.blob)]
    unneeded = sum(packs.values()) - sum(packs[ulid] for ulid in needed)
    return Usage(
        checkpoints=everything.checkpoints,
        epochs=everything.epochs,
        logical_bytes=everything.logical_bytes,
        stored_bytes=sum(packs.values()) + sum(hints) + int(tally.sizes.sum()),
        seconds=everything.seconds,
        save_seconds=everything.save_seconds,
        packs=len(packs),
        unreferenced_bytes=unneeded + int(inventory.stored.sum() - live["stored"].sum()),
        keys=tally.shares([key for key, _ in tally.trials]),
        groups={n: tally.shares([label.get(n, "none") for label in found]) for n in GROUPS},
        codecs=_by_codec(live),
        run_codecs={
            run: _by_codec(inventory.rows[blobs])
            for run, blobs in tally.blobs([label.get("run", "none") for label in found]).items()
        },
        restorable=_restorable(catalog, packs.keys()),
    )


def _restorable(catalog: Catalog, packs: Set[str]) -> dict[str, tuple[int, ...]]:
    blobs, row = catalog.places()
    there = np.array([ulid in packs for ulid in catalog.packs], bool)
    broken = set(np.unique(row[~there[unpacked(blobs)[:, 0]]]).tolist())
    found: dict[str, set[int]] = {}
    for at, ref in enumerate(catalog.rows):
        name = Layout.parse_manifest(ref)
        if name is not None and at not in broken:
            found.setdefault(name.key, set()).add(name.epoch)
    return {key: tuple(sorted(epochs)) for key, epochs in sorted(found.items())}


def _by_codec(rows: np.ndarray) -> dict[str, dict[str, int]]:
    found = {}
    for number in np.unique(rows["codec"]).tolist():
        mine = rows[rows["codec"] == number]
        sizes = {f"{kind}_bytes": int(mine[kind].sum()) for kind in ("raw", "stored")}
        found[CODECS[number]] = {"blobs": len(mine), **sizes}
    return found


class _Tally:
    """The rows of a catalog, to be added up in any grouping of trials.

    Attributes:
        trials: Key and label of each; one of several owners counts as so many.
        sizes: Bytes of each manifest.
        blob: The blobs that they need, by number in the inventory; missing ones left out.
    """

    def __init__(self, catalog: Catalog, inventory: Inventory):
        rows = catalog.rows.values()
        self.sizes = np.array([r.size for r in rows], np.int64)
        self._logical = np.array([r.logical for r in rows], np.int64)
        self._seconds = np.array([r.seconds for r in rows], float)
        self._saved = np.array([r.save_seconds for r in rows], float)
        self._stored = inventory.stored
        self._epoch = _numbered(map(epoch_of, catalog.rows), {})
        self.trials: dict[tuple[str, str], int] = {}
        pairs = ((ref.split("/")[2], row.label) for ref, row in catalog.rows.items())
        self._trial = _numbered(pairs, self.trials)
        blobs, row = catalog.places()
        live = catalog.live()
        # The epochs of a trial share most of what they need.
        trials, blobs = _unique_pairs(self._trial[row], np.searchsorted(live, blobs))
        at = inventory.find(live)[blobs]
        self._needs, self.blob = trials[at >= 0], at[at >= 0]

    def shares(self, names: Sequence[str]) -> dict[str, Share]:
        """Add up the rows of the trials of each name, sorted; there is one name for each trial."""
        numbers: dict[str, int] = {}
        group_of = _numbered(names, numbers)
        group = group_of[self._trial]
        saved = np.zeros(len(group_of))
        np.maximum.at(saved, self._trial, self._saved)
        blobs = _unique_pairs(group_of[self._needs], self.blob)
        epochs = _unique_pairs(group, self._epoch)

        def total(values: np.ndarray, group: np.ndarray = group) -> list[float]:
            return np.bincount(group, values, len(numbers)).tolist()

        columns = zip(
            total(np.ones(len(group))),
            total(np.ones(len(epochs[0])), epochs[0]),
            total(self._logical),
            total(self._stored[blobs[1]], blobs[0]),
            total(self.sizes),
            total(self._seconds),
            total(saved, group_of),
            strict=True,
        )
        found = {
            name: Share(int(n), int(epochs), int(logical), int(stored + size), seconds, saving)
            for name, (n, epochs, logical, stored, size, seconds, saving) in zip(
                numbers, columns, strict=True
            )
        }
        return dict(sorted(found.items()))

    def blobs(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """What the trials of each name need, each blob once, by number in the inventory."""
        numbers: dict[str, int] = {}
        group, blob = _unique_pairs(_numbered(names, numbers)[self._needs], self.blob)
        return {name: blob[group == number] for name, number in sorted(numbers.items())}


def _numbered(items: Iterable[T], numbers: dict[T, int]) -> np.ndarray:
    """The number of each item; a new one gets the next number."""
    return np.array([numbers.setdefault(item, len(numbers)) for item in items], np.int64)


def _unique_pairs(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    span = 1 + two.max(initial=0)
    return np.divmod(np.unique(one * span + two), span)

"""How many bytes a store holds, for whom, and how many nobody needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsearch.store.bulk import Numbers
from recsearch.store.catalog import Catalog, epoch_of, labels_of
from recsearch.store.inventory import Inventory, take_inventory
from recsearch.store.layout import Layout
from recsearch.store.reader import Source
from recsearch.store.segment import CODECS

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
    """

    packs: int
    unreferenced_bytes: int
    keys: Mapping[str, Share]
    groups: Mapping[str, Mapping[str, Share]]
    codecs: Mapping[str, Mapping[str, int]]


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
    everything = tally.shares(["" for _ in catalog.rows]).get("", Share(0, 0, 0, 0, 0.0, 0.0))
    labels = labels_of(catalog.rows.values())
    found = [labels[row.label] for row in catalog.rows.values()]
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
        keys=tally.shares([ref.split("/")[2] for ref in catalog.rows]),
        groups={n: tally.shares([label.get(n, "none") for label in found]) for n in GROUPS},
        codecs=_by_codec(live),
    )


def _by_codec(rows: np.ndarray) -> dict[str, dict[str, int]]:
    found = {}
    for number in np.unique(rows["codec"]).tolist():
        mine = rows[rows["codec"] == number]
        sizes = {f"{kind}_bytes": int(mine[kind].sum()) for kind in ("raw", "stored")}
        found[CODECS[number]] = {"blobs": len(mine), **sizes}
    return found


class _Tally:
    """The rows of a catalog, to be added up in any grouping.

    Attributes:
        sizes: Bytes of each manifest.
        blob: The blobs that they need, by number in the inventory; missing ones left out.
    """

    def __init__(self, catalog: Catalog, inventory: Inventory):
        rows = catalog.rows.values()
        blobs, row = catalog.places()
        at = inventory.find(blobs)
        self.blob, self._row = at[at >= 0], row[at >= 0]
        self._stored = inventory.stored
        self.sizes = np.array([r.size for r in rows], np.int64)
        self._logical = np.array([r.logical for r in rows], np.int64)
        self._seconds = np.array([r.seconds for r in rows], float)
        self._saved = np.array([r.save_seconds for r in rows], float)
        self._epoch = _numbered([epoch_of(ref) for ref in catalog.rows])
        self._trial = _numbered([ref.split("/")[2] + r.label for ref, r in catalog.rows.items()])

    def shares(self, names: Sequence[str]) -> dict[str, Share]:
        """Add up the rows of each name, which belongs to whole trials; sorted."""
        numbers = Numbers()
        group = np.array([numbers.of(name) for name in names], np.int64)

        def total(values: np.ndarray, group: np.ndarray = group) -> list[float]:
            return np.bincount(group, values, len(numbers)).tolist()

        blobs = _unique_pairs(group[self._row], self.blob)
        epochs = _unique_pairs(group, self._epoch)
        saved = np.zeros(self._trial.max(initial=-1) + 1)
        np.maximum.at(saved, self._trial, self._saved)
        group_of = np.zeros(len(saved), np.int64)
        group_of[self._trial] = group
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


def _numbered(texts: Sequence[str]) -> np.ndarray:
    numbers = Numbers()
    return np.array([numbers.of(text) for text in texts], np.int64)


def _unique_pairs(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    span = 1 + two.max(initial=0)
    return np.divmod(np.unique(one * span + two), span)

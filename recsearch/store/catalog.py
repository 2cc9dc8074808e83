"""What all manifests say of sizes, owners and blobs, without reading each of them every time.

A manifest never changes and no name is used twice, so what was once read of one stays true for as
long as it is listed. A collection writes that down; like the index it is a hint that is hashed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsearch.errors import StoreDamagedError
from recsearch.state import Json
from recsearch.store.backend import Backend
from recsearch.store.bulk import Numbers, in_parallel, outgrown
from recsearch.store.layout import Layout, ManifestName, are_ulids, new_ulid
from recsearch.store.manifest import Manifest, read_manifest
from recsearch.store.segment import IndexFiles
from recsearch.store.wire import frame, from_json, to_json, unframe

MAGIC = b"RSCATLG1"
_PASSES = 5
"""How often to list anew. A listing that lags behind shows what is gone for a while."""
_MANY = 64
"""So many manifests that no catalog knows are worth a new one."""


@dataclass(frozen=True, eq=False, slots=True)
class Summary:
    """One manifest.

    Attributes:
        size: Its bytes.
        logical: Raw bytes of its arrays.
        label: Owner, run, search, retention and such, as far as its ``info`` has them.
        value: Of the objective; NaN if not recorded.
        seconds: Time that training and evaluating the epoch took, if recorded.
        save_seconds: Time that saving took in all epochs of the trial before, if recorded.
        places: Number of the pack and offset of each blob that it needs, shape (n, 2), int64.
    """

    size: int
    logical: int
    label: str
    value: float
    seconds: float
    save_seconds: float
    places: np.ndarray


class Catalog:
    """Summaries of the manifests of a store, kept up to date. Belongs to one thread.

    Attributes:
        index: What is known of the index.
        packs: ULIDs by number.
        rows: The summaries of all manifests that were there at the last :meth:`refresh`, by name.
        damaged: The manifests that could not be read then.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._numbers = Numbers()
        self._files: dict[str, set[str]] = {}
        self._names: dict[str, ManifestName] = {}
        self._places: tuple[np.ndarray, np.ndarray] | None = None
        self._live: np.ndarray | None = None
        self.index = IndexFiles(backend)
        self.packs: list[str] = []
        self.rows: dict[str, Summary] = {}
        self.damaged: dict[str, StoreDamagedError] = {}

    def refresh(self, tick: Callable[[], None] = lambda: None) -> Mapping[str, ManifestName]:
        """List the manifests, and read those that are not known.

        Those that cannot be read are in :attr:`damaged` and not in :attr:`rows`.

        Args:
            tick: Called every few seconds at least.
        """
        self._places = self._live = None
        listed = {e.name for e in self._backend.list(Layout.CATALOG) if _is_catalog(e.name)}
        self._files = {name: refs for name, refs in self._files.items() if name in listed}
        for name in sorted(listed - self._files.keys()):
            self._files[name] = self._load(name)
        for _ in range(_PASSES):
            if self._list(tick):
                break
        if len(self.packs) > _MANY + 2 * len(self.needed()):
            self._renumber()
        return self._names

    def save(self) -> None:
        """Write what no catalog knows, if that saves others much reading. For collectors only."""
        fresh = self.rows.keys() - set[str]().union(*self._files.values())
        if len(fresh) < _MANY:
            return
        live = {name: refs & self.rows.keys() for name, refs in self._files.items()}
        merged = outgrown({name: len(refs) for name, refs in live.items()}, len(fresh))
        chosen = fresh.union(*(live[name] for name in merged))
        name = Layout.catalog(new_ulid())
        self._backend.put_create(name, [self._encode(sorted(chosen))], durable=False)
        for old in merged:
            self._backend.delete(old)
            del self._files[old]
        self._files[name] = chosen

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """What all rows need: blobs (see :func:`packed`), and the number of the row of each."""
        if self._places is None:
            arrays = [row.places for row in self.rows.values()]
            counts = [len(places) for places in arrays]
            blobs = packed(np.concatenate([np.empty((0, 2), np.int64), *arrays]))
            self._places = blobs, np.repeat(np.arange(len(arrays)), counts)
        return self._places

    def live(self) -> np.ndarray:
        """All blobs that any manifest needs (see :func:`packed`), in order."""
        if self._live is None:
            self._live = np.unique(self.places()[0])
        return self._live

    def needed(self) -> set[str]:
        """The packs that any manifest needs."""
        return {self.packs[n] for n in np.unique(unpacked(self.live())[:, 0]).tolist()}

    def number(self, ulid: str) -> int:
        """The number of a pack."""
        if ulid not in self._numbers:
            self.packs.append(ulid)
        return self._numbers.of(ulid)

    def _list(self, tick: Callable[[], None]) -> bool:
        """List the manifests, read those that are not known, and say if all were still there.

        One that is not may have a successor that needs the same packs and is not in the list.
        """
        refs = {entry.name for entry in self._backend.list(Layout.CHECKPOINTS)}
        new = (Layout.parse_manifest(ref) for ref in refs - self._names.keys())
        self._names = {ref: name for ref, name in self._names.items() if ref in refs}
        self._names |= {name.ref: name for name in new if name is not None}
        self.rows = {ref: row for ref, row in self.rows.items() if ref in refs}
        self.damaged = {}
        unknown = [self._names[ref] for ref in sorted(self._names.keys() - self.rows.keys())]
        complete = True
        for name, found in zip(unknown, in_parallel(self._try, unknown, tick), strict=True):
            if isinstance(found, Manifest):
                self.rows[name.ref] = self._summarise(found)
            elif found is None:
                complete = False
            else:
                self.damaged[name.ref] = found
        return complete

    def _try(self, name: ManifestName) -> Manifest | StoreDamagedError | None:
        try:
            return read_manifest(self._backend, name)
        except FileNotFoundError:
            return None
        except StoreDamagedError as error:
            return error

    def _summarise(self, manifest: Manifest) -> Summary:
        places = [(self.number(p.pack), p.offset) for p in sorted(manifest.places)]
        return Summary(
            manifest.size,
            manifest.logical_bytes,
            to_json(label_of(manifest.info), "label"),
            *_figures(manifest.info),
            np.array(places, np.int64).reshape(-1, 2),
        )

    def _renumber(self) -> None:
        # A process that runs for days would remember all packs that there have ever been.
        packs, self.packs, self._numbers = self.packs, [], Numbers()
        self._places = self._live = None
        for ref, row in self.rows.items():
            numbers = [self.number(packs[n]) for n in row.places[:, 0].tolist()]
            places = np.stack([np.array(numbers, np.int64), row.places[:, 1]], axis=1)
            self.rows[ref] = replace(row, places=places)

    def _encode(self, refs: Sequence[str]) -> bytes:
        packs, labels = Numbers(), Numbers()
        rows = [self.rows[ref] for ref in refs]
        numbers = [(r.size, r.logical, labels.of(r.label), len(r.places)) for r in rows]
        figures = [(r.value, r.seconds, r.save_seconds) for r in rows]
        places = np.concatenate([row.places for row in rows])
        places[:, 0] = packs.translate(self.packs, places[:, 0])
        content: dict[str, Any] = {
            "v": 2,
            "refs": list(refs),
            "packs": list(packs),
            "labels": list(labels),
            "numbers": np.array(numbers, "<i8").tobytes(),
            "figures": np.array(figures, "<f8").tobytes(),
            "places": places.astype("<i8").tobytes(),
        }
        return frame(MAGIC, content)

    def _load(self, name: str) -> set[str]:
        """Take over what a catalog says; returns the manifests that it knows."""
        try:
            content = unframe(MAGIC, self._backend.get(name))
            refs, packs, labels = (list(content[n]) for n in ("refs", "packs", "labels"))
            numbers = np.frombuffer(content["numbers"], "<i8").reshape(-1, 4)
            figures = np.frombuffer(content["figures"], "<f8").reshape(-1, 3)
            places = np.frombuffer(content["places"], "<i8").reshape(-1, 2).copy()
            fits = len(refs) == len(numbers) == len(figures) and are_ulids(packs)
            whole = numbers.min(initial=0) >= 0 and numbers[:, 3].sum() == len(places)
            if not (fits and whole and _within(places[:, 0], packs)):
                return set()
            places[:, 0] = np.array([self.number(ulid) for ulid in packs] or [0])[places[:, 0]]
            rows = zip(refs, numbers.tolist(), figures.tolist(), strict=True)
            found, end = {}, 0
            for ref, (size, logical, label, count), (value, seconds, saving) in rows:
                mine, end = places[end : end + count], end + count
                found[ref] = Summary(size, logical, labels[label], value, seconds, saving, mine)
        except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError):
            return set()  # replaced since, or damaged: the manifests know better
        self.rows = found | self.rows
        return set(refs)


def label_of(info: Mapping[str, Json]) -> dict[str, str]:
    """What ``ls`` shows and ``du`` groups by, as far as a manifest's ``info`` has it."""
    search, trial = info.get("search"), info.get("trial")
    found = {
        "owner": info.get("owner"),
        "run": info.get("owner", info.get("run")),
        "trial": str(trial) if isinstance(trial, int) else trial,
        "search": search.get("name") if isinstance(search, Mapping) else search,
        "algorithm": info.get("model"),
        "policy": info.get("retention"),
        "objective": info.get("objective"),
    }
    label = {name: value for name, value in found.items() if isinstance(value, str)}
    if "run" in label:
        label["run"] = label["run"].rpartition("/")[0] or label["run"]
    return label


def _figures(info: Mapping[str, Json]) -> tuple[float, float, float]:
    """Value of the objective; seconds of the epoch to train and evaluate; of all so far to save."""
    metrics, objective, history = (info.get(n) for n in ("metrics", "objective", "history"))
    value = (
        metrics.get(objective) if isinstance(metrics, dict) and isinstance(objective, str) else None
    )
    rows = [row for row in history if isinstance(row, dict)] if isinstance(history, list) else []
    # A pin repeats what its owner's manifests say.
    whole = str(info.get("owner", info.get("run"))).startswith(str(info.get("run")))
    own = [r for r in rows if whole and all(r.get(n) == info.get(n) for n in ("run", "trial"))]

    def total(rows: Iterable[Mapping[str, Json]], *names: str) -> float:
        times = (row.get(name) for row in rows for name in names)
        return float(sum(time for time in times if isinstance(time, int | float)))

    number = float(value) if isinstance(value, int | float) else math.nan
    return number, total(rows[-1:], "train_s", "eval_s"), total(own, "save_s")


def _is_catalog(name: str) -> bool:
    ulid = Layout.ulid_of(name)
    return ulid is not None and name == Layout.catalog(ulid)


def _within(numbers: np.ndarray, texts: Sequence[str]) -> bool:
    return bool(((numbers >= 0) & (numbers < len(texts))).all())


def epoch_of(ref: str) -> str:
    """What the names of all manifests of one epoch of a trial begin with."""
    return ref.rpartition("-")[0]


_OFFSET_BITS = 40


def packed(places: np.ndarray) -> np.ndarray:
    """Pairs of pack number and offset as single sortable numbers."""
    return places[:, 0] << _OFFSET_BITS | places[:, 1]


def unpacked(numbers: np.ndarray) -> np.ndarray:
    """The inverse of :func:`packed`."""
    return np.stack([numbers >> _OFFSET_BITS, numbers & ((1 << _OFFSET_BITS) - 1)], axis=1)


def labels_of(rows: Iterable[Summary]) -> dict[str, dict[str, str]]:
    """The parsed labels by their text."""
    return {text: from_json(text) for text in {row.label for row in rows}}

"""Bytes of a store beyond those of one trainer: clones, what collections leave, recomputing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store.als import AlsTrace, ratings
from benchmarks.store.disk import disk_usage
from benchmarks.store.ours import KEY
from benchmarks.store.trace import Tables, Touched, Trace
from recsearch.models import resolve
from recsearch.state import Part, State
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.track import Codec

CODECS: tuple[Codec, ...] = ("fast", "small")
PLAIN = "tables"
"""The part of tables whose name names none."""
PASSES = 5
"""Collections until nothing changes any more; the first one marks, the next one deletes."""


def clones(folder: Path, traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """What it adds to save for another trial what is stored already.

    ``rerun``: the same training once more, per checkpoint. ``restored``: the last checkpoint, by a
    trainer that has been restored from it, as in population based training. ``anew``: the same by
    a trainer that knows nothing of the first one; of a table with patches on top there is no
    whole copy yet that could be shared.
    """
    found = []
    for number, trace in enumerate(traces):
        place = folder / f"clone{number}"
        live = _save_all(place, trace, "fast", KEY)
        with Store.open(place) as store:
            for how in ("restored", "anew", "rerun"):
                key, before = how.encode().hex().ljust(64, "c"), _size(place)
                count = _clone(store, trace, live, key, how)
                found.append(
                    {
                        "trace": trace.name,
                        "how": how,
                        "state_bytes": trace.nbytes,
                        "added_bytes": (_size(place) - before) // count,
                        "allowed_bytes": 4096 + trace.nbytes // 1000,
                    }
                )
    return found


def _clone(store: Store, trace: Trace, live: Tables, key: str, how: str) -> int:
    if how == "rerun":
        _save_all(Path(store.url), trace, "fast", key)
        return trace.versions
    after = store.read(KEY) if how == "restored" else None
    with store.track(codec="fast", after=after) as track:
        track.stage(state_of(trace, live, {})).commit(key, trace.versions, {})
    return 1


def collections(folder: Path, traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """What is left when all versions but the best and the last have been dropped and collected."""
    found = []
    for number, trace in enumerate(traces):
        for codec in CODECS:
            place = folder / f"collect{number}{codec}"
            _save_all(place, trace, codec, KEY)
            before = disk_usage(place)[1]
            best = 1 + trace.versions // 3
            records = [Record(e, float(abs(e - best))) for e in range(1, trace.versions + 1)]
            with Store.open(place) as store:
                store.retain(KEY, BestAndLast("min"), records)
                collect_all(store)
                found.append(
                    {
                        "trace": trace.name,
                        "codec": codec,
                        "kept": store.epochs(KEY),
                        "logical_bytes": len(store.epochs(KEY)) * trace.nbytes,
                        "before_bytes": before,
                        "allocated_bytes": disk_usage(place)[1],
                        "live_bytes": live_bytes(store),
                    }
                )
    return found


def recomputed(folder: Path, trace: AlsTrace) -> dict[str, Any]:
    """All epochs of an ALS trial, users computed again from the items but for best and last.

    Every epoch is restored and compared, bit for bit.
    """
    family, split = resolve("als"), ratings()[0]
    made = family.remade(trace.config)
    if made is None:
        raise ValueError("ALS users can be computed again")
    whole, (source_part, source) = (made.part,), made.source
    live = _save_all(folder, trace, "small", KEY, whole=whole)
    full, best, wrong = disk_usage(folder)[0], trace.versions // 3, 0
    with Store.open(folder) as store:
        for epoch in set(range(1 + made.epochs_back, trace.versions)) - {best}:
            given = (epoch - made.epochs_back, source_part, source)
            store.thin(KEY, epoch, (made.part, made.array), given)
        collect_all(store)
        for version, _ in trace.replay(live):
            parts = store.restore(
                KEY,
                version + 1,
                remake=lambda part, name, array: family.remake(trace.config, split, array),
            )
            wrong += sum(
                parts[part].tensors[name].tobytes() != table.tobytes()
                for (part, name), table in _named(live).items()
            )
    return {
        "trace": trace.name,
        "kept_whole": [1, best, trace.versions],
        "bytes_before": full,
        "bytes": disk_usage(folder)[0],
        "wrong_arrays": wrong,
    }


def collect_all(store: Store) -> None:
    """Collect until nothing more can be freed."""
    place, before = Path(store.url), -1
    for _ in range(PASSES):
        store.collect(grace_s=0)
        size = _size(place)
        if size == before:
            return
        before = size


def live_bytes(store: Store) -> int:
    """Bytes of all blobs that manifests refer to, each counted once, and of the manifests."""
    manifests = list(store.manifests())
    places = {place for manifest in manifests for place in manifest.places}
    return sum(store._source.blob(place).stored for place in places) + sum(
        manifest.size for manifest in manifests
    )


def state_of(trace: Trace, tables: Tables, touched: Touched) -> State:
    """Tables by the part that their name begins with; those without all in one."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for (part, name), table in _named(tables).items():
        parts.setdefault(part, {})[name] = table
    rows = {name: ids for name, ids in touched.items() if "/" not in name}
    constant = {name.partition("/")[0] for name in trace.constant}
    return {
        part: Part(arrays, constant=part in constant, touched=rows if part == PLAIN else {})
        for part, arrays in parts.items()
    }


def _named(tables: Tables) -> dict[tuple[str, str], np.ndarray]:
    split = ((name.partition("/"), table) for name, table in tables.items())
    return {(a, c) if c else (PLAIN, a): table for (a, _, c), table in split}


def _save_all(
    place: Path, trace: Trace, codec: Codec, key: str, whole: Sequence[str] = ()
) -> Tables:
    """Save all versions as one trial; the last one."""
    live = trace.empty()
    with Store.open(place) as store, store.track(codec=codec, whole=whole) as track:
        for version, touched in trace.replay(live):
            track.stage(state_of(trace, live, touched)).commit(key, version + 1, {})
    return live


def _size(place: Path) -> int:
    return disk_usage(place)[0]

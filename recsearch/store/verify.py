"""Verification: what of a store is damaged, whom that hits, and what to do about it."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from recsearch.errors import UsageError
from recsearch.store.backend import Backend
from recsearch.store.layout import ManifestName
from recsearch.store.survey import Kind, Level, Survey

UNCHECKED: Mapping[Level, str] = {
    "structure": "the stored bytes of all arrays (level data)",
    "data": "whether stored bytes decode to what their names say (level restore)",
    "restore": "arrays that are not stored because a model computes them again",
}
_REPAIR = "recsearch store repair"
_REMEDIES: Mapping[Kind, str] = {
    "lease": f"{_REPAIR} --leases, while no search is using the store",
    "unreadable": "make it readable with this version of recsearch, and verify again",
}


class Hit(NamedTuple):
    """A checkpoint that cannot be restored, and the epoch of its trial to turn to.

    That is the epoch itself where another owner's manifest of it is intact.
    """

    key: str
    epoch: int
    nearest_intact: int | None


@dataclass(frozen=True)
class Problem:
    """One damaged thing.

    Attributes:
        kind: What it is. What is ``unreadable`` may be sound: the medium fails, or a newer version
            of recsearch wrote it.
        what: Which one it is, and how it is damaged.
        checkpoints: The checkpoints that it hits; none for a hint or an unreferenced blob.
        remedy: The command that mends it.
    """

    kind: Kind
    what: str
    checkpoints: tuple[Hit, ...]
    remedy: str


@dataclass(frozen=True)
class VerifyReport:
    """The result of a verification.

    Attributes:
        level: How thorough it was.
        sample: Share of the blobs whose bytes were read.
        seed: The same one reads the same blobs again.
        checkpoints: Manifests read.
        packs: Packs in the store.
        blobs: Blobs in them.
        bytes_read: Stored bytes of blobs compared with their hashes.
        unchecked: What this level does not find.
        problems: What is damaged; empty for a sound store.
    """

    level: Level
    sample: float
    seed: int
    checkpoints: int
    packs: int
    blobs: int
    bytes_read: int
    unchecked: str
    problems: tuple[Problem, ...]


def verify(
    backend: Backend, level: Level = "data", sample: float = 1.0, seed: int | None = None
) -> VerifyReport:
    """Check a store; see :meth:`Store.verify`.

    Raises:
        UsageError: there is no such level or share.
    """
    if level not in UNCHECKED or not 0 < sample <= 1 or (sample < 1 and level != "data"):
        raise UsageError(
            f"cannot verify {sample:.0%} at level {level!r}: levels are {', '.join(UNCHECKED)}, "
            "and only level data takes a share, more than 0 and at most 1"
        )
    seed = secrets.randbits(32) if seed is None else seed
    survey = Survey(backend, level, sample, seed)
    survey.run()
    unchecked = UNCHECKED[level]
    if sample < 1:
        unchecked = f"all but {sample:.0%} of the blobs (seed {seed}), and {unchecked}"
    neighbours = Neighbours(survey.names, survey.damaged)
    problems = (
        Problem(*fault, neighbours.hits(names), _REMEDIES.get(fault[0], _REPAIR))
        for fault, names in sorted(survey.problems.items())
    )
    return VerifyReport(
        level=level,
        sample=sample,
        seed=seed,
        checkpoints=len(survey.names),
        packs=len(survey.tables.keys() | survey.broken.keys()),
        blobs=sum(len(table) for table in survey.tables.values()),
        bytes_read=survey.bytes_read,
        unchecked=unchecked,
        problems=tuple(problems),
    )


class Neighbours:
    """The intact epochs of all trials.

    Args:
        everything: All manifests of the store.
        damaged: Those that do not restore.
    """

    def __init__(self, everything: Iterable[ManifestName], damaged: Set[ManifestName]):
        self._intact: defaultdict[str, set[int]] = defaultdict(set)
        for name in everything:
            if name not in damaged:
                self._intact[name.key].add(name.epoch)

    def hits(self, names: Iterable[ManifestName]) -> tuple[Hit, ...]:
        """The checkpoints of damaged manifests, each with its nearest intact epoch."""
        hit = sorted({(name.key, name.epoch) for name in names})
        return tuple(
            Hit(key, at, min(self._intact[key], key=lambda e: (abs(e - at), e), default=None))
            for key, at in hit
        )

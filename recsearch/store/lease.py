"""Leases: which packs a writer is about to refer to, and who may collect.

A writer's lease (a *pin*) is created before the writer looks whether the packs that it wants to
reuse are marked for deletion, and is deleted after its manifest has appeared. The collector marks
a pack before it reads pins, and reads pins before it reads manifests. Whichever comes first, one
of the two sees the other: no clock and no waiting time is part of that argument. Clocks only
decide when the lease of a dead process may be ignored.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any

from recsearch.errors import StoreDamagedError, StoreError
from recsearch.store.backend import Backend
from recsearch.store.layout import Layout, new_ulid
from recsearch.store.wire import frame, unframe

MAGIC = b"RSLEASE1"
PIN_S = 24 * 3600.0
"""How long a pin holds. Staging is committed within half of it, or is pinned anew."""
COLLECTOR_S = 60.0
"""How long the collector's lease holds; it is renewed at half of it."""


@dataclass(frozen=True)
class Lease:
    """One lease file as it was taken by this process."""

    name: str
    packs: frozenset[str]
    taken: tuple[float, float]
    seconds: float

    @property
    def fresh(self) -> bool:
        """Whether less than half of its time has passed."""
        return self._age() < self.seconds / 2

    @property
    def expired(self) -> bool:
        """Whether other processes may ignore it."""
        return self._age() >= self.seconds

    def _age(self) -> float:
        # One clock stands still while the machine sleeps, the other one may be set back.
        return max(now - then for now, then in zip(_now(), self.taken, strict=True))


class Hold:
    """A pin that several parties need; the last one to release it deletes it."""

    def __init__(self, backend: Backend, lease: Lease, holders: int = 1):
        self.lease = lease
        self._backend = backend
        self._holders = holders
        self._lock = threading.Lock()

    def release(self) -> None:
        """Say that one party has no more need of it."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._backend.delete(self.lease.name)


def pin(backend: Backend, packs: Iterable[str]) -> Lease:
    """Keep the collector from deleting ``packs``, whether they exist yet or not."""
    return _take(backend, Layout.pin(new_ulid()), frozenset(packs), PIN_S)


def is_kept(backend: Backend, ref: str, packs: Set[str]) -> bool:
    """Whether a manifest is there and none of its packs, which a live pin names, is on its way out.

    Then no collection deletes them while the pin is there, even if the manifest is dropped now: a
    tombstone that is still to come is followed by another look at the pins.
    """
    tombs = {Layout.ulid_of(entry.name) for entry in backend.list(Layout.TOMBS)}
    return not tombs & packs and backend.head(ref) is not None


def pinned_packs(backend: Backend) -> set[str]:
    """The packs that live pins name; pins of dead processes are removed.

    Raises:
        StoreDamagedError: a pin cannot be read, so that what it protects is unknown.
    """
    packs: set[str] = set()
    for name, content in _read_all(backend, ".pin", PIN_S):
        if content["expires"] < time.time():
            backend.delete(name)
        else:
            packs.update(content["packs"])
    return packs


class Ownership:
    """The right to delete packs, held by at most one process at a time.

    Raises:
        StoreError: another process holds it.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._lease = self._acquire()

    def check(self) -> None:
        """Assure that the right still holds; call before every deletion.

        Raises:
            StoreError: this process was stopped for so long that another may have taken over.
        """
        if self._lease.expired:
            raise StoreError(
                "the collection was suspended for longer than its lease and has stopped; "
                "nothing was deleted since",
                hint="recsearch store gc",
            )
        if not self._lease.fresh:
            old, self._lease = self._lease, self._create()
            self._backend.delete(old.name)

    def release(self) -> None:
        """Let others collect."""
        self._backend.delete(self._lease.name)

    def _acquire(self) -> Lease:
        mine = self._create()
        # Of two that start together each sees the other here, and both give way.
        for name, content in _read_all(self._backend, ".gc", COLLECTOR_S):
            if name == mine.name:
                continue
            remaining = content["expires"] - time.time()
            if remaining < 0:
                self._backend.delete(name)
                continue
            self._backend.delete(mine.name)
            raise StoreError(
                f"process {content['pid']} on {content['host']} is collecting in "
                f"{self._backend.url}; its lease ends in {remaining:.0f} s at the latest",
                hint="recsearch store gc",
            )
        return mine

    def _create(self) -> Lease:
        return _take(self._backend, Layout.collector(new_ulid()), frozenset(), COLLECTOR_S)


def _take(backend: Backend, name: str, packs: frozenset[str], seconds: float) -> Lease:
    taken = _now()
    content = {
        "v": 1,
        "packs": sorted(packs),
        "expires": taken[1] + seconds,
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    # Not synced: a machine that crashes takes the process with it that the lease protects.
    backend.put_create(name, [frame(MAGIC, content)], durable=False)
    return Lease(name, packs, taken, seconds)


def _now() -> tuple[float, float]:
    return time.monotonic(), time.time()


def _read_all(backend: Backend, suffix: str, seconds: float) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for entry in backend.list(Layout.LEASES):
        if not entry.name.endswith(suffix):
            continue
        try:
            found.append((entry.name, unframe(MAGIC, backend.get(entry.name))))
        except FileNotFoundError:
            continue
        except ValueError as error:
            if entry.modified + seconds < time.time():
                backend.delete(entry.name)  # torn by a crash of the machine: over by now anyway
                continue
            raise StoreDamagedError(
                f"the lease {entry.name} in {backend.url} cannot be read: {error}",
                hint="Delete that file once no search is using the store.",
            ) from error
    return found

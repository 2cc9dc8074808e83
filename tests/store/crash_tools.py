"""A story that a store lives through, and what a disk can hold when its machine dies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_tools import KEY, OTHER_KEY, assert_equal, drop

from recsearch.errors import StoreError
from recsearch.state import Part
from recsearch.store import Store, lease, manifest, series
from recsearch.store.backend import Backend
from recsearch.store.memory import MemoryBackend
from recsearch.store.track import Track

DAYS = 2 * 24 * 3600.0
THIRD_KEY = "ef" * 32


def small_blocks(patch: pytest.MonkeyPatch) -> None:
    """So that a few rows are many blocks, and few patches are too many."""
    patch.setattr(manifest, "BLOCK_BYTES", 512)
    patch.setattr(series, "MAX_PATCHES", 2)


def told(key: str, epoch: int) -> dict[str, Part]:
    """The state of a checkpoint of the story: lines for one trial, sparse changes for others."""
    words = Part({"ids": np.arange(60)}, constant=True)
    if key == KEY:
        rng = np.random.default_rng(4)
        start, speed = rng.integers(0, 2**21, (50, 8)), rng.integers(0, 2**11, (50, 8))
        points = (1 + (start + epoch * speed) / 2**23).astype("<f4")
        return {"m": Part({"points": points}, {"epoch": epoch}), "words": words}
    table = np.random.default_rng(7).normal(size=(60, 8)).astype("<f4")
    for number in range(2, epoch + 1):
        table[changed_rows(number)] += np.float32(number)
    return {"m": Part({"table": table}, {"epoch": epoch}), "words": words}


def changed_rows(epoch: int) -> list[int]:
    return [epoch % 60, epoch * 17 % 60, 59]


class Story:
    """Saves with patches and differences, drops, a pin, collections that repack, a repair.

    Attributes:
        acknowledged: What a save has returned for.
        given_up: What somebody has begun to drop.
    """

    def __init__(self) -> None:
        self.acknowledged: set[tuple[str, int]] = set()
        self.given_up: set[tuple[str, int]] = set()
        self.failures = 0
        self.retries = 0

    def play(self, backend: Backend) -> None:
        """Live through it; with ``retries``, what cannot be written is tried again."""
        store = Store.on(backend)
        try:
            self._play(store)
        finally:
            if store._saver is not None:
                store._saver.close()

    def _play(self, store: Store) -> None:
        tracks: list[Track] = []
        with store.track(codec="small") as one, store.track(codec="fast") as two:
            for epoch in (1, 2, 3):
                self._save(store, KEY, epoch, one)
                self._save(store, OTHER_KEY, epoch, two)
            self._try(lambda: store.adopt(KEY, 2, {"owner": "pin:good", "retention": "all"}))
            one.stage(told(KEY, 9)).abandon()
            self._drop(store, OTHER_KEY, 1, 2)
            self._collect(store)
        self._wait(store)
        self._drop(store, KEY, 1, 2)
        self._collect(store, 9.0)
        self._collect(store)
        self._try(lambda: tracks.append(store.track(after=store.read(OTHER_KEY))))
        with store.track(codec="small") as one, tracks[0] as two:
            for epoch in (4, 5):
                self._save(store, KEY, epoch, one)
                self._save(store, OTHER_KEY, epoch, two)
            array = ("words", "ids")
            self._try(lambda: store.thin(OTHER_KEY, 3, array, (4, *array)))
            self._save(store, OTHER_KEY, 5, None)
            self._save(store, THIRD_KEY, 5, None)
            self._drop(store, KEY, 3, 4)
            self._drop(store, OTHER_KEY, 2, 4)
            self._collect(store)
            self._save(store, KEY, 6, one)
        self._wait(store)
        self._drop(store, KEY, 5)
        self._drop(store, THIRD_KEY, 5)
        self._try(store.repair)
        self._collect(store)
        self._collect(store)

    @staticmethod
    def _wait(store: Store) -> None:
        """Until the closed tracks have given up their pins."""
        if store._saver is not None:
            store._saver._thread.submit(int).result()

    def _save(self, store: Store, key: str, epoch: int, track: Track | None) -> None:
        state = told(key, epoch)
        if key != KEY and track is not None:
            part = state["m"]
            touched = {"table": np.array(changed_rows(epoch))}
            state = {**state, "m": Part(part.tensors, part.values, touched=touched)}
        self._try(lambda: store.save(key, epoch, state, {"epoch": epoch}, track=track))
        self.acknowledged.add((key, epoch))

    def _drop(self, store: Store, key: str, *epochs: int) -> None:
        self.given_up |= {(key, epoch) for epoch in epochs if (key, epoch) != (KEY, 2)}
        self._try(lambda: drop(store, *epochs, key=key))

    def _collect(self, store: Store, max_waste: float = 0.0) -> None:
        self._try(lambda: store.collect(grace_s=0, max_waste=max_waste))

    def _try(self, action: Callable[[], object]) -> None:
        for attempt in range(self.retries + 1):
            try:
                action()
            except StoreError:
                if attempt == self.retries:
                    raise
                self.failures += 1
            else:
                return

    def check(self, backend: Backend, *, hints: bool = True) -> None:
        """All that was acknowledged restores, and so does all that is visible.

        Args:
            backend: Where.
            hints: Whether files that are written without being synced are sound, too.
        """
        with Store.on(backend) as store:
            there = {(key, epoch) for key in store.keys() for epoch in store.epochs(key)}  # noqa: SIM118
            missing = self.acknowledged - self.given_up - there
            assert not missing, f"lost: {missing}"
            for key, epoch in there:
                found = store.restore(key, epoch, threads=1, remake=lambda part, name, a: a)
                assert_equal(found, told(key, epoch))
            problems = store.verify().problems
            assert not [p for p in problems if hints or p.checkpoints]


def clean_up(backend: Backend, patch: pytest.MonkeyPatch) -> None:
    """The next collections, once the leases of the dead are over."""
    with patch.context() as patched:
        patched.setattr(lease, "time", _Later())
        for _ in range(2):
            with Store.on(backend) as store:
                store.collect(grace_s=0, max_waste=0.0)


class _Later:
    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def time() -> float:
        return time.time() + DAYS


@dataclass
class Disk:
    """Everything that a process does to the files below a folder, in order.

    Attributes:
        root: The folder.
        log: What was done, with the paths that it was done to.
        content: The bytes of each file when it got its name, by the name under ``tmp/``.
    """

    root: Path
    log: list[tuple[str, ...]] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=dict)

    def record(self, patch: pytest.MonkeyPatch) -> None:
        """Watch the system calls of this process from now on."""
        lock = threading.Lock()

        def watch(name: str, note: Callable[..., tuple[str, ...] | None]) -> None:
            call = getattr(os, name)

            def watched(*args: Any, **kwargs: Any) -> Any:
                with lock:
                    event = note(*args)
                    result = call(*args, **kwargs)
                    if event is not None:
                        self.log.append(event)
                    return result

            patch.setattr(os, name, watched)

        watch("fsync", lambda fd: ("sync", self._name(f"/proc/self/fd/{fd}", follow=True)))
        watch("link", self._link)
        watch("unlink", lambda path, **_: ("unlink", self._name(path)))
        watch(
            "mkdir", lambda path, *_: None if Path(path).exists() else ("mkdir", self._name(path))
        )

    def _link(self, source: str, target: str) -> tuple[str, ...]:
        self.content[self._name(source)] = Path(source).read_bytes()
        return ("link", self._name(source), self._name(target))

    def _name(self, path: str | Path, *, follow: bool = False) -> str:
        full = Path(os.readlink(path)) if follow else Path(path)  # noqa: PTH115
        return str(full.relative_to(self.root)) if full.is_relative_to(self.root) else ""

    def killed(self, moment: int) -> dict[str, bytes]:
        """What is there when the process dies after ``moment`` calls and the machine lives on."""
        return self._after(self.log[:moment], lambda _: True, lambda _, data: data)

    def lost_power(self, moment: int, choose: Callable[[], bool]) -> dict[str, bytes]:
        """What may be there when the machine dies after ``moment`` calls.

        A name that was made or removed since its directory was synced is as it was before or as it
        is now, whatever becomes of others; a file that was not synced is whole, torn or empty.
        """
        log = self.log[:moment]
        synced = {event[1]: number for number, event in enumerate(log) if event[0] == "sync"}

        def lasts(number: int) -> bool:
            parent = str(Path(log[number][-1]).parent)
            return synced.get("." if parent == "." else parent, -1) > number or choose()

        def content(name: str, data: bytes) -> bytes:
            whole = name in synced or choose()
            return data if whole else data[: len(data) // 2 if choose() else 0]

        return self._after(log, lasts, content)

    def _after(
        self,
        log: list[tuple[str, ...]],
        lasts: Callable[[int], bool],
        content: Callable[[str, bytes], bytes],
    ) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        folders = {"."}
        for number, event in enumerate(log):
            if event[0] == "sync" or not lasts(number):
                continue
            if event[0] == "mkdir":
                folders.add(event[1])
            elif event[0] == "link":
                files[event[2]] = content(event[1], self.content[event[1]])
            else:
                files.pop(event[1], None)
        return {n: data for n, data in files.items() if str(Path(n).parent) in folders}


def in_memory(files: dict[str, bytes]) -> MemoryBackend:
    """A store of these files."""
    backend = MemoryBackend()
    backend._objects = {name: (data, time.time()) for name, data in files.items()}
    return backend

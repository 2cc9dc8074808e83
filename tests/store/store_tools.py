"""States, comparisons and fault-injecting backends that the store's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from recsearch.state import Part, State
from recsearch.store.backend import Backend, Buffer, Entry
from recsearch.store.layout import Layout
from recsearch.store.manifest import read_manifest

KEY = "ab" * 32
OTHER_KEY = "cd" * 32


def make_state(seed: int, rows: int = 40) -> dict[str, Part]:
    """A state that is a function of ``seed``; its vocabulary is the same for all seeds."""
    rng = np.random.default_rng(seed)
    model = {
        "items": rng.normal(size=(rows, 8)).astype(np.float32),
        "bias": rng.normal(size=rows),
    }
    return {
        "model": Part(model, {"epoch": seed, "rng": 2**127 + seed}),
        "vocabulary": Part({"ids": np.arange(rows), "titles": np.array(["a", "bé", "\U0001f600"])}),
    }


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, part in expected.items():
        assert found[name].tensors.keys() == part.tensors.keys()
        assert found[name].values == part.values
        for tensor, array in part.tensors.items():
            restored = found[name].tensors[tensor]
            assert (restored.dtype, restored.shape) == (array.dtype, array.shape)
            assert restored.tobytes() == array.tobytes()


def names(backend: Backend, prefix: str) -> set[str]:
    return {entry.name for entry in backend.list(prefix)}


def live_packs(backend: Backend) -> set[str]:
    """The packs that the manifests refer to, by name."""
    found: set[str] = set()
    for ref in names(backend, Layout.CHECKPOINTS):
        name = Layout.parse_manifest(ref)
        assert name is not None
        found |= {Layout.pack(pack) for pack in read_manifest(backend, name).packs}
    return found


def assert_no_garbage(backend: Backend) -> None:
    packs = names(backend, Layout.PACKS)
    assert packs == live_packs(backend)
    assert names(backend, Layout.INDEX) == {Layout.index(str(Layout.ulid_of(p))) for p in packs}
    for prefix in (Layout.TOMBS, Layout.LEASES, Layout.PARTIAL):
        assert names(backend, prefix) == set()


def later(seconds: float) -> SimpleNamespace:
    """A ``time`` module whose wall clock is ahead."""
    import time

    return SimpleNamespace(
        time=lambda: time.time() + seconds,
        monotonic=time.monotonic,
        perf_counter=time.perf_counter,
    )


class CrashError(BaseException):
    """The process is dead: nothing may catch it and go on."""


class WrappedBackend:
    """Calls ``before`` with the running number of each operation before it takes place."""

    def __init__(self, inner: Backend, before: Callable[[int], None], *, reads: bool = True):
        self.inner = inner
        self.url = inner.url
        self.count = 0
        self._before = before
        self._reads = reads

    def _step(self, *, write: bool) -> None:
        number = self.count
        if write or self._reads:
            self.count += 1
        self._before(number)

    def put_create(self, name: str, chunks: Iterable[Buffer]) -> int:
        self._step(write=True)
        return self.inner.put_create(name, chunks)

    def get(self, name: str) -> bytes:
        self._step(write=False)
        return self.inner.get(name)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._step(write=False)
        return self.inner.get_range(name, start, length)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._step(write=False)
        return self.inner.list(prefix)

    def head(self, name: str) -> Entry | None:
        self._step(write=False)
        return self.inner.head(name)

    def delete(self, name: str) -> None:
        self._step(write=True)
        self.inner.delete(name)


def crashing(inner: Backend, after: int) -> WrappedBackend:
    """Lets ``after`` writes and deletions take place; then the process is dead."""

    def before(number: int) -> None:
        if number >= after:
            raise CrashError

    return WrappedBackend(inner, before, reads=False)


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())

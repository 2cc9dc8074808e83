"""States, comparisons and fault-injecting backends that the store's tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from recsearch.state import Part, State
from recsearch.store import BestAndLast, Record, Store
from recsearch.store.backend import Backend, Buffer, Entry
from recsearch.store.layout import Layout
from recsearch.store.manifest import read_manifest
from recsearch.store.segment import Segment

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


DTYPES = (
    *("?", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8"),
    *("<f2", "<f4", "<f8", "<U1", "<U7"),
)
"""Every dtype that a checkpoint can hold."""


def any_bits(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of random bits: of floats also NaNs of any payload, infinities, subnormals, -0.0."""
    kind = np.dtype(dtype)
    if kind.kind in "bU":
        values = rng.integers(0, 2 if kind.kind == "b" else 0x10FFFF, shape)
        return values.astype(bool) if kind.kind == "b" else _text(values, kind)
    array = np.frombuffer(rng.bytes(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape)
    if kind.kind == "f":
        info = np.finfo(kind)
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, info.max]
        array = np.where(rng.random(shape) < 0.2, rng.choice(special, shape).astype(kind), array)
    return np.array(array)


def _text(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    letters = [chr(v if not 0xD800 <= v < 0xE000 else 65) for v in values.reshape(-1).tolist()]
    return np.array([a * (ord(a) % 3) + "x" for a in letters], dtype).reshape(values.shape)


def changed(rng: np.random.Generator, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy with other bits in these rows (or, by chance, the same)."""
    array = array.copy()
    if array.nbytes:
        array[rows] = any_bits(rng, array.dtype.str, (len(rows), *array.shape[1:]))
    return array


def drop(store: Store, *epochs: int, key: str = KEY, owner: str | None = None) -> list[int]:
    """Have a policy drop exactly these epochs."""
    judged = [Record(epoch, 0.0) for epoch in (*epochs, 999_999)]
    return store.retain(key, BestAndLast("min", 0, 1), judged, owner=owner)


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
    there = {Layout.ulid_of(pack) for pack in packs}
    single = {Layout.ulid_of(n) for n in names(backend, Layout.INDEX) if n.endswith(".idx")}
    segments = (n for n in names(backend, Layout.INDEX) if n.endswith(".seg"))
    merged = {ulid for name in segments for ulid in Segment.decode(backend.get(name)).packs}
    assert single <= there <= single | merged
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
        self._lock = threading.Lock()

    def _step(self, *, write: bool) -> None:
        with self._lock:
            number = self.count
            if write or self._reads:
                self.count += 1
        self._before(number)

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        self._step(write=True)
        return self.inner.put_create(name, chunks, durable=durable)

    def get(self, name: str) -> bytes:
        self._step(write=False)
        return self.inner.get(name)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._step(write=False)
        return self.inner.get_range(name, start, length)

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        self._step(write=False)
        return self.inner.read_into(name, start, buffer)

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

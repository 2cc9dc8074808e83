"""A backend in the memory of this process, for tests and throw-away searches."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from recsearch.store.backend import Buffer, Entry

_NAMED: dict[str, MemoryBackend] = {}
_NAMED_LOCK = threading.Lock()


class MemoryBackend:
    """Objects in a dictionary. ``memory://NAME`` is one and the same for a whole process."""

    def __init__(self, name: str = ""):
        self.url = f"memory://{name}"
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[bytes, float]] = {}

    @classmethod
    def named(cls, name: str) -> MemoryBackend:
        """The backend of that name, made on first use."""
        with _NAMED_LOCK:
            return _NAMED.setdefault(name, cls(name))

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        data = b"".join(chunks)
        with self._lock:
            if name in self._objects:
                raise FileExistsError(name)
            self._objects[name] = (data, time.time())
        return len(data)

    def get(self, name: str) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._lock:
            if name not in self._objects:
                raise FileNotFoundError(name)
            return self._objects[name][0]

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        return self.get(name)[start : start + length]

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        data = memoryview(self.get(name))[start : start + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def list(self, prefix: str) -> Iterator[Entry]:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._lock:
            found = [(n, o) for n, o in self._objects.items() if n.startswith(prefix)]
        return (Entry(name, len(data), modified) for name, (data, modified) in found)

    def head(self, name: str) -> Entry | None:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._lock:
            if name not in self._objects:
                return None
            data, modified = self._objects[name]
        return Entry(name, len(data), modified)

    def delete(self, name: str) -> None:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._lock:
            self._objects.pop(name, None)

"""What the store asks of a place to keep bytes: five operations, of which only one writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from recsearch.errors import StoreError

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Entry:
    """One object: its name, size in bytes and time of creation in Unix seconds."""

    name: str
    size: int
    modified: float


class Backend(Protocol):
    """Immutable named objects. Names are relative, with ``/`` between levels.

    Create-only writes are all that the store needs: no object is ever changed, and none
    replaces another. A failure of the medium (full, read-only, unreachable) is raised as
    ``StoreError`` naming the object and the cause.
    """

    url: str

    def put_create(self, name: str, chunks: Iterable[Buffer]) -> int:
        """Create ``name`` with the concatenated ``chunks``, all or nothing, and durably.

        Returns:
            The number of bytes written.

        Raises:
            FileExistsError: ``name`` exists; it is left as it was.
        """
        ...

    def get(self, name: str) -> bytes:
        """The whole object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; fewer where the object ends before.

        Raises:
            FileNotFoundError: there is no such object.
        """
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects below ``prefix`` (which ends in ``/``), in no particular order."""
        ...

    def head(self, name: str) -> Entry | None:
        """Size and time of one object, or None where there is none."""
        ...

    def delete(self, name: str) -> None:
        """Remove one object; removing an absent one succeeds."""
        ...


def open_backend(url: str | Path) -> Backend:
    """The backend that a URL means: a path, ``file://PATH`` or ``memory://NAME``.

    Raises:
        StoreError: the URL has another scheme.
    """
    from recsearch.store.local import LocalBackend
    from recsearch.store.memory import MemoryBackend

    text = str(url)
    parts = urlsplit(text)
    if isinstance(url, Path) or "://" not in text:
        return LocalBackend(Path(url).expanduser())
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalBackend(Path(unquote(parts.path)))
    if parts.scheme == "memory":
        return MemoryBackend.named(parts.netloc + parts.path)
    raise StoreError(
        f"no store can be opened at {text!r}: expected a path, file:///PATH or memory://NAME"
    )

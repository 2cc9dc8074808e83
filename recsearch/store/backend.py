"""What the store asks of a place to keep bytes: five operations, of which only one writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from recsearch.errors import StoreError

Buffer: TypeAlias = bytes | bytearray | memoryview

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "azure", "adl", "abfs", "abfss"})
_PIP_NAMES = {"smbclient": "smbprotocol", "lakefs_spec": "lakefs-spec"}


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

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        """Create ``name`` with the concatenated ``chunks``, all or nothing.

        Args:
            name: What to create. It is visible to all processes when this returns.
            chunks: Its content, in order.
            durable: Whether it must survive a crash of the machine. Without, such a crash may
                lose it or tear it: for hints and leases, whose readers expect that.

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

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        """Fill ``buffer`` (writable, C-contiguous, format ``B``) with the bytes from ``start``.

        Returns:
            The number of bytes read; fewer than ``len(buffer)`` where the object ends before.

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
    """The backend that a URL means; processes that share a store pass each other its URL.

    A path or ``file:///PATH`` is on local disk, ``memory://NAME`` in the memory of this process,
    ``s3://``, ``gs://`` and ``az://`` are object storage (see
    :class:`~recsearch.store.remote.RemoteBackend`), and every other scheme is one of fsspec's
    (see :class:`~recsearch.store.filesystem.FilesystemBackend`).

    Raises:
        StoreError: the scheme is unknown, a package is missing, or the URL has a password in it.
    """
    from recsearch.store.local import LocalBackend
    from recsearch.store.memory import MemoryBackend

    text = str(url)
    parts = urlsplit(text)
    if isinstance(url, Path) or "://" not in text:
        return LocalBackend(Path(url).expanduser())
    if parts.password is not None:
        raise StoreError(
            f"the URL of the store on {parts.hostname} has a password in it, which would get into "
            "messages and run folders",
            hint="Leave it to the environment, to a key file or to the configuration of fsspec.",
        )
    if parts.scheme in ("file", "local") and parts.netloc in ("", "localhost"):
        return LocalBackend(Path(unquote(parts.path)))
    if parts.scheme == "memory":
        return MemoryBackend.named(parts.netloc + parts.path)
    try:
        return _elsewhere(parts.scheme, text)
    except ImportError as error:
        package = (getattr(error.__cause__ or error, "name", None) or parts.scheme).split(".")[0]
        raise StoreError(
            f"no store can be opened at {text}: {error}",
            hint=f"pip install {_PIP_NAMES.get(package, package)}",
        ) from error


def _elsewhere(scheme: str, url: str) -> Backend:
    if scheme in _OBJECT_STORES:
        from recsearch.store.remote import RemoteBackend

        return RemoteBackend(url)
    from recsearch.store.filesystem import FilesystemBackend

    return FilesystemBackend(url)

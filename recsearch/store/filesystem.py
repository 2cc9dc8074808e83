"""A backend on any file system that fsspec knows: SFTP, SMB, WebDAV, HDFS, other clouds.

fsspec promises little: creating a file may leave half of it after a crash, and whether it excludes
others depends on the file system. The store needs little: every name but ``FORMAT`` holds a ULID,
so that no two writers ever want the same one, and what remains is that an object appears whole.
Three ways, in this order:

* Object storage (`WHOLE_PUTS`) shows an object when its put is complete: put directly.
* A file system with a rename of its own: written to ``tmp/``, then renamed.
* Everything else is refused, unless the URL ends in ``?create=direct``.

The exclusive mode that some file systems have (local, SMB) is of no use: it excludes others, but
shows the file while it is being written. So two processes that make one store in the same moment
may both write ``FORMAT``. The later one stays; they differ in the uuid alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import fsspec
from fsspec.spec import AbstractFileSystem

from recsearch.errors import StoreError
from recsearch.store.backend import Buffer, Entry, open_backend
from recsearch.store.layout import Layout, new_ulid

WHOLE_PUTS = frozenset({"memory", "oss", "oci", "tos", "tosfs", "lakefs"})
"""Schemes whose objects appear whole, whatever happens to the process that puts them."""

_DIRECT = "?create=direct"
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


class FilesystemBackend:
    """Objects are files below the path of the URL.

    Durability is what the file system gives; it is not asked to sync. A listing is as fresh as the
    file system's own. Times that it does not tell count as now, so that a collection waits.
    Credentials and options come from fsspec's configuration (``~/.config/fsspec/*.json``).

    Raises:
        StoreError: fsspec does not know the scheme or cannot connect, or files could be seen half
            written.
    """

    def __init__(self, url: str):
        self.url = url
        self._bare = url.removesuffix(_DIRECT).rstrip("/")
        scheme = url.split("://", 1)[0]
        try:
            kind = fsspec.get_filesystem_class(scheme)
        except ValueError as error:
            raise StoreError(
                f"no store can be opened at {url!r}: expected a path, file:///PATH, memory://NAME, "
                "s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH, or a URL that fsspec "
                "knows"
            ) from error
        self._direct = scheme in WHOLE_PUTS or url.endswith(_DIRECT)
        if not self._direct and kind.mv is AbstractFileSystem.mv:
            raise StoreError(
                f"files at {self._bare} could be seen half written: fsspec's {kind.__name__} has "
                "no rename of its own",
                hint=f"If its files appear only when they are complete, use {self._bare}{_DIRECT}",
            )
        self._fs: Any = None
        with self._errors("open", "", ImportError):
            self._fs, self._root = fsspec.url_to_fs(self._bare)
        self._made: set[str] = set()

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        parts = list(chunks)  # a failure of their source is not one of the file system
        path = self._path(name)
        if self.head(name) is not None:
            raise FileExistsError(name)
        with self._errors("write", name):
            if self._direct:
                self._fs.pipe_file(path, b"".join(parts))
            else:
                self._write_and_rename(parts, path)
        return sum(len(part) for part in parts)

    def get(self, name: str) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._errors("read", name, FileNotFoundError):
            return bytes(self._fs.cat_file(self._path(name)))

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        path = self._path(name)
        with self._errors("read", name, FileNotFoundError):
            try:
                if length:
                    return bytes(self._fs.cat_file(path, start=start, end=start + length))
            except Exception:  # a range that begins at the end or behind it is an error to some
                if start < self._fs.size(path):
                    raise
            self._fs.size(path)
            return b""

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        data = self.get_range(name, start, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def list(self, prefix: str) -> Iterator[Entry]:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._errors("list", prefix):
            found = self._fs.find(self._path(prefix).rstrip("/"), detail=True)
            start = len(self._path(""))
            names = ((path[start:], info) for path, info in found.items())
            return iter([self._entry(n, info) for n, info in names if n.startswith(prefix)])

    def head(self, name: str) -> Entry | None:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._errors("read", name):
            try:
                info = self._fs.info(self._path(name))
            except FileNotFoundError:
                return None
            return self._entry(name, info) if info["type"] == "file" else None

    def delete(self, name: str) -> None:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._errors("delete", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return open_backend, (self.url,)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _entry(self, name: str, info: dict[str, Any]) -> Entry:
        found = next((info[key] for key in _TIMES if info.get(key) is not None), None)
        if found is None:
            with suppress(NotImplementedError):
                found = self._fs.modified(self._path(name))
        if isinstance(found, str):
            found = datetime.fromisoformat(found)
        if isinstance(found, datetime):
            found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        return Entry(name, int(info["size"]), time.time() if found is None else float(found))

    def _write_and_rename(self, parts: Sequence[Buffer], path: str) -> None:
        partial = self._path(Layout.PARTIAL + new_ulid())
        for parent in {partial.rsplit("/", 1)[0], path.rsplit("/", 1)[0]} - self._made:
            self._fs.makedirs(parent, exist_ok=True)
            self._made.add(parent)
        try:
            with self._fs.open(partial, "wb") as file:
                for part in parts:
                    file.write(part)
            self._fs.mv(partial, path)
        except BaseException:
            with suppress(Exception):
                self._fs.rm_file(partial)
            raise

    @contextmanager
    def _errors(self, verb: str, name: str, *expected: type[Exception]) -> Iterator[None]:
        try:
            if self._fs is not None:
                self._fs.invalidate_cache()  # else what others create is seen late or never
            yield
        except Exception as error:  # each file system raises exceptions of its own
            if isinstance(error, expected):
                raise
            raise StoreError(
                f"cannot {verb} {self._bare}/{name}: {error or type(error).__name__}",
                hint="Check the URL and the connection, then try again.",
            ) from error

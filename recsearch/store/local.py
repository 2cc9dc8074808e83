"""A backend on a local disk: written aside, synced, then linked under its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recsearch.errors import StoreError
from recsearch.store.backend import Buffer, Entry
from recsearch.store.layout import Layout, new_ulid

_HINTS = {
    errno.ENOSPC: "Free some space, or drop what no checkpoint needs: recsearch store gc",
    errno.EDQUOT: "Free some of your quota, or drop what no checkpoint needs: recsearch store gc",
    errno.EPERM: "The store needs a file system with hard links and permission to write.",
    errno.ENOTSUP: "The store needs a file system with hard links.",
}


class LocalBackend:
    """Objects are files below ``root``.

    An object appears by ``link``, which is atomic and fails where the name is taken. Before
    that its bytes are synced; after that its directory is. What a crash leaves is a file in
    ``tmp/``, which nothing reads.
    """

    def __init__(self, root: Path):
        self.root = root.absolute()
        self.url = str(self.root)
        self._durable: set[Path] = set()

    def put_create(self, name: str, chunks: Iterable[Buffer]) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        target, partial = self.root / name, self.root / Layout.PARTIAL / new_ulid()
        with self._errors("write", target):
            self._make_directory(partial.parent)
            self._make_directory(target.parent)
            try:
                size = self._write(partial, chunks)
                taken = not _link(partial, target)
            except Exception:
                with suppress(OSError):
                    partial.unlink()
                raise
            partial.unlink(missing_ok=True)
            if not taken:
                _sync_directory(target.parent)
        if taken:
            raise FileExistsError(name)
        return size

    def get(self, name: str) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        path = self.root / name
        with self._errors("read", path, FileNotFoundError):
            return path.read_bytes()

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """See :class:`~recsearch.store.backend.Backend`."""
        path = self.root / name
        with self._errors("read", path, FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                return _read_fully(descriptor, start, length)
            finally:
                os.close(descriptor)

    def list(self, prefix: str) -> Iterator[Entry]:
        """See :class:`~recsearch.store.backend.Backend`."""
        path = self.root / prefix
        with self._errors("list", path):
            return iter(list(_walk(path, prefix)))

    def head(self, name: str) -> Entry | None:
        """See :class:`~recsearch.store.backend.Backend`."""
        path = self.root / name
        with self._errors("read", path):
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
            return Entry(name, status.st_size, status.st_mtime)

    def delete(self, name: str) -> None:
        """See :class:`~recsearch.store.backend.Backend`."""
        path = self.root / name
        with self._errors("delete", path):
            path.unlink(missing_ok=True)

    @staticmethod
    def _write(path: Path, chunks: Iterable[Buffer]) -> int:
        size = 0
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        return size

    def _make_directory(self, path: Path) -> None:
        # A directory that another process has just made may not be durable yet, so each
        # process syncs the parents of every directory that it uses, once.
        if path in self._durable:
            return
        if path != self.root:
            self._make_directory(path.parent)
        path.mkdir(parents=True, exist_ok=True)
        if path != self.root or os.access(path.parent, os.R_OK):
            _sync_directory(path.parent)
        self._durable.add(path)

    @contextmanager
    def _errors(self, verb: str, path: Path, *expected: type[OSError]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, expected):
                raise
            cause = error.strerror or str(error)
            hint = _HINTS.get(error.errno or 0)
            raise StoreError(f"cannot {verb} {path}: {cause}", hint=hint) from error


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True


def _read_fully(descriptor: int, start: int, length: int) -> bytes:
    data = os.pread(descriptor, length, start)
    if len(data) == length:
        return data
    pieces = [data]
    done = len(data)
    while done < length and pieces[-1]:
        pieces.append(os.pread(descriptor, length - done, start + done))
        done += len(pieces[-1])
    return b"".join(pieces)


def _walk(path: Path, prefix: str) -> Iterator[Entry]:
    try:
        with os.scandir(path) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path / entry.name, name + "/")
            continue
        with suppress(FileNotFoundError):  # deleted by another process since
            status = entry.stat(follow_symlinks=False)
            yield Entry(name, status.st_size, status.st_mtime)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

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
    that its bytes are synced; after that its directory is; neither where it need not be durable.
    What a crash leaves is a file in ``tmp/``, which nothing reads.
    """

    def __init__(self, root: Path):
        self.root = root.absolute()
        self.url = str(self.root)
        self._durable: set[Path] = set()

    def put_create(self, name: str, chunks: Iterable[Buffer], *, durable: bool = True) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        target, partial = self.root / name, self.root / Layout.PARTIAL / new_ulid()
        with self._errors("write", target):
            for directory in (partial.parent, target.parent):
                if durable:
                    self._make_directory(directory)
                else:
                    directory.mkdir(parents=True, exist_ok=True)
            try:
                size = self._write(partial, chunks, durable=durable)
                taken = not _link(partial, target)
            except Exception:
                with suppress(OSError):
                    partial.unlink()
                raise
            partial.unlink(missing_ok=True)
            if durable and not taken:
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
        with self._opened(name) as descriptor:
            return _read_fully(descriptor, start, length)

    def read_into(self, name: str, start: int, buffer: memoryview) -> int:
        """See :class:`~recsearch.store.backend.Backend`."""
        with self._opened(name) as descriptor:
            return _fill(descriptor, start, buffer)

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
        with self._errors("delete", path), suppress(FileNotFoundError):
            path.unlink()
            # Else a manifest could come back whose packs are gone: names that were removed may
            # outlive a crash of the machine in any order.
            if name.startswith(Layout.CHECKPOINTS):
                _sync_directory(path.parent)

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        path = self.root / name
        with self._errors("read", path, FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @staticmethod
    def _write(path: Path, chunks: Iterable[Buffer], *, durable: bool) -> int:
        size = 0
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
                size += len(chunk)
            if durable:
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
    if not 0 < len(data) < length:
        return data
    # One system call returns at most 2 GiB, and may return less.
    whole = bytearray(length)
    whole[: len(data)] = data
    rest = _fill(descriptor, start + len(data), memoryview(whole)[len(data) :])
    return bytes(memoryview(whole)[: len(data) + rest])


def _fill(descriptor: int, start: int, buffer: memoryview) -> int:
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done:]], start + done)
        if not count:
            break
        done += count
    return done


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

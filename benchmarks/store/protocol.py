"""What a way to keep checkpoints must do to take part: save, wait, restore."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np

from benchmarks.store.trace import Tables, Touched, Trace


class Strategy(ABC):
    """Saves the versions of one trace into a folder of its own, and restores them.

    What is saved by one object is restored by another one that begins with the folder alone.

    Args:
        folder: Empty before the first save.
        trace: Tells shapes, and which tables are constant; never the data.

    Attributes:
        synced: Whether :meth:`wait` means that the version survives a crash of the machine.
        whole: Every version stands for itself, so that some of them tell how all are.
        lossy: What is restored is not what was saved.
        rows_in_python: It handles every number as a Python object; see ``measure.affordable``.
        bounded: It gets slower from version to version, so that its time is limited.
    """

    synced: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    rows_in_python: ClassVar[bool] = False
    bounded: ClassVar[bool] = False

    def __init__(self, folder: Path, trace: Trace):
        self.folder = folder
        self.trace = trace
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def save(self, version: int, tables: Tables, touched: Touched) -> None:
        """Take a version over; the tables may be changed once this returns.

        Args:
            version: 0, 1, 2, …
            tables: The live tables.
            touched: The rows of each changed table that were looked up since the version before,
                as they came; empty for version 0, of which all is new.
        """

    def wait(self, *, behind: bool = False) -> None:
        """Return when the version saved last can be restored, and, if ``synced``, is durable.

        Args:
            behind: Wait also for what is still done for later versions in the background.
        """
        return

    @abstractmethod
    def restore(self, version: int, into: Tables) -> None:
        """Fill ready arrays with a version."""

    def close(self) -> None:
        """Free threads and files."""
        return


Factory: TypeAlias = Callable[[Path, Trace], Strategy]


def write_file(path: Path, chunks: Iterable[bytes | memoryview], *, sync: bool) -> int:
    """Write a file, and sync it if asked to; its length."""
    size = 0
    with path.open("wb") as file:
        for chunk in chunks:
            size += file.write(chunk)
        if sync:
            sync_file(file.fileno(), file.flush)
    return size


def sync_file(descriptor: int, flush: Callable[[], None] = lambda: None) -> None:
    """The least that can be called durable: no rename, no sync of the directory."""
    flush()
    os.fsync(descriptor)


def read_into(path: Path, tables: Tables, start: int = 0) -> int:
    """Fill tables, in the order of their names, with the bytes of a file; where they end."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        for name in sorted(tables):
            view = tables[name].reshape(-1).view(np.uint8).data
            while view:
                view = view[file.readinto(view) :]
        return file.tell()


def raw(tables: Tables) -> list[memoryview]:
    """The bytes of tables in the order of their names, without a copy."""
    return [tables[name].reshape(-1).view(np.uint8).data for name in sorted(tables)]

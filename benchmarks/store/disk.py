"""What the disk holds and does: sizes of folders, files out of memory, plain speeds."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

SYNCED_BYTES = 2**26
"""Written to tell the speed of the disk."""

_TRIES = 5


def disk_usage(folder: Path) -> tuple[int, int, int]:
    """Bytes of all files, bytes allocated for them, and their number."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(s.st_size for s in found), sum(512 * s.st_blocks for s in found), len(found)


def evict(folder: Path) -> bool:
    """Have the kernel forget the contents of all files; whether it did.

    The advice is repeated: the kernel keeps a page that something else looks at just then.
    """
    paths = [path for path in folder.rglob("*") if path.is_file()]
    largest = max(paths, key=lambda path: path.stat().st_size)
    for _ in range(_TRIES):
        _advise_dontneed(paths)
        if not _in_memory(largest):
            return True
    return False


def _advise_dontneed(paths: list[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _in_memory(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:
        return True  # the file system cannot tell, so nobody may call it cold
    finally:
        os.close(descriptor)


def sync_ms(folder: Path, times: int = 20) -> float:
    """Median milliseconds of writing 4 KiB to a new file and syncing it."""
    seconds = []
    for number in range(times):
        began = time.perf_counter()
        write_synced(folder / f"sync{number}", bytes(4096))
        seconds.append(time.perf_counter() - began)
        (folder / f"sync{number}").unlink()
    return 1e3 * statistics.median(seconds)


def write_rate(folder: Path) -> float:
    """Bytes per second of writing one large file and syncing it; median of three."""
    data, seconds = os.urandom(SYNCED_BYTES), []
    for _ in range(3):
        began = time.perf_counter()
        write_synced(folder / "rate", data)
        seconds.append(time.perf_counter() - began)
        (folder / "rate").unlink()
    return SYNCED_BYTES / statistics.median(seconds)


def write_synced(path: Path, data: bytes | memoryview) -> None:
    """Write a plain file and sync it, as a careful training script does."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

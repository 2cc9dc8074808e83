"""Worker processes keep the memory that an array has given back for the next one."""

from __future__ import annotations

import os

KEEP: dict[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": str(512 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TOP_PAD_": str(16 * 2**20),
}
"""What glibc reads when a process starts; other systems ignore it.

By default every array beyond 32 MiB is new pages from the kernel, which zeroes them one fault at a
time. A batch of a factorisation by PyTorch makes a dozen such arrays: half of an epoch's time. The
process keeps at most what its largest moment needed, and arrays beyond the first value go back.
"""


def inherit_kept_memory() -> None:
    """Set the environment that worker processes start with, where the user has not."""
    for name, value in KEEP.items():
        os.environ.setdefault(name, value)

"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.store.disk import sync_ms, write_rate

LIBRARIES = ("numpy", "torch", "safetensors", "msgpack", "zstandard", "blake3", "lenskit")


def machine(folder: Path) -> dict[str, Any]:
    """Processor, memory, system, versions, and what the disk under ``folder`` does."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "file_system": file_system(folder),
        "fsync_4k_ms": sync_ms(folder),
        "write_fsync_gb_s": write_rate(folder) / 1e9,
        "load_before": os.getloadavg()[0],
    }


def file_system(folder: Path) -> str:
    """Type of the file system that a folder is on."""
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    path = folder.resolve()
    return next((mounts[str(p)] for p in (path, *path.parents) if str(p) in mounts), "unknown")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [row.partition(":")[2].strip() for row in lines if row.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

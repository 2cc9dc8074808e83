"""The steps in ``.wandb`` files, read back: what an offline run really has.

A ``.wandb`` file is a log as LevelDB writes it (github.com/google/leveldb, doc/log_format.md):
blocks of 32 KiB with chunks of records, here behind a header of 7 bytes, with the plain CRC-32 of
zlib. A record is a protocol buffer of W&B.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

MAGIC = b":W&B"
BLOCK = 32 * 1024
HEADER = 7
"""Bytes of the header of the file, and of that of every chunk."""

FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def steps_of(folder: Path, key: str) -> set[int]:
    """Steps of all history rows that the offline files of one W&B run have.

    Files of online runs beside them are a cache, and are nothing that ``wandb sync`` would send.

    Args:
        folder: ``wandb`` folder with one folder for every time that a run was opened.
        key: id of the W&B run.
    """
    return {
        step
        for path in sorted(folder.glob(f"offline-run-*/run-{key}.wandb"))
        for step in steps(path)
    }


def steps(path: Path) -> Iterator[int]:
    """Step of every whole history row of one file, in their order."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for content in records(path):
        try:
            record = Record.FromString(content)
        except DecodeError:
            return
        if record.WhichOneof("record_type") == "history":
            yield record.history.step.num


def records(path: Path) -> Iterator[bytes]:
    """The whole records of a file, up to the first that is torn or damaged."""
    data, begin, parts = path.read_bytes(), HEADER, list[bytes]()
    if not data.startswith(MAGIC):
        return
    while True:
        left = BLOCK - begin % BLOCK
        if left < HEADER:
            begin += left
        head = data[begin : begin + HEADER]
        if len(head) < HEADER:
            return
        check, length, kind = struct.unpack("<IHB", head)
        chunk = data[begin + HEADER : begin + HEADER + length]
        if len(chunk) < length or check != zlib.crc32(chunk, zlib.crc32(bytes([kind]))):
            return
        begin += HEADER + length
        parts = [chunk] if kind in (FULL, FIRST) else [*parts, chunk]
        if kind in (FULL, LAST):
            yield b"".join(parts)

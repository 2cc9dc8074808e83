"""Every name inside a store, and the ULIDs that make names unique."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from recsearch.errors import StoreError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_ULIDS = re.compile(f"(?:{_ULID.pattern})*")
_KEY = re.compile(r"[0-9a-f]{64}")
_PACK = re.compile(r"packs/([0-9A-Z]{2})/([0-9A-HJKMNP-TV-Z]{24}\1)\.pack")
_MANIFEST = re.compile(r"ckpt/[0-9a-f]{2}/([0-9a-f]{64})/([0-9]{6})-([0-9A-HJKMNP-TV-Z]{26})\.man")
MAX_EPOCH = 999_999
PACKS_PER_DIRECTORY = 1_000


def new_ulid() -> str:
    """A ULID (github.com/ulid/spec): 48 bits of milliseconds and 80 random bits, 26 characters."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


class _Directory:
    """Where this process puts its packs."""

    def __init__(self) -> None:
        self.pid, self.tail, self.packs = os.getpid(), new_ulid()[-2:], 0


_directory = _Directory()


def new_pack() -> str:
    """A ULID for a pack.

    The packs of one process end alike, and so lie in one directory, up to 1,000 of them: to make a
    new directory durable costs as much as to write a small pack.
    """
    global _directory  # noqa: PLW0603 - one per process
    if _directory.pid != os.getpid() or _directory.packs >= PACKS_PER_DIRECTORY:
        _directory = _Directory()
    _directory.packs += 1
    return new_ulid()[:-2] + _directory.tail


def is_ulid(text: object) -> bool:
    """Whether ``text`` is one; only such text may become part of a pack's name."""
    return isinstance(text, str) and _ULID.fullmatch(text) is not None


def are_ulids(texts: Sequence[str]) -> bool:
    """Whether all of many texts are ULIDs."""
    return {*map(len, texts)} <= {26} and _ULIDS.fullmatch("".join(texts)) is not None


@dataclass(frozen=True)
class ManifestName:
    """The parsed name of a manifest.

    Attributes:
        key: 64 hexadecimal characters that identify the trial.
        epoch: 1-based.
        ulid: Unique part; of several manifests of one epoch the lowest is read.
        ref: The whole name relative to the root of the store.
    """

    key: str
    epoch: int
    ulid: str
    ref: str


class Layout:
    """Builds and parses names; all are relative to the root, with ``/`` between levels."""

    FORMAT = "FORMAT"
    PACKS = "packs/"
    INDEX = "index/"
    CHECKPOINTS = "ckpt/"
    LEASES = "leases/"
    CATALOG = "catalog/"
    TOMBS = "tomb/"
    PARTIAL = "tmp/"

    @staticmethod
    def pack(ulid: str) -> str:
        """Where the pack is; the two last (random) characters spread packs over directories."""
        if not is_ulid(ulid):
            raise StoreError(f"not the name of a pack: {ulid!r}")
        return f"packs/{ulid[-2:]}/{ulid}.pack"

    @staticmethod
    def index(ulid: str) -> str:
        """Where the copy of a pack's blob table is."""
        return f"index/{ulid}.idx"

    @staticmethod
    def segment(ulid: str) -> str:
        """Where the blob tables of many packs are together."""
        return f"index/{ulid}.seg"

    @staticmethod
    def catalog(ulid: str) -> str:
        """Where summaries of many manifests are."""
        return f"catalog/{ulid}.cat"

    @staticmethod
    def tomb(ulid: str) -> str:
        """The mark that a pack is about to be deleted."""
        return f"tomb/{ulid}"

    @staticmethod
    def pin(ulid: str) -> str:
        """The lease of one writer on the packs of one unfinished checkpoint."""
        return f"leases/{ulid}.pin"

    @staticmethod
    def collector(ulid: str) -> str:
        """The lease of the one process that may delete packs."""
        return f"leases/{ulid}.gc"

    @staticmethod
    def checkpoints(key: str) -> str:
        """The directory of one trial's manifests.

        Raises:
            StoreError: ``key`` is not a trial key.
        """
        if not isinstance(key, str) or _KEY.fullmatch(key) is None:
            raise StoreError(f"a trial key has 64 hexadecimal characters, not {key!r}")
        return f"ckpt/{key[:2]}/{key}/"

    @classmethod
    def manifest(cls, key: str, epoch: int, ulid: str) -> ManifestName:
        """The name of a new manifest.

        Raises:
            StoreError: ``key`` is not a trial key or ``epoch`` is not in 1 ... 999999.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or not 1 <= epoch <= MAX_EPOCH:
            raise StoreError(f"an epoch is an integer from 1 to {MAX_EPOCH}, not {epoch!r}")
        ref = f"{cls.checkpoints(key)}{epoch:06d}-{ulid}.man"
        return ManifestName(key, epoch, ulid, ref)

    @staticmethod
    def parse_manifest(name: str) -> ManifestName | None:
        """The parts of a manifest's name, or None for a file that is none."""
        match = _MANIFEST.fullmatch(name)
        if match is None or match[1][:2] != name[5:7]:
            return None
        return ManifestName(match[1], int(match[2]), match[3], name)

    @staticmethod
    def parse_pack(name: str) -> str | None:
        """The ULID of the pack of that name, or None for a file that is none."""
        match = _PACK.fullmatch(name)
        return None if match is None else match[2]

    @staticmethod
    def ulid_of(name: str) -> str | None:
        """The ULID that a pack, index, tomb or lease is named by, or None for a foreign file."""
        stem = name.rsplit("/", 1)[-1].split(".", 1)[0]
        return stem if is_ulid(stem) else None

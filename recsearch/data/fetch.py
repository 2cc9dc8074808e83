"""Where archives are looked for, and fetching them when they are nowhere."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from recsearch.data.cache import cache_root
from recsearch.data.catalogue import Archive, Entry
from recsearch.errors import DataError, DataNotFoundError

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Found:
    """An archive on this machine.

    Attributes:
        path: The zip file, or the unpacked folder.
        sha256: Digest of the zip file; of a folder, over the members that are read.
        unpacked: True for a folder.
    """

    path: Path
    sha256: str
    unpacked: bool

    def official(self, archive: Archive) -> bool | None:
        """Whether the digest is the official one; None when no official digest is known."""
        if self.unpacked:
            return False
        return None if archive.sha256 is None else self.sha256 == archive.sha256


def search_path() -> list[Path]:
    """Folders in which archives are looked for, in order.

    ``RECSEARCH_DATA`` (several folders, separated as in ``PATH``), ``data`` and
    ``../shared/data`` seen from the working folder and from the checkout, the user's cache.
    """
    named = [Path(part) for part in os.environ.get("RECSEARCH_DATA", "").split(os.pathsep) if part]
    roots = [Path.cwd()]
    if (PROJECT / "pyproject.toml").is_file():
        roots.append(PROJECT)
    beside = [root / "data" for root in roots] + [root.parent / "shared/data" for root in roots]
    return list(dict.fromkeys([*named, *beside, download_folder()]))


def download_folder() -> Path:
    """Where downloads go."""
    return cache_root() / "data"


def locate(archive: Archive) -> Found | None:
    """The first copy on the search path: ``ml-1m.zip``, ``ml-1m/ml-1m.zip``, or unpacked ``ml-1m``.

    Raises:
        DataError: a copy that cannot be read.
    """
    stem = archive.file.removesuffix(".zip")
    for folder in search_path():
        for path in (folder / archive.file, folder / stem / archive.file):
            if path.is_file():
                return Found(path, file_sha256(path), unpacked=False)
        for name in dict.fromkeys((archive.folder or stem, stem)):
            path = folder / name
            if all((path / member).is_file() for member in (archive.ratings, archive.movies)):
                return Found(path, _folder_sha256(path, archive), unpacked=True)
    return None


def ensure(entry: Entry, *, allow_download: bool = True) -> Found:
    """The archive of a catalogue entry, downloaded if it is nowhere on the search path.

    Raises:
        DataNotFoundError: absent, and downloading is not allowed or not possible.
        DataError: the download was cut short or has another digest than the official one.
    """
    archive = entry.archive
    if archive is None:
        raise DataError(f"{entry.name} is generated; there is nothing to fetch")
    found = locate(archive)
    if found is not None:
        return found
    if not allow_download:
        raise _absent(
            entry, archive, "was not to be downloaded", f"recsearch data fetch {entry.name}"
        )
    # Imported here: ssl and http cost time that a start with the data at hand need not pay.
    from recsearch.data.download import UnreachableError, download

    target = download_folder() / archive.file
    try:
        download(archive.url, target, archive.sha256)
    except UnreachableError as error:
        demo = "To search on generated ratings instead: make search-als-demo"
        raise _absent(entry, archive, f"downloading failed ({error})", demo) from error
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}") from error
    return Found(target, file_sha256(target), unpacked=False)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _folder_sha256(path: Path, archive: Archive) -> str:
    digests = [file_sha256(path / member) for member in (archive.ratings, archive.movies)]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _absent(entry: Entry, archive: Archive, why: str, hint: str) -> DataNotFoundError:
    return DataNotFoundError(
        f"{entry.title} is not on this machine and {why}: {archive.url}. Put the file at "
        f"{Path('data') / archive.file} or {download_folder() / archive.file}, or name its folder "
        "in RECSEARCH_DATA",
        hint=hint,
    )

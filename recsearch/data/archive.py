"""Is a zip file safe and complete? Nothing is ever extracted: members are read in place."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from recsearch.data.catalogue import Archive
from recsearch.errors import DataError

MAX_MEMBERS = 1000
MAX_BYTES = 4 << 30
MAX_RATIO = 200

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)
"""What reading a damaged or exotic zip file raises."""


def check_archive(path: Path, archive: Archive) -> tuple[str, ...]:
    """Check names, kinds and sizes of all members before any is read.

    Returns:
        Names of all members.

    Raises:
        DataError: not a zip file, a hostile member, or a needed member is absent.
    """
    with opened(path) as file:
        infos = file.infolist()
    if len(infos) > MAX_MEMBERS:
        raise _refused(path, f"it has {len(infos)} members, expected at most {MAX_MEMBERS}")
    for info in infos:
        problem = _name_problem(info) or _kind_problem(info) or _size_problem(info)
        if problem:
            raise _refused(path, f"member {info.filename!r} {problem}")
    total = sum(info.file_size for info in infos)
    if total > MAX_BYTES:
        raise _refused(path, f"it would unpack to {total} bytes, expected at most {MAX_BYTES}")
    names = tuple(info.filename for info in infos)
    if len(set(names)) < len(names):
        raise _refused(path, "a member name occurs twice")
    for member in archive.members:
        if member not in names:
            raise _refused(path, f"{member} is not in it; it holds {_some(names)}")
    if archive.folder and names[0] != f"{archive.folder}/":
        raise _refused(path, f"it begins with {names[0]}, expected the folder {archive.folder}/")
    return names


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file at ``path``; damage met inside the block becomes a DataError."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as a zip file: {str(error) or type(error).__name__}",
            hint=f"Remove it and fetch it again: rm {path}",
        ) from error


def _name_problem(info: zipfile.ZipInfo) -> str | None:
    name = info.filename
    if name.startswith(("/", "\\")) or PurePosixPath(name).is_absolute():
        return "is an absolute path"
    if "\\" in name or ":" in name.split("/")[0]:
        return "has a backslash or a drive letter in its name"
    if ".." in name.split("/"):
        return "points outside of the archive"
    return None if name.isprintable() else "has unprintable characters in its name"


def _kind_problem(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is neither a file nor a folder (a link or a device)"
    return "is encrypted" if info.flag_bits & 0x1 else None


def _size_problem(info: zipfile.ZipInfo) -> str | None:
    if info.file_size > MAX_RATIO * max(info.compress_size, 1):
        return f"unpacks to more than {MAX_RATIO} times its size"
    return None


def _refused(path: Path, why: str) -> DataError:
    return DataError(f"{path} is refused: {why}", hint="Take the archive from its publisher.")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")

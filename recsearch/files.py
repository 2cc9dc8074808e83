"""Files of a run: written whole or not at all, and named so that a run can be moved."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from recsearch.errors import RecsearchError
from recsearch.urls import without_secrets


def write_atomic(path: Path, content: Any) -> None:
    """Write JSON so that readers see the old or the new file, never a part of one.

    Raises:
        RecsearchError: the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text_atomic(path, text)


def write_text_atomic(path: Path, text: str) -> None:
    """Write text in the same way; errors as for `write_atomic`."""
    replace_file(path, lambda file: file.write(text.encode()))


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through ``write``; readers see the old or the new one, never a part.

    Raises:
        RecsearchError: the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as err:
        raise RecsearchError(
            f"{path}: cannot write: {err.strerror}.",
            hint="Free some space or choose a writable folder, then type the same command again.",
        ) from err


def store_for_run(root: Path, url: str) -> str:
    """How ``run.json`` names a store: a folder relative to the run, so that both can move.

    An address is named without its secrets, which whoever opens it again has to know.
    """
    if "://" in url:
        return without_secrets(url)
    return os.path.relpath(Path(url).expanduser().resolve(), root.resolve())


def store_from_run(root: Path, recorded: str) -> str:
    """The store that `store_for_run` recorded, usable from any working folder."""
    return recorded if "://" in recorded else str((root.resolve() / recorded).resolve())


def absolute_url(url: str) -> str:
    """A folder as an absolute path: workers may run elsewhere. Other addresses as they are."""
    return url if "://" in url else str(Path(url).expanduser().resolve())


def number_or_none(value: float) -> float | None:
    """JSON has no NaN: what cannot be measured is recorded as null."""
    return float(value) if math.isfinite(value) else None

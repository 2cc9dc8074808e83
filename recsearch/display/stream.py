"""A stream that takes all that is written to it, whatever becomes of it."""

from __future__ import annotations

import contextlib
import io
from typing import TextIO


class LossyStream(io.TextIOBase):
    """Passes texts on to another stream; those that it does not take are lost.

    The reader of a pipe may have gone, the disk of a log be full, a terminal be closed. None of
    that is a reason to lose an epoch. Each text is tried anew: there may be room again.

    Args:
        stream: where texts go.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream behind it."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream behind it is a terminal."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        """That of the stream behind it."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str, /) -> int:
        """Pass ``text`` on, or lose it."""
        # A closed file raises ValueError.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what the stream has kept back, or lose it."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

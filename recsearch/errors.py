"""Every error that recsearch raises on purpose.

::

    RecsearchError                 exit 1   the root; also "failed" in general
    ├── UsageError                 exit 2   a wrong name or option
    │   ├── SpecError              exit 2   a search file: file, key, value, what was expected
    │   └── DataError              exit 2   a data set: absent, corrupt, hostile, out of range
    │       └── DataNotFoundError  exit 2   nowhere on the search path and no network
    ├── IdentityError              exit 3   a run folder of another identity
    ├── VerificationError          exit 3   a recomputed number differs from the recorded one
    ├── RunLockedError             exit 1   another process works on the run folder
    └── StoreError                 exit 1   the store cannot be read or written (disk full, ...)
        ├── CheckpointNotFoundError exit 1  no such checkpoint
        └── StoreDamagedError      exit 4   stored bytes do not match their hash

Exit codes 5 (finished, but some trials erred) and 130 (interrupted, resumable) are outcomes of a
search, not errors: the driver returns them.

Each error is one paragraph: what is wrong, where, and the command to type next.
"""

from __future__ import annotations


class RecsearchError(Exception):
    """Root of the tree. ``hint`` is the next command or step, shown on its own line."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[RecsearchError], message: str, hint: str | None) -> RecsearchError:
    return cls(message, hint=hint)


class UsageError(RecsearchError):
    """A name or an option that does not exist or does not fit."""

    exit_code = 2


class SpecError(UsageError):
    """A search file that cannot be used."""


class DataError(UsageError):
    """A data set that cannot be used."""


class DataNotFoundError(DataError):
    """A data set that is not on the search path and cannot be downloaded."""


class IdentityError(RecsearchError):
    """A run folder whose identity differs from what was asked for."""

    exit_code = 3


class VerificationError(RecsearchError):
    """A number recomputed from its checkpoint or configuration differs from the record."""

    exit_code = 3


class RunLockedError(RecsearchError):
    """Another live process works on the run folder."""


class StoreError(RecsearchError):
    """The store cannot be read or written."""


class CheckpointNotFoundError(StoreError):
    """The store holds no such checkpoint."""


class StoreDamagedError(StoreError):
    """Stored bytes do not match the hash that names them."""

    exit_code = 4

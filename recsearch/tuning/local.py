"""Objects that live in the driver alone, although Ray pickles its tuner."""

from __future__ import annotations

from typing import Any


class DriverOnly:
    """Pickled as nothing, copied as itself.

    Ray writes its tuner to disk for a restore that we never use: the journal and the store are
    what a search resumes from.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return (str, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

"""What ends a search rather than a trial: the store or the journal fails, or our own code does.

Ray turns whatever its callbacks raise into text. So they raise nothing: the first failure is kept
here, Ray is told to stop, and the driver raises the failure itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ray.tune import Stopper

from recsearch import errors
from recsearch.errors import RecsearchError
from recsearch.tuning.local import DriverOnly

Result = TypeVar("Result")


class Failure(DriverOnly, Stopper):
    """The first failure of a search; Ray asks it whether to stop."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Stop all trials once something has failed."""
        return self.error is not None

    def guard(self, call: Callable[[], Result], otherwise: Result) -> Result:
        """The result of ``call``, or ``otherwise`` if it fails or something has failed before."""
        if self.error is not None:
            return otherwise
        try:
            return call()
        except Exception as err:  # noqa: BLE001 - raised again by the driver
            self.error = err
            return otherwise


def to_report(error: RecsearchError) -> dict[str, Any]:
    """An error of a worker as JSON."""
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}


def from_report(report: dict[str, Any]) -> RecsearchError:
    """The error that `to_report` wrote; of the same class, so of the same exit code."""
    found = getattr(errors, report["kind"], RecsearchError)
    error: RecsearchError = found(report["message"], hint=report["hint"])
    return error

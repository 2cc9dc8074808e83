"""Whether the best has been verified by retraining it, in words."""

from __future__ import annotations

from typing import NamedTuple

from analysis.formatting import day, number
from analysis.values import finite
from recsearch.findings import any_verification, read_verification
from recsearch.run import RunView


class Verification(NamedTuple):
    """``status`` is verified, failed, outdated (another best was) or none."""

    status: str
    words: str


def verification_info(run: RunView) -> Verification | None:
    """What ``recsearch verify`` found of the present best; None before there is one."""
    best = run.best()
    if best is None:
        return None
    trial, row = best
    entry = read_verification(run.path, trial.key, row.epoch)
    if entry is None:
        if any_verification(run.path):
            return Verification(
                "outdated", "Not verified: what was verified is another configuration or epoch."
            )
        return Verification("none", "Not verified: no verification of it is on record.")
    when = day(str(entry.get("time")))
    if not entry.get("passed"):
        reason = str(entry.get("message", "")).partition("\n")[0]
        return Verification("failed", f"Verification FAILED on {when}: {reason}")
    arrays = {
        "True": "its arrays are bit-equal to the stored checkpoint",
        "False": "its arrays are not bit-equal to the stored checkpoint",
    }.get(str(entry.get("bit_equal")), "no stored checkpoint was there to compare its arrays with")
    difference = number(finite(entry.get("difference")), 2)
    return Verification(
        "verified",
        f"Verified on {when}: retrained from the configuration alone, every metric is the same "
        f"(largest difference {difference}), and {arrays}.",
    )

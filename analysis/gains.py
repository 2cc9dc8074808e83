"""Is the gain real: what was measured user by user, in words, and whether it is of this best."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.formatting import number, signed
from analysis.values import BASELINE_LABELS
from recsearch.findings import best_place, read_gains
from recsearch.run import RunView


class GainRow(NamedTuple):
    """The gain over one other configuration, with its 95 % interval; positive is better."""

    over: str
    users: int
    value: float
    gain: float
    low: float
    high: float
    p: float

    @property
    def real(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0

    @property
    def interval_text(self) -> str:
        """The interval as printed."""
        return f"{signed(self.low)} to {signed(self.high)}"

    @property
    def p_text(self) -> str:
        """The p value as printed."""
        return "< 0.0001" if self.p < 1e-4 else f"{self.p:.4f}"


class GainsInfo(NamedTuple):
    """The gains of the present best.

    Attributes:
        metric: what users have values of.
        rows: over the default configuration and the baseline, as far as they were measured.
        missing: what could not be measured, and why.
        sentences: one for each row.
    """

    metric: str
    rows: tuple[GainRow, ...]
    missing: tuple[str, ...]
    sentences: tuple[str, ...]


def gains_info(run: RunView) -> GainsInfo | None:
    """What was measured of the present best; None where nothing was, or of another best."""
    document, best = read_gains(run.path), run.best()
    if document is None or best is None:
        return None
    if document.get("best") != best_place(*best):
        return None
    rows = tuple(_row(found) for found in document["gains"])
    return GainsInfo(
        metric=str(document["metric"]),
        rows=rows,
        missing=tuple(f"{_label(e['over'])}: {e['reason']}" for e in document.get("missing", ())),
        sentences=tuple(sentence(row) for row in rows),
    )


def sentence(row: GainRow) -> str:
    """Whether one gain is real, in words."""
    where = (
        f"{number(abs(row.gain), 3)} {'better' if row.gain >= 0 else 'worse'} than the {row.over}, "
        f"with a 95 % interval from {signed(row.low)} to {signed(row.high)} over {row.users} users"
    )
    if row.real:
        return f"The best is {where}: more than the choice of users explains."
    if row.high < 0:
        return f"The best is {where}: it is really worse."
    return f"The best is {where}: that may be the choice of users alone."


def _row(found: dict[str, Any]) -> GainRow:
    return GainRow(
        over=_label(found["over"]),
        users=found["users"],
        value=found["value"],
        gain=found["gain"],
        low=found["low"],
        high=found["high"],
        p=found["p_wilcoxon_holm"],
    )


def _label(name: str) -> str:
    if name == "default":
        return "default configuration"
    return f"{BASELINE_LABELS.get(name, name)} baseline"

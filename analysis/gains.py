"""Is the gain real: what was measured user by user, in words, and whether it is of this best."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.formatting import number, probability, signed
from analysis.values import BASELINE_LABELS
from recsearch.findings import best_place, read_gains
from recsearch.folds import folds_of
from recsearch.run import RunView

LEVEL = 0.05
"""p values below this are taken to tell models apart."""


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
        """Whether the whole interval lies above zero, and the test agrees."""
        return self.low > 0 and self.p < LEVEL

    @property
    def interval_text(self) -> str:
        """The interval as printed."""
        return f"{signed(self.low)} to {signed(self.high)}"

    @property
    def p_text(self) -> str:
        """The p value as printed."""
        return probability(self.p)


class GainsInfo(NamedTuple):
    """The gains of the present best.

    Attributes:
        metric: what users have values of.
        rows: over the default configuration and the baseline, as far as they were measured.
        missing: what could not be measured, and why.
        sentences: one for each row.
        first_fold: whether they are of the first of several validation folds.
    """

    metric: str
    rows: tuple[GainRow, ...]
    missing: tuple[str, ...]
    sentences: tuple[str, ...]
    first_fold: bool


def gains_info(run: RunView) -> GainsInfo | None:
    """What was measured of the present best; None where nothing was, or of another best."""
    document, best = read_gains(run.path), run.best()
    if document is None or best is None or document.get("best") != best_place(*best):
        return None
    try:
        metric = str(document["metric"])
        rows = tuple(_row(found) for found in document["gains"])
        missing = [f"{_label(each['over'])}: {each['reason']}" for each in document["missing"]]
    except (KeyError, TypeError, ValueError):
        return None  # damaged: recsearch compare writes it anew
    sentences = tuple(sentence(row, metric) for row in rows)
    return GainsInfo(metric, rows, tuple(missing), sentences, folds_of(run.identity) > 1)


def sentence(row: GainRow, metric: str) -> str:
    """Whether one gain is real, in words."""
    where = (
        f"By {metric} the best is {number(abs(row.gain), 3)} "
        f"{'better' if row.gain >= 0 else 'worse'} than the {row.over}, with a 95 % interval from "
        f"{signed(row.low)} to {signed(row.high)} over {row.users} users (p {row.p_text})"
    )
    if row.real:
        return f"{where}: more than the choice of users explains."
    if row.high < 0 and row.p < LEVEL:
        return f"{where}: it is really worse."
    if row.low > 0 or row.high < 0:
        return f"{where}: interval and test disagree, so it is not certain."
    return f"{where}: that may be the choice of users alone."


def _row(found: dict[str, Any]) -> GainRow:
    return GainRow(
        over=_label(found["over"]),
        users=int(found["users"]),
        value=float(found["value"]),
        gain=float(found["gain"]),
        low=float(found["low"]),
        high=float(found["high"]),
        p=float(found["p_wilcoxon_holm"]),
    )


def _label(name: str) -> str:
    if name == "default":
        return "default configuration"
    return f"{BASELINE_LABELS.get(name, name)} baseline"

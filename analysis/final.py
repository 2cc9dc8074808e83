"""Test results: what `recsearch final` measured, beside the default configuration and baselines."""

from __future__ import annotations

from typing import NamedTuple

from analysis.formatting import day, metric, plural, signed
from analysis.values import BASELINE_LABELS
from recsearch.final.outcome import Final, read_final
from recsearch.run import RunView


class FinalRow(NamedTuple):
    """One metric; ``cells`` are ``mean ± std`` over test parts, one for each column."""

    name: str
    cells: tuple[str, ...]
    seeds: str
    objective: bool


class FinalInfo(NamedTuple):
    """The block of test results.

    Attributes:
        columns: what was measured, the best configuration first.
        rows: the objective first.
        seeded: whether several seeds were measured, so that rows have their deviation.
        gains: the gain over each other column in the objective, positive for better.
        summary: what was measured on.
        touched: when test data was read, and how often.
        stale: why the results are not those of the present best; None where they are.
    """

    columns: tuple[str, ...]
    rows: tuple[FinalRow, ...]
    seeded: bool
    gains: tuple[tuple[str, str], ...]
    summary: str
    touched: str
    stale: str | None


def final_info(run: RunView) -> FinalInfo | None:
    """The test results of a run; None where there are none.

    Raises:
        RecsearchError: ``final.json`` is unreadable.
    """
    final = read_final(run.path)
    if final is None:
        return None
    document = final.document
    names = sorted(
        document["results"]["best"]["metrics"], key=lambda name: name != document["objective"]
    )
    return FinalInfo(
        columns=tuple(BASELINE_LABELS.get(name, name) for name in final.configs),
        rows=tuple(_row(final, name) for name in names),
        seeded=len(document["seeds"]) > 1,
        gains=tuple(
            (BASELINE_LABELS.get(name, f"the {name} configuration"), signed(gain))
            for name in final.configs[1:]
            if (gain := final.gain(name)) is not None
        ),
        summary=_summary(final),
        touched=_touched(run),
        stale=_stale(run, final),
    )


def _row(final: Final, name: str) -> FinalRow:
    seeds = final.spread("best", name).std_seeds
    return FinalRow(
        name=name,
        cells=tuple(_cell(final, config, name) for config in final.configs),
        seeds="" if seeds is None else metric(seeds),
        objective=name == final.document["objective"],
    )


def _cell(final: Final, config: str, name: str) -> str:
    if name not in final.document["results"][config]["metrics"]:
        return ""
    spread = final.spread(config, name)
    text = metric(spread.mean)
    return text if spread.std_parts is None else f"{text} ± {metric(spread.std_parts)}"


def _summary(final: Final) -> str:
    parts, seeds = final.document["parts"], final.document["seeds"]
    best = final.document["results"]["best"]
    over = f"test part {parts[0]}"
    if len(parts) > 1:
        over = f"test parts {', '.join(map(str, parts))}, mean ± standard deviation over them"
    return (
        f"The configuration of trial {best['trial']}, trained anew for "
        f"{plural(best['epochs'], 'epoch')} with seed {', '.join(map(str, seeds))} and measured on "
        f"{over}. No decision of the search was measured on these ratings."
    )


def _touched(run: RunView) -> str:
    times = [event["time"] for event in run.record.tests]
    if not times:
        return "The journal has no record of when test data was read."
    models = {event["key"] for event in run.record.tests if event.get("key")}
    until = "" if day(times[0]) == day(times[-1]) else f" to {day(times[-1])}"
    return f"Test data was read {day(times[0])}{until}, for {plural(len(models), 'model')} in all."


def _stale(run: RunView, final: Final) -> str | None:
    best, measured = run.best(), final.document["results"]["best"]
    if best is None or (best[0].number, best[1].epoch) == (measured["trial"], measured["epochs"]):
        return None
    return (
        f"These are the results of trial {measured['trial']}, epoch {measured['epochs']}, which "
        f"was the best then. Since then the search has found trial {best[0].number}, epoch "
        f"{best[1].epoch}."
    )

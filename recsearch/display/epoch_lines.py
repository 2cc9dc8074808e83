"""A line for every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recsearch.display.tally import Change
from recsearch.display.words import number
from recsearch.epochs import EpochRow
from recsearch.evaluation import Metric
from recsearch.units import size


def epoch_lines(changes: Iterable[Change], objectives: tuple[Metric, ...]) -> Iterator[str]:
    """What the epochs that trials have gained were worth, and what they took."""
    for trial, before in changes:
        for row in trial.epochs[0 if before is None else len(before.epochs) :]:
            yield _line(row, objectives)


def _line(row: EpochRow, objectives: tuple[Metric, ...]) -> str:
    values = ", ".join(f"{metric.name} {number(row.value(metric.name))}" for metric in objectives)
    return (
        f"trial {row.trial} epoch {row.epoch}: {values}; train {row.train_s:.2f} s, "
        f"evaluate {row.eval_s:.2f} s, save {row.save_s:.2f} s, {size(row.stored_bytes)} stored"
        f"{', cached' if row.cached else ''}"
    )

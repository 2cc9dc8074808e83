"""What others published for the same algorithms: ``codex_published.toml``, and gains within it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsearch.evaluation import Metric, better

CODEX = Path(__file__).parent / "codex_published.toml"


@dataclass(frozen=True)
class Value:
    """One tuned model as it was published.

    Attributes:
        data: data set, by our name.
        split: name of its split; values of different splits cannot be compared.
        drawn: how that split is drawn, as a run records its own; None where nobody knows.
        algorithm: by the name of our search file.
        metric: that it was tuned for, and ``value`` on the validation part.
        date, method, config, epochs: empty where they are not published.
        also: other metrics of the same model.
        bias: the published tuned bias of the same data set and split, by metric.
    """

    data: str
    split: str
    algorithm: str
    metric: str
    value: float
    date: str = ""
    method: str = ""
    config: str = ""
    epochs: str = ""
    also: Mapping[str, float] = field(default_factory=dict)
    bias: Mapping[str, float] = field(default_factory=dict)
    drawn: Mapping[str, Any] | None = None

    def measured_on(self, split: Mapping[str, Any]) -> bool:
        """Whether it is of the very ratings that a run with this recorded split is measured on."""
        return self.drawn is not None and split == {**split, **self.drawn}

    def gain(self, metric: Metric) -> float | None:
        """Gain over the tuned bias of the same split; None where that is not published."""
        return gain(metric, self.value, self.bias.get(metric.name))


def gain(metric: Metric, value: float | None, reference: float | None) -> float | None:
    """By how much ``value`` is better than ``reference``; negative if it is worse."""
    if value is None or reference is None:
        return None
    return reference - value if metric.direction == "min" else value - reference


def load(path: Path = CODEX) -> tuple[Value, ...]:
    """All published values, each with what is known of its split.

    Raises:
        TypeError: an entry has an unknown key, or lacks one.
        KeyError: an entry names a split that the file does not describe.
    """
    with path.open("rb") as file:
        found = tomllib.load(file)
    splits = {(split["data"], split["name"]): split for split in found["split"]}
    values = []
    for entry in found["value"]:
        split = splits[entry["data"], entry["split"]]
        values.append(Value(**entry, bias=split["bias"], drawn=split.get("drawn")))
    return tuple(values)


def target(
    values: Sequence[Value],
    data: str,
    algorithm: str,
    metric: Metric,
    split: Mapping[str, Any],
) -> Value | None:
    """What a search is compared with: the best value published for its algorithm on its ``split``.

    Where none is, the one with the best gain over the bias of another split; where no gain is
    known for any, the best value, which is then shown and not compared.
    """
    best: Value | None = None
    for value in values:
        if (value.data, value.algorithm, value.metric) == (data, algorithm, metric.name) and (
            best is None or _ahead(value, best, metric, split)
        ):
            best = value
    return best


def _ahead(value: Value, best: Value, metric: Metric, split: Mapping[str, Any]) -> bool:
    here, there = value.measured_on(split), best.measured_on(split)
    if here or there:
        return here and (not there or better(metric, value.value, best.value))
    mine, theirs = value.gain(metric), best.gain(metric)
    if mine is not None and theirs is not None:
        return mine > theirs
    if mine is None and theirs is None:
        return better(metric, value.value, best.value)
    return theirs is None

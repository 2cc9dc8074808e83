"""What others published for the same algorithms: ``codex_published.toml``, and gains within it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recsearch.evaluation import Metric, better

CODEX = Path(__file__).parent / "codex_published.toml"


@dataclass(frozen=True)
class Value:
    """One tuned model as it was published.

    Attributes:
        data: data set, by our name.
        split: name of its split; values of different splits cannot be compared.
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

    def gain(self, metric: Metric) -> float | None:
        """Gain over the tuned bias of the same split; None where that is not published."""
        return gain(metric, self.value, self.bias.get(metric.name))


def gain(metric: Metric, value: float | None, reference: float | None) -> float | None:
    """By how much ``value`` is better than ``reference``; negative if it is worse."""
    if value is None or reference is None:
        return None
    return reference - value if metric.direction == "min" else value - reference


def load(path: Path = CODEX) -> tuple[Value, ...]:
    """All published values, each with the bias of its split.

    Raises:
        TypeError: an entry has an unknown key, or lacks one.
        KeyError: an entry names a split that the file does not describe.
    """
    with path.open("rb") as file:
        found = tomllib.load(file)
    bias = {(split["data"], split["name"]): split["bias"] for split in found["split"]}
    return tuple(
        Value(**entry, bias=bias[entry["data"], entry["split"]]) for entry in found["value"]
    )


def target(values: Sequence[Value], data: str, algorithm: str, metric: Metric) -> Value | None:
    """What a search is compared with: the best published gain of its algorithm on its data set.

    Where no gain is known for any, the best value, which is then shown and not compared.
    """
    best: Value | None = None
    for value in values:
        if (value.data, value.algorithm, value.metric) == (data, algorithm, metric.name) and (
            best is None or _ahead(value, best, metric)
        ):
            best = value
    return best


def _ahead(value: Value, best: Value, metric: Metric) -> bool:
    mine, theirs = value.gain(metric), best.gain(metric)
    if mine is not None and theirs is not None:
        return mine > theirs
    if mine is None and theirs is None:
        return better(metric, value.value, best.value)
    return theirs is None

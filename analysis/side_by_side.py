"""Several runs side by side: what they are, what their bests score, where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from analysis.catalogue import Member, run_state
from analysis.comparable import basis_of
from analysis.exports import metric_names
from analysis.figures import Table
from analysis.formatting import ABSENT, count, duration, metric, signed, value_text
from analysis.parameters import parameters_info
from analysis.values import dig
from recsearch.errors import UsageError
from recsearch.evaluation import parse
from recsearch.run import RunView

_SETTINGS = ("method", "trials", "max_epochs", "scheduler", "scheduler_options", "stop", "lag",
             "constraints")  # fmt: skip
"""Of the search itself, what can explain that one run did better than another."""


class RunFacts(NamedTuple):
    """One run. ``link`` leads to its page from a page two folders below; "" where it has none.

    ``split`` is the beginning of the id of its first fold's.
    """

    run: str
    link: str
    title: str
    objective: str
    direction: str
    best: str
    gain: str
    split: str
    trials: str
    epochs: str
    time: str
    state: str
    ended: bool


class MetricColumn(NamedTuple):
    """One metric. ``leader`` is the position of the best run, None where it is not to be told."""

    name: str
    direction: str
    leader: int | None


class MetricsInfo(NamedTuple):
    """All metrics of each run's best epoch; values in the order of columns, None if absent."""

    columns: tuple[MetricColumn, ...]
    rows: tuple[tuple[str, int, int, tuple[float | None, ...]], ...]


class ModelInfo(NamedTuple):
    """Runs of one model.

    Attributes:
        model: its class.
        runs: the runs that have a best, best first.
        differing: name to the value in each run, of what is not the same in all; of a single run,
            everything.
        equal: name and value of what is the same in all.
        settings: likewise ``differing``, of the search and its space.
    """

    model: str
    runs: tuple[str, ...]
    differing: tuple[tuple[str, tuple[str, ...]], ...]
    equal: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def single(self) -> bool:
        """Whether no other run of the page is of this model."""
        return len(self.runs) == 1


def run_facts(member: Member, page: bool) -> RunFacts:
    """What a run is; ``page`` says whether it has one to be linked."""
    run, info = member
    state, ended = run_state(run)
    splits = basis_of(run).splits
    return RunFacts(
        run=run.path.name,
        link=f"../../{run.path.name}/index.html" if page else "",
        title=info.title,
        objective=run.objective.name,
        direction=info.direction,
        best=metric(info.best.value if info.best else None),
        gain=signed(info.baseline.gain if info.baseline else None),
        split=splits[0][:12] if splits else ABSENT,
        trials=f"{count(sum(info.states.values()))}/{count(info.planned)}",
        epochs=count(info.epochs),
        time=duration(info.seconds) if info.commands else ABSENT,
        state=state,
        ended=ended,
    )


def metrics_info(runs: Sequence[RunView]) -> MetricsInfo | None:
    """Metrics of the best epochs of ``runs``; None where none has one.

    The best of a column is told only where all runs were measured on the same ratings.
    """
    found = [(run, best) for run in runs if (best := run.best()) is not None]
    if not found:
        return None
    names = dict.fromkeys(name for run in runs for name in metric_names(run))
    rows = tuple(
        (run.path.name, trial.number, row.epoch, tuple(_value(row.metrics.get(n)) for n in names))
        for run, (trial, row) in found
    )
    fair = len({basis_of(run).splits for run, _ in found}) == 1 and len(found) > 1
    columns = tuple(
        _column(name, [row[3][at] for row in rows], fair) for at, name in enumerate(names)
    )
    return MetricsInfo(columns, rows)


def metrics_table(info: MetricsInfo) -> Table:
    """Every number."""
    head = ("run", "trial", "epoch", *(column.name for column in info.columns))
    return Table(
        head, tuple((run, trial, epoch, *values) for run, trial, epoch, values in info.rows)
    )


def models_info(runs: Sequence[RunView]) -> tuple[ModelInfo, ...]:
    """Best configurations by model, in the order of ``runs``."""
    models: dict[str, list[RunView]] = {}
    for run in runs:
        if run.best() is not None:
            name = str(dig(run.identity, "search", "model", "class", default="unknown model"))
            models.setdefault(name, []).append(run)
    return tuple(_model(name, own) for name, own in models.items())


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name.

    >>> flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _model(name: str, runs: list[RunView]) -> ModelInfo:
    bests = [run.best() for run in runs]
    found = [
        {**flat(best[0].config), "epochs": best[1].epoch} for best in bests if best is not None
    ]
    differing, equal = _apart(found)
    settings, _ = _apart([_settings(run) for run in runs])
    if len(runs) == 1:
        differing, equal, settings = {k: (v,) for k, v in equal.items()}, {}, {}
    return ModelInfo(
        model=name,
        runs=tuple(run.path.name for run in runs),
        differing=tuple((key, values) for key, values in differing.items()),
        equal=tuple(equal.items()),
        settings=tuple((key, values) for key, values in settings.items()),
    )


def _apart(found: list[dict[str, Any]]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """What differs, with the value of each, and what does not."""
    differing, equal = {}, {}
    for key in dict.fromkeys(key for each in found for key in each):
        values = [each.get(key, _ABSENT) for each in found]
        texts = tuple(ABSENT if value is _ABSENT else value_text(value) for value in values)
        if all(type(v) is type(values[0]) and v == values[0] for v in values):
            equal[key] = texts[0]
        else:
            differing[key] = texts
    return differing, equal


_ABSENT = object()


def _settings(run: RunView) -> dict[str, Any]:
    search = dig(run.identity, "search", "search", default={})
    found = {name: search[name] for name in _SETTINGS if name in search}
    found["seed"] = run.identity.get("seed")
    ranges = {
        f"range of {row.name}": f"{row.kind}, {row.distribution}: {row.range_text}"
        for row in parameters_info(run)
    }
    return {**flat(found), **ranges}


def _column(name: str, values: list[float | None], fair: bool) -> MetricColumn:
    try:
        direction = parse(name).direction
    except UsageError:
        return MetricColumn(name, "", None)
    there = [(value, at) for at, value in enumerate(values) if value is not None]
    leader = None
    if fair and len(there) > 1:
        sign = -1.0 if direction == "max" else 1.0
        leader = min(there, key=lambda pair: (sign * pair[0], pair[1]))[1]
    return MetricColumn(name, direction, leader)


def _value(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

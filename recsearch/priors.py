"""Trials of something else that a search learns from before its own first one.

They come from an Optuna study or from another run. They are no trials of the run: nothing of them
is trained, reported or best. They decide what is suggested, so they are part of what the run is:
``run.json`` has them with their digest, and resuming needs neither file nor run.

::

    "priors": {
      "source": "runs/als-ml100k",    as the command had it, without a password
      "comparable": false,            whether the values were measured on this very split
      "trials": [{"params": {…}, "value": 0.91}, …],
      "left_out": 3,                  trials that came to a value and are no points of the space
      "reasons": {"embedding_size = 1024: expected …": 3},
      "digest": "…"                   of comparable and trials
    }
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recsearch.errors import RecsearchError, UsageError
from recsearch.evaluation import Metric
from recsearch.identity import digest
from recsearch.run import RunView
from recsearch.space import Choice, Int, Space
from recsearch.spec import SearchSpec
from recsearch.studies import (
    StudyTrial,
    StudyTrials,
    as_told,
    measured_on,
    on_server,
    read_study,
)
from recsearch.suggest import Prior, Priors
from recsearch.urls import without_secrets

REASONS = 3
"""Different reasons for leaving trials out that are kept and told."""


def load_priors(spec: SearchSpec, address: str, here: str) -> dict[str, Any]:
    """The priors of a search, as ``run.json`` has them.

    Args:
        spec: the search.
        address: a run folder, or what `recsearch.studies.read_study` reads.
        here: what the search measures on, as `recsearch.studies.measured_on` has it.

    Raises:
        UsageError: there is nothing to read there, the search cannot learn from trials, the
            objective is another one, or no trial is a point of its space.
    """
    shown = without_secrets(address)
    metric = _learning(spec, shown)
    found = _read(address, metric, shown)
    trials, left_out = _fitting(spec.space, found.trials)
    reasons = dict(left_out.most_common(REASONS))
    if not trials:
        raise UsageError(
            f"--prior {shown}: none of the {len(found.trials)} trials of {found.name} that came "
            f"to a value fits the space{_because(left_out.total(), reasons)}."
        )
    comparable = found.measured_on in (None, here)
    return {
        "source": shown,
        "comparable": comparable,
        "trials": trials,
        "left_out": left_out.total(),
        "reasons": reasons,
        "digest": digest({"comparable": comparable, "trials": trials}),
    }


def recorded_priors(table: Mapping[str, Any] | None, address: str) -> dict[str, Any] | None:
    """Those that a run began with, if an address is where they came from; None otherwise.

    The command that began a run resumes it, whatever has become of their source since.
    """
    if table is None or table["source"] != without_secrets(address):
        return None
    return dict(table)


def moved_on(table: Mapping[str, Any], spec: SearchSpec, address: str, here: str) -> str | None:
    """A sentence, if the source of recorded priors has others now. Servers are not asked."""
    if _run_at(address) is None and on_server(address):
        return None
    try:
        now = load_priors(spec, address, here)
    except RecsearchError:
        return None
    if now["digest"] == table["digest"]:
        return None
    return (
        f"{table['source']} has changed since the run began; it goes on learning from the "
        f"{len(table['trials'])} trials that it began with (--fresh starts anew)"
    )


def priors_of(identity: Mapping[str, Any]) -> Priors:
    """What the searcher of a run learns from before trial 1; nothing for most."""
    table = identity.get("priors")
    if table is None:
        return Priors()
    trials = (Prior(row["params"], float(row["value"])) for row in table["trials"])
    return Priors(tuple(trials), bool(table["comparable"]))


def prior_notes(identity: Mapping[str, Any]) -> Iterator[str]:
    """What a user should know of the priors of a run, in a sentence."""
    table = identity.get("priors")
    if table is None:
        return
    count, lost = len(table["trials"]), table["left_out"]
    text = f"learns from {count} trials of {table['source']}"
    if not table["comparable"]:
        text += ", by their ranks, since they were measured on other data"
    if lost:
        text += f"; {lost} do not fit the space{_because(lost, table['reasons'])}"
    yield text


def _run_at(address: str) -> Path | None:
    """The run folder of that path, or of that name below ``runs/``."""
    folders = (Path(address), Path("runs") / address)
    return next((folder for folder in folders if (folder / "run.json").exists()), None)


def _learning(spec: SearchSpec, shown: str) -> Metric:
    """The objective of a search that can learn from trials."""
    if spec.search.method != "tpe":
        raise UsageError(
            f"--prior {shown}: method = {spec.search.method} does not learn from trials.",
            hint="Leave out --prior, or search with --method tpe.",
        )
    if len(spec.objectives) > 1:
        raise UsageError(
            f"--prior {shown}: the search has {len(spec.objectives)} objectives, expected one."
        )
    return spec.objectives[0]


def _read(address: str, metric: Metric, shown: str) -> StudyTrials:
    """What there is to learn from, of that objective."""
    folder = _run_at(address)
    found = read_study(address) if folder is None else _of_run(folder, metric, shown)
    if found.direction != metric.direction or found.metric not in (None, metric.name):
        theirs = f"{found.metric or 'its objective'} ({found.direction})"
        raise UsageError(
            f"--prior {shown}: {found.name} is for {theirs}, but this search for {metric.name} "
            f"({metric.direction})."
        )
    if not found.trials:
        raise UsageError(f"--prior {shown}: no trial of {found.name} has come to a value yet.")
    return found


def _of_run(folder: Path, metric: Metric, shown: str) -> StudyTrials:
    """The trials of another run that came to a value, by the objective of this search."""
    run = RunView.open(folder)
    ended = [trial for trial in run.trials if trial.state in {"done", "pruned"}]
    measured = {name: None for trial in ended for row in trial.epochs for name in row.metrics}
    if measured and metric.name not in measured:
        raise UsageError(
            f"--prior {shown}: no trial of {run.name} was measured by {metric.name}, but by "
            f"{', '.join(measured)}.",
            hint="Name one of these with --metric, or leave out --prior.",
        )
    rows = [(trial, run.trial_best(trial, metric.name)) for trial in ended]
    trials = (
        StudyTrial(trial.number, dict(trial.params), row.value(metric.name))
        for trial, row in rows
        if row is not None
    )
    return StudyTrials(
        run.name, metric.direction, metric.name, measured_on(run.identity), tuple(trials)
    )


def _fitting(
    space: Space, trials: tuple[StudyTrial, ...]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The trials that are points of the space, and why the others are not."""
    fit, left_out = list[dict[str, Any]](), Counter[str]()
    for trial in trials:
        params = {name: _as_in(space, name, value) for name, value in trial.params.items()}
        try:
            space.validate(params)
        except UsageError as err:
            left_out[err.message] += 1
        else:
            fit.append({"params": params, "value": trial.value})
    return fit, left_out


def _as_in(space: Space, name: str, value: Any) -> Any:
    """A value that a study has, as the space has it.

    ``8.0`` is 8 for an integer: tools that know floats alone write it so.
    """
    domain = space.get(name)
    if isinstance(domain, Int) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(domain, Choice) and isinstance(value, str):
        return next((each for each in domain.choices if as_told(domain, each) == value), value)
    return value


def _because(lost: int, reasons: Mapping[str, int]) -> str:
    """The commonest reasons in brackets; an ellipsis where there are others."""
    words = [f"{count}: {reason}" for reason, count in reasons.items()]
    words += ["…"] if sum(reasons.values()) < lost else []
    return f" ({'; '.join(words)})" if words else ""

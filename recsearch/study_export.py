"""Runs as Optuna studies.

A run is written in the journal format of Optuna (JSON lines), which ``optuna-dashboard FILE`` and
``optuna.load_study`` read. Trial n is Optuna's number n - 1, with the distributions of the search's
own space; a parameter that takes no part in a trial is absent from it.

* States: done is COMPLETE, pruned PRUNED, error FAIL, what never began WAITING, and what runs or
  was interrupted RUNNING.
* A value is that of the trial's best epoch, never of its last; that of a pruned trial, too.
* Intermediate values are those of the objective by epoch; what is not finite is left out.
* With several objectives, Optuna's Pareto front needs the values of one epoch: they are those of
  the trial's best epoch by the first objective, of equal ones by the others. (Its other epochs on
  the front are in ``pareto.json``.) Optuna has no intermediate values then.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsearch.epochs import TrialView
from recsearch.errors import RecsearchError
from recsearch.files import number_or_none
from recsearch.journal import seconds
from recsearch.run import RunView
from recsearch.space import Choice, Domain, Int, Space, space_from_tables
from recsearch.studies import MEASURED, OURS, as_told, measured_on

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

STATES = {"done": "COMPLETE", "pruned": "PRUNED", "error": "FAIL"}
"""Optuna's state by ours; all others are waiting until they begin, and running then."""


def export_study(run: RunView, path: Path, *, force: bool = False) -> int:
    """Write a run as an Optuna study, whole or not at all; the number of its trials.

    Raises:
        RecsearchError: the file is there and ``force`` is not given, or it cannot be written.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if path.exists() and not force:
        raise RecsearchError(
            f"{path}: the file is there; nothing was written.",
            hint="Add --force to replace it, or name another file.",
        )
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            draft = Path(folder) / "journal.log"
            _fill(JournalStorage(JournalFileBackend(str(draft))), run)
            draft.replace(path)
    except OSError as err:
        raise RecsearchError(
            f"{path}: cannot write the study: {err.strerror}.",
            hint="Name a file in a folder that can be written.",
        ) from err
    return len(run.trials)


def distribution(domain: Domain) -> BaseDistribution:
    """The distribution of a domain. Powers of two are a log-uniform range that has them.

    Steps that Optuna does not find again among rounded numbers are left out.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution([as_told(domain, value) for value in domain.choices])
    table = domain.table()
    low, high, step, log = domain.extremes()[0], domain.extremes()[-1], table.get("step"), False
    if table["scale"] != "uniform":
        step, log = None, True
    if isinstance(domain, Int):
        return IntDistribution(low, high, log=log, step=step or 1)
    if step is not None:
        with warnings.catch_warnings(), contextlib.suppress(UserWarning):
            # Its decimal arithmetic may find that the range is no multiple of the step.
            warnings.simplefilter("error")
            stepped = FloatDistribution(low, high, step=step)
            if _has_all(stepped, domain.grid_values()):
                return stepped
    return FloatDistribution(low, high, log=log)


def _has_all(found: BaseDistribution, values: Iterable[float]) -> bool:
    from optuna.trial import TrialState, create_trial

    try:
        for value in values:
            state, has = TrialState.WAITING, {"x": value}
            create_trial(state=state, params=has, distributions={"x": found})
    except ValueError:
        return False
    return True


def _fill(storage: BaseStorage, run: RunView) -> None:
    import optuna
    from optuna.study import StudyDirection

    directions = [StudyDirection[f"{metric.direction.upper()}IMIZE"] for metric in run.objectives]
    study = optuna.create_study(storage=storage, study_name=run.name, directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([metric.name for metric in run.objectives])
    study.set_user_attr("recsearch.run_id", run.identity["run_id"])
    study.set_user_attr("recsearch.dataset", run.identity["dataset"]["name"])
    study.set_user_attr(MEASURED, measured_on(run.identity))
    space = space_from_tables(run.identity["search"]["space"])
    distributions = {name: distribution(domain) for name, domain in space.items()}
    for trial in run.trials:
        study.add_trial(_frozen(run, space, distributions, trial))


def _frozen(
    run: RunView, space: Space, distributions: Mapping[str, BaseDistribution], trial: TrialView
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    best = run.trial_best(trial)
    begun = trial.started is not None or bool(trial.epochs)
    state = TrialState[STATES.get(trial.state, "RUNNING" if begun else "WAITING")]
    values = None if best is None else [best.value(m.name) for m in run.objectives]
    if values is None or state.name not in {"COMPLETE", "PRUNED"} or any(map(math.isnan, values)):
        values = None
        state = TrialState.FAIL if state.name in {"COMPLETE", "PRUNED"} else state
    frozen = create_trial(
        state=state,
        values=values,
        params={name: as_told(space[name], value) for name, value in trial.params.items()},
        distributions={name: distributions[name] for name in trial.params},
        user_attrs=_attributes(run, trial),
        intermediate_values={} if len(run.objectives) > 1 else _curve(run, trial),
    )
    if state.name != "WAITING":
        frozen.datetime_start = _time(trial.begun_at)
    frozen.datetime_complete = _time(trial.left_at) if state.is_finished() else None
    return frozen


def _curve(run: RunView, trial: TrialView) -> dict[int, float]:
    values = {row.epoch: row.value(run.objective.name) for row in trial.epochs}
    return {epoch: value for epoch, value in values.items() if math.isfinite(value)}


def _attributes(run: RunView, trial: TrialView) -> dict[str, Any]:
    best = run.trial_best(trial)
    found = {
        OURS: trial.number,
        "recsearch.key": trial.key,
        "recsearch.origin": trial.origin,
        "recsearch.state": trial.state,
        "recsearch.reason": trial.reason,
        "recsearch.message": trial.message,
        "recsearch.epochs": len(trial.epochs),
        "recsearch.best_epoch": None if best is None else best.epoch,
    }
    metrics = {} if best is None else best.metrics
    measured = {name: None if v is None else number_or_none(v) for name, v in metrics.items()}
    return {**{k: v for k, v in found.items() if v is not None}, **measured}


def _time(text: str | None) -> datetime:
    return datetime.fromtimestamp(seconds(text), UTC)

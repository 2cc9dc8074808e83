"""Runs as Optuna studies, and the trials of Optuna studies.

A run is written in the journal format of Optuna (JSON lines), which ``optuna-dashboard FILE`` and
``optuna.load_study`` read. Trial n is Optuna's number n - 1, with the distributions of the search's
own space; a parameter that takes no part in a trial is absent from it.

* States: done is COMPLETE, pruned PRUNED, error FAIL, queued WAITING, and what runs or was
  interrupted RUNNING.
* A value is that of the trial's best epoch, never of its last; that of a pruned trial, too.
* Intermediate values are those of the objective by epoch; what is not finite is left out.
* With several objectives, Optuna's Pareto front needs the values of one epoch: they are those of
  the trial's best epoch by the first objective, of equal ones by the others. (Its other epochs on
  the front are in ``pareto.json``.) Optuna has no intermediate values then.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recsearch.epochs import TrialView
from recsearch.errors import RecsearchError, UsageError
from recsearch.files import number_or_none
from recsearch.run import RunView
from recsearch.space import Choice, Domain, Int, Space, space_from_tables

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

OURS = "recsearch.trial"
"""User attribute that every trial of a run has."""

MEASURED = "recsearch.measured_on"
"""User attribute of a study: what its values were measured on, as `measured_on` has it."""

STATES = {"done": "COMPLETE", "pruned": "PRUNED", "error": "FAIL", "queued": "WAITING"}
"""Optuna's state by ours; all others are running."""


class StudyTrial(NamedTuple):
    """A trial of a study that came to a value."""

    number: int
    params: dict[str, Any]
    value: float


class StudyTrials(NamedTuple):
    """What a study has to say.

    Attributes:
        name: of the study.
        direction: ``min`` or ``max``.
        metric: name of its objective, where it has been given one.
        measured_on: what a run measured them on; None for a study of other origin.
        trials: those that came to a value, by number.
    """

    name: str
    direction: str
    metric: str | None
    measured_on: str | None
    trials: tuple[StudyTrial, ...]


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


def measured_on(identity: Mapping[str, Any]) -> str:
    """Equal for runs whose values can be compared: their split, and its folds where several."""
    ids = identity.get("validation", {}).get("split_ids") or [identity["split"]["split_id"]]
    return " ".join(ids)


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
            if all(map(stepped._contains, domain.grid_values())):
                return stepped
    return FloatDistribution(low, high, log=log)


def as_told(domain: Domain, value: Any) -> Any:
    """A value as Optuna is told it: itself, or JSON where Optuna would take it for another choice.

    To Optuna, 1 is true.
    """
    if isinstance(domain, Choice) and len(set(domain.choices)) < len(domain.choices):
        return json.dumps(value)
    return value


def read_study(address: str) -> StudyTrials:
    """The trials of a study that came to a value.

    Of a study that `export_study` wrote, pruned trials are among them: there, their value is that
    of their best epoch.

    Args:
        address: ``FILE`` of Optuna's journal or the URL of a storage, and ``:NAME`` of the study
            where there are several.

    Raises:
        UsageError: there is no such file or study, it cannot be read, or it has several objectives.
    """
    place, name = split_address(address)
    storage = _storage(place)
    study = _study(storage, place, name)
    if len(study.directions) > 1:
        raise UsageError(f"--prior {address}: the study has {len(study.directions)} objectives.")
    names = study.system_attrs.get("study:metric_names")
    return StudyTrials(
        name=study.study_name,
        direction="max" if study.directions[0].name == "MAXIMIZE" else "min",
        metric=str(names[0]) if names else None,
        measured_on=study.user_attrs.get(MEASURED),
        trials=tuple(
            StudyTrial(trial.number, dict(trial.params), float(trial.values[0]))
            for trial in storage.get_all_trials(study._study_id)
            if trial.values and math.isfinite(trial.values[0]) and _counts(trial)
        ),
    )


def split_address(address: str) -> tuple[str, str | None]:
    """The place of a storage, and the name of the study behind its last colon, if any."""
    place, colon, name = address.rpartition(":")
    if not colon or not place or "/" in name or Path(address).exists():
        return address, None
    return place, name


def _fill(storage: BaseStorage, run: RunView) -> None:
    from optuna.study import StudyDirection

    directions = [StudyDirection[f"{m.direction.upper()}IMIZE"] for m in run.objectives]
    study = storage.create_new_study(directions, run.name)
    names = [metric.name for metric in run.objectives]
    storage.set_study_system_attr(study, "study:metric_names", names)
    about = {
        "recsearch.run_id": run.identity["run_id"],
        "recsearch.dataset": run.identity["dataset"]["name"],
        MEASURED: measured_on(run.identity),
    }
    for key, value in about.items():
        storage.set_study_user_attr(study, key, value)
    space = space_from_tables(run.identity["search"]["space"])
    for trial in run.trials:
        storage.create_new_trial(study, _frozen(run, space, trial))


def _frozen(run: RunView, space: Space, trial: TrialView) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    best = run.trial_best(trial)
    state = TrialState[STATES.get(trial.state, "RUNNING")]
    values = None if best is None else [best.value(m.name) for m in run.objectives]
    if values is None or state.name not in {"COMPLETE", "PRUNED"} or any(map(math.isnan, values)):
        values = None
        state = TrialState.FAIL if state.name in {"COMPLETE", "PRUNED"} else state
    frozen = create_trial(
        state=TrialState.WAITING,
        params={name: as_told(space[name], value) for name, value in trial.params.items()},
        distributions={name: distribution(space[name]) for name in trial.params},
        user_attrs=_attributes(run, trial),
        intermediate_values={} if len(run.objectives) > 1 else _curve(run, trial),
    )
    frozen.state, frozen.values = state, values
    begun, ended = _times(trial)
    frozen.datetime_start = None if state.name == "WAITING" else begun
    frozen.datetime_complete = ended if state.is_finished() else None
    frozen._validate()
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


def _times(trial: TrialView) -> tuple[datetime, datetime]:
    """When a trial began and ended, as far as the journal says."""
    known = [trial.started, *(row.time for row in trial.epochs), trial.ended]
    times = [datetime.fromisoformat(text) for text in known if text]
    times = times or [datetime.fromisoformat("1970-01-01T00:00:00Z")]
    return times[0], times[-1]


def _counts(trial: FrozenTrial) -> bool:
    return trial.state.name == "COMPLETE" or (
        trial.state.name == "PRUNED" and OURS in trial.user_attrs
    )


def _storage(place: str) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    file = Path(place.removeprefix("sqlite:///") if place.startswith("sqlite:///") else place)
    if (file != Path(place) or "://" not in place) and not file.is_file():
        # Optuna would make it.
        raise UsageError(
            f"--prior {place}: no such file or run folder.",
            hint="Expected the folder of a run, Optuna's journal file, or a URL such as "
            "sqlite:///study.db; :NAME of a study may follow.",
        )
    try:
        if "://" not in place:
            return JournalStorage(JournalFileBackend(place))
        if place.startswith("sqlite:///"):
            # Read only: what is no study is not made one.
            place = f"sqlite:///file:{file.resolve()}?mode=ro&uri=true"
        return RDBStorage(place)
    except Exception as err:
        why = f"{type(err).__name__}: {str(err).partition(chr(10))[0]}"
        raise UsageError(f"--prior {place}: no readable Optuna storage: {why}") from err


def _study(storage: BaseStorage, place: str, name: str | None) -> Any:
    """The study of that name, or the only one."""
    studies = {study.study_name: study for study in storage.get_all_studies()}
    if name in studies:
        return studies[name]
    if name is None and len(studies) == 1:
        return next(iter(studies.values()))
    known = ", ".join(sorted(studies)) or "none"
    which = "which study?" if name is None else f"no study {name!r}."
    raise UsageError(
        f"--prior {place}: {which} There are: {known}.",
        hint=f"Name one of them: --prior {place}:NAME",
    )

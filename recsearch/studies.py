"""The trials of Optuna studies, and how a study that a run was exported to is recognised."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from recsearch.errors import UsageError
from recsearch.space import Choice, Domain
from recsearch.urls import without_secrets

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import URL

OURS = "recsearch.trial"
"""User attribute that every trial of a run has."""

MEASURED = "recsearch.measured_on"
"""User attribute of a study: what its values were measured on, as `measured_on` has it."""

_SERVER = re.compile(r"[\w+.-]+://(?:[^/:@?]*(?::[^@]*)?@)?[^/?]*/[^:?]*(?=:|$)")
"""The URL of a database on a server, without a query and what follows it."""


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


def measured_on(identity: Mapping[str, Any]) -> str:
    """Equal for runs whose values can be compared.

    That is their split, its folds where several, and the version of what measures on it.
    """
    ids = identity.get("validation", {}).get("split_ids") or [identity["split"]["split_id"]]
    version = identity.get("code", {}).get("evaluation")
    return " ".join([*ids, *([] if version is None else [f"evaluation={version}"])])


def as_told(domain: Domain, value: Any) -> Any:
    """A value as Optuna is told it: itself, or JSON where Optuna would take it for another choice.

    To Optuna, 1 is true.
    """
    if isinstance(domain, Choice) and len(set(domain.choices)) < len(domain.choices):
        return json.dumps(value)
    return value


def read_study(address: str) -> StudyTrials:
    """The trials of a study that came to a value.

    Of a study that `recsearch.study_export` wrote, pruned trials are among them: there, their value
    is that of their best epoch.

    Args:
        address: ``FILE`` of Optuna's journal or the URL of a storage, and ``:NAME`` of the study
            where there are several.

    Raises:
        UsageError: there is no such file or study, it cannot be read, or it has several objectives.
    """
    place, name = split_address(address)
    study = _study(_storage(place), without_secrets(place), name)
    if len(study.directions) > 1:
        shown = without_secrets(address)
        raise UsageError(f"--prior {shown}: the study has {len(study.directions)} objectives.")
    names = study.metric_names
    return StudyTrials(
        name=study.study_name,
        direction="max" if study.direction.name == "MAXIMIZE" else "min",
        metric=str(names[0]) if names else None,
        measured_on=study.user_attrs.get(MEASURED),
        trials=tuple(
            StudyTrial(trial.number, dict(trial.params), float(trial.values[0]))
            for trial in study.get_trials(deepcopy=False)
            if trial.values and math.isfinite(trial.values[0]) and _counts(trial)
        ),
    )


def split_address(address: str) -> tuple[str, str | None]:
    """The place of a storage, and the name of the study behind a colon, if any.

    A name may have colons and slashes itself: of files the longest path that is there is the place,
    of a server all up to the first colon behind the name of its database.
    """
    cuts = [at for at in range(len(address) - 1, 0, -1) if address[at] == ":"]
    splits = [(address[:at], address[at + 1 :]) for at in cuts if address[at + 1 : at + 3] != "//"]
    for place, name in ((address, None), *splits):
        file = _file(place)
        if file is not None and file.is_file():
            return place, name
    server = _SERVER.match(address)
    if server is not None and address[server.end() :].startswith(":"):
        return server[0], address[server.end() + 1 :]
    place, name = splits[0] if splits else (address, "")
    return (place, name) if name and "/" not in name else (address, None)


def on_server(address: str) -> bool:
    """Whether a study is not in a file."""
    return _file(split_address(address)[0]) is None


def _file(place: str) -> Path | None:
    """The file of a storage, None for one that a server has."""
    if "://" not in place:
        return Path(place)
    url = _url(place)
    if url is None or url.get_backend_name() != "sqlite":
        return None
    path = url.database or ""
    # An address in an address, as SQLite knows it.
    return Path(unquote(path.removeprefix("file:"))) if path.startswith("file:") else Path(path)


def _url(place: str) -> URL | None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(place)
    except (ArgumentError, ValueError):
        return None


def _storage(place: str) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    file, shown = _file(place), without_secrets(place)
    if file is not None and not file.is_file():
        # Optuna would make it.
        raise UsageError(
            f"--prior {shown}: no such file or run folder.",
            hint="Expected the folder of a run, Optuna's journal file, or a URL such as "
            "sqlite:///study.db; :NAME of a study may follow.",
        )
    try:
        if "://" not in place:
            return JournalStorage(JournalFileBackend(place))
        # What is no study is not made one.
        return RDBStorage(_only_read(place, file), skip_table_creation=True)
    except Exception as err:
        why = f"{type(err).__name__}: {str(err).partition(chr(10))[0]}"
        raise UsageError(
            f"--prior {shown}: no readable Optuna storage: {without_secrets(why)}"
        ) from err


def _only_read(place: str, file: Path | None) -> str:
    """The URL with which a SQLite file is opened to be read; others as they are."""
    url = _url(place)
    if url is None or file is None:
        return place
    path = f"file:{quote(str(file.resolve()))}"
    readable = url.set(database=path, query={"mode": "ro", "uri": "true"})
    return readable.render_as_string(hide_password=False)


def _study(storage: BaseStorage, place: str, name: str | None) -> Study:
    """The study of that name, or the only one."""
    import optuna

    names = optuna.get_all_study_names(storage)
    if name is None and len(names) == 1:
        name = names[0]
    if name in names:
        return optuna.load_study(study_name=name, storage=storage)
    known = ", ".join(sorted(names)) or "none"
    which = "which study?" if name is None else f"no study {name!r}."
    raise UsageError(
        f"--prior {place}: {which} There are: {known}.",
        hint=f"Name one of them: --prior {place}:NAME",
    )


def _counts(trial: FrozenTrial) -> bool:
    return trial.state.name == "COMPLETE" or (
        trial.state.name == "PRUNED" and OURS in trial.user_attrs
    )

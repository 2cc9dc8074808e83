"""Runs as Optuna studies: what is written, and that it comes back as it was."""

from __future__ import annotations

import math
import sqlite3
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import optuna
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from space_strategies import DOMAINS

sys.path.insert(0, str(Path(__file__).parent / "analysis"))

from fabricate import Fabricated

from recsearch import priors
from recsearch.errors import RecsearchError, UsageError
from recsearch.run import RunView
from recsearch.space import Choice, Domain, Space, space_from_tables
from recsearch.studies import read_study, split_address
from recsearch.study_export import distribution, export_study

CONDITIONAL = {
    "size": {"type": "int", "min": 4, "max": 512, "scale": "log"},
    "batch": {"type": "int", "min": 64, "max": 1024, "scale": "pow2"},
    "loss": {"type": "choice", "choices": ["warp", "bpr"]},
    "negatives": {"type": "int", "min": 1, "max": 9, "step": 3, "when": {"loss": "warp"}},
    "bias": {"type": "bool"},
    "drop": {"type": "float", "min": 0.0, "max": 0.55, "step": 0.1, "scale": "uniform"},
}


class Run(Fabricated):
    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "run_id": "ab" * 16}


def load(path: Path) -> optuna.Study:
    """As a user does."""
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(path))))


def conditional(tmp_path: Path, **settings: Any) -> Path:
    run = Run(space=CONDITIONAL, **settings)
    base = {"size": 8, "batch": 128, "bias": True, "drop": 0.3}
    run.trial(1, {**base, "loss": "warp", "negatives": 4}, [0.9, 0.7, 0.8], extra={"MAE": 0.5})
    run.trial(2, {**base, "loss": "bpr"}, [0.95, math.nan], state="pruned")
    run.trial(3, {**base, "loss": "bpr"}, [2.0], state="error", reason="X", message="<b>")
    run.trial(4, {**base, "loss": "bpr"}, [0.99], state="training")
    run.trial(5, {**base, "loss": "bpr"}, [], state="queued")
    return run.write(tmp_path)


def test_each_trial_with_its_state_its_best_value_and_its_curve(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    assert export_study(RunView.open(conditional(tmp_path)), path) == 5
    study = load(path)
    assert study.study_name == "als-ml1m"
    assert study.direction.name == "MINIMIZE"
    assert study.metric_names == ["RMSE"]
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING,
                      TrialState.WAITING]  # fmt: skip
    first, second, third, fourth, fifth = study.trials
    assert first.value == 0.7, "the best epoch's, not the last one's"
    assert first.intermediate_values == {1: 0.9, 2: 0.7, 3: 0.8}
    assert second.value == 0.95
    assert second.intermediate_values == {1: 0.95}
    assert [third.value, fourth.value, fifth.value] == [None, None, None]
    assert first.params["negatives"] == 4
    assert "negatives" not in second.params
    assert first.user_attrs["recsearch.trial"] == 1
    assert first.user_attrs["recsearch.best_epoch"] == 2
    assert first.user_attrs["MAE"] == 0.5
    assert third.user_attrs["recsearch.message"] == "<b>"
    assert third.user_attrs["recsearch.reason"] == "X"
    assert study.best_trial.number == 0
    assert list(tmp_path.glob("*journal*")) == [path], "no lock and no draft stays"


def test_times_are_those_of_the_journal(tmp_path: Path) -> None:
    root, path = conditional(tmp_path), tmp_path / "journal.log"
    run = RunView.open(root)
    export_study(run, path)
    trial, told = run.trial(1), load(path).trials[0]
    assert trial.started and trial.ended
    assert told.datetime_start is not None and told.datetime_complete is not None
    assert told.datetime_start.timestamp() == datetime.fromisoformat(trial.started).timestamp()
    assert told.datetime_complete.timestamp() == datetime.fromisoformat(trial.ended).timestamp()


def test_distributions_are_those_of_the_space() -> None:
    found = {n: distribution(d) for n, d in space_from_tables(CONDITIONAL).items()}
    assert found["size"] == optuna.distributions.IntDistribution(4, 512, log=True)
    assert found["batch"] == optuna.distributions.IntDistribution(64, 1024, log=True)
    assert found["loss"] == optuna.distributions.CategoricalDistribution(("warp", "bpr"))
    assert found["negatives"] == optuna.distributions.IntDistribution(1, 7, step=3)
    assert found["bias"] == optuna.distributions.CategoricalDistribution((False, True))
    assert found["drop"] == optuna.distributions.FloatDistribution(0.0, 0.5, step=0.1)


def test_with_several_objectives_all_values_are_of_one_epoch(tmp_path: Path) -> None:
    run = Run(space={"x": {"type": "float", "min": 0, "max": 1}}, others=("NDCG@10",))
    run.event("suggested", trial=1, params={"x": 0.5}, config={}, key="k", origin="random")
    run.event("started", trial=1)
    for epoch, (rmse, ndcg) in enumerate([(0.9, 0.3), (0.7, 0.2), (0.8, 0.1)], start=1):
        metrics = {"RMSE": rmse, "NDCG@10": ndcg}
        run.event("epoch", trial=1, epoch=epoch, metrics=metrics)
    run.event("done", trial=1, epoch=3, reason="plateau")
    path = tmp_path / "journal.log"
    export_study(RunView.open(run.write(tmp_path)), path)
    study = load(path)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.trials[0].values == [0.7, 0.2], "those of epoch 2: neither is of another one"
    assert study.trials[0].intermediate_values == {}
    with pytest.raises(UsageError, match="2 objectives"):
        read_study(str(path))


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    run, path = RunView.open(conditional(tmp_path)), tmp_path / "journal.log"
    path.write_text("mine")
    with pytest.raises(RecsearchError, match="the file is there"):
        export_study(run, path)
    assert path.read_text() == "mine"
    assert export_study(run, path, force=True) == 5
    assert len(load(path).trials) == 5
    with pytest.raises(RecsearchError, match="cannot write the study"):
        export_study(run, tmp_path / "nowhere" / "journal.log")


def told_apart(domain: Domain) -> bool:
    """Whether no two choices are one to Optuna."""
    return not isinstance(domain, Choice) or len(set(domain.choices)) == len(domain.choices)


def test_choices_that_optuna_takes_for_one_are_told_as_text(tmp_path: Path) -> None:
    space = Space({"x": Choice((1, True, "true", 0.5))})
    run = Run(space=space.tables())
    for number, value in enumerate(space["x"].values(), start=1):
        run.trial(number, {"x": value}, [0.5])
    root = run.write(tmp_path)
    export_study(RunView.open(root), tmp_path / "j.log")
    told = read_study(str(tmp_path / "j.log")).trials
    assert [trial.params["x"] for trial in told] == ["1", "true", '"true"', "0.5"]
    fit, left_out = priors._fitting(space, told)
    assert [row["params"]["x"] for row in fit] == [1, True, "true", 0.5]
    assert fit[1]["params"]["x"] is True
    assert not left_out


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_what_is_exported_comes_back_with_its_parameters_and_values(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    space = Space({name: data.draw(DOMAINS.filter(told_apart)) for name in names})
    run, wanted = Run(space=space.tables()), []
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4)
    for number in range(1, data.draw(st.integers(1, 5)) + 1):
        curve, params = data.draw(values), space.sample(rng)
        state = data.draw(st.sampled_from(["done", "pruned", "error"]))
        run.trial(number, params, curve, state=state)
        if state != "error":
            wanted.append((number - 1, params, min(curve)))
    root = run.write(tmp_path_factory.mktemp("study"))
    export_study(RunView.open(root), root / "journal.log")
    found = read_study(str(root / "journal.log"))
    assert [(t.number, t.params, t.value) for t in found.trials] == wanted
    for trial, (_, params, _) in zip(found.trials, wanted, strict=True):
        assert [type(trial.params[n]) for n in params] == [type(params[n]) for n in params]
    assert found.direction == "min"
    assert found.metric == "RMSE"


def foreign(storage: Any, name: str = "theirs") -> None:
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    for value in (0.1, 0.2, None):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        if value is None:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    study.ask()


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_of_a_study_of_others_the_completed_trials_count(tmp_path: Path) -> None:
    path = tmp_path / "their.log"
    foreign(JournalStorage(JournalFileBackend(str(path))))
    found = read_study(str(path))
    assert (found.name, found.direction, found.metric) == ("theirs", "max", None)
    assert found.measured_on is None
    assert [trial.value for trial in found.trials] == [0.1, 0.2]


def test_one_of_several_studies_is_named(tmp_path: Path) -> None:
    path = tmp_path / "their.log"
    for name in ("a", "b"):
        foreign(JournalStorage(JournalFileBackend(str(path))), name)
    assert read_study(f"{path}:b").name == "b"
    with pytest.raises(UsageError, match=r"which study\? There are: a, b\."):
        read_study(str(path))
    with pytest.raises(UsageError, match="no study 'c'"):
        read_study(f"{path}:c")


def test_a_database_is_read_and_never_made(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    storage = RDBStorage(f"sqlite:///{path}")
    foreign(storage)
    storage.engine.dispose()
    before = path.read_bytes()
    for address in (f"sqlite:///{path}", f"sqlite:///{path}:theirs"):
        assert [trial.value for trial in read_study(address).trials] == [0.1, 0.2]
    assert path.read_bytes() == before
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(UsageError, match="no readable Optuna storage"):
        read_study(f"sqlite:///{empty}")
    assert empty.read_bytes() == b""


@pytest.mark.parametrize("name", ["zz#a.db", "a%b.db", "a:b.db", "a b.db"])
@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_foreign_database_of_any_name_is_neither_made_nor_filled(
    scheme: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    with closing(sqlite3.connect(path)) as base:
        base.execute("create table mine (a)")
        base.commit()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="no readable Optuna storage"):
        read_study(f"{scheme}:///{path}")
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(UsageError, match="no such file"):
        read_study(f"{scheme}:///{path}")
    with closing(sqlite3.connect(path)):
        pass
    storage = RDBStorage(f"{scheme}:///{quote(str(path))}")
    foreign(storage)
    storage.engine.dispose()
    assert len(read_study(f"{scheme}:///{quote(str(path))}").trials) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_study_whose_name_has_colons_and_slashes(tmp_path: Path) -> None:
    path = tmp_path / "a:b.log"
    for name in ("v1:als/ml1m", "c"):
        foreign(JournalStorage(JournalFileBackend(str(path))), name)
    assert read_study(f"{path}:v1:als/ml1m").name == "v1:als/ml1m"
    assert read_study(f"{path}:c").name == "c"


@pytest.mark.parametrize(("address", "wanted"), {
    "postgresql://u:a/b:c@h:5432/db": ("postgresql://u:a/b:c@h:5432/db", None),
    "postgresql://u:p@h:5432/db:a:b/c": ("postgresql://u:p@h:5432/db", "a:b/c"),
    "mysql://h/db:c": ("mysql://h/db", "c"),
    "mysql://h:3306/db": ("mysql://h:3306/db", None),
    "mysql://h/db?a=/b:c": ("mysql://h/db?a=/b", "c"),
    "absent.log:c": ("absent.log", "c"),
    "absent/a.log": ("absent/a.log", None),
    "sqlite:///absent.db": ("sqlite:///absent.db", None),
    "sqlite:///absent.db:c": ("sqlite:///absent.db", "c"),
}.items())  # fmt: skip
def test_where_an_address_ends_and_the_name_begins(
    address: str, wanted: tuple[str, str | None]
) -> None:
    assert split_address(address) == wanted


def test_what_never_began_waits(tmp_path: Path) -> None:
    run = Run(space={"x": {"type": "float", "min": 0, "max": 1}})
    for number in (1, 2):
        run.event("suggested", trial=number, params={"x": 0.5}, config={}, key="k", origin="random")
    run.event("started", trial=2)
    for number in (1, 2):
        run.event("interrupted", trial=number, epoch=0)
    path = tmp_path / "journal.log"
    export_study(RunView.open(run.write(tmp_path)), path)
    first, second = load(path).trials
    assert (first.state, first.datetime_start) == (TrialState.WAITING, None)
    assert second.state == TrialState.RUNNING


@pytest.mark.parametrize("text", ["no json\n", '{"op_code": 77}\n', '{"op_code": 4}\n', "[1]\n"])
def test_a_file_that_is_no_study_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.log"
    path.write_text(text + text)
    with pytest.raises(UsageError, match=str(path)):
        read_study(str(path))
    with pytest.raises(UsageError, match="no such file or run folder"):
        read_study(str(tmp_path / "absent.log"))
    assert list(tmp_path.iterdir()) == [path]

"""Trials of another study or run: they shape what is suggested, and are nothing else."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from search_tools import search_without_ray

sys.path.insert(0, str(Path(__file__).parent / "analysis"))

from fabricate import Fabricated

from recsearch.errors import IdentityError, UsageError
from recsearch.identity import digest
from recsearch.priors import load_priors, prior_notes, priors_of
from recsearch.request import Request, resolve_request
from recsearch.run import RunView, check_identity
from recsearch.run_paths import RunPaths
from recsearch.settings import Settings, run_name
from recsearch.space import Float, Int, Space
from recsearch.spec import SearchSpec, load_search
from recsearch.studies import measured_on, read_study
from recsearch.study_export import export_study
from recsearch.suggest import NO_PRIORS, Observation, Prior, Priors
from recsearch.suggest.tpe import STARTUP, TpeSuggester, shares

SPACE = Space({"x": Float(0.0, 1.0), "k": Int(1, 50)})
SMALL = {
    "embedding_size": {"type": "int", "min": 4, "max": 12},
    "regularization": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
}


class Run(Fabricated):
    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "run_id": "ab" * 16}


def spec(**overrides: Any) -> SearchSpec:
    return load_search("als", overrides={"space": SMALL, **overrides})


def other_run(root: Path, *, count: int = 14, size: int = 8) -> Path:
    run = Run(name="other", space=SMALL)
    for number in range(1, count + 1):
        params = {"embedding_size": size, "regularization": 10.0 ** -(number / 3)}
        run.trial(number, params, [0.9, 0.7 + abs(number - 6) / 50], extra={"NDCG@10": 0.1})
    run.trial(count + 1, params, [9.0], state="error")
    return run.write(root)


def planted(count: int, best: float) -> Priors:
    trials = [Prior({"x": n / count, "k": 1 + n % 50}, abs(n / count - best)) for n in range(count)]
    return Priors(tuple(trials))


def suggestions(priors: Priors, trials: int = 12, direction: Any = "min") -> list[Any]:
    searcher = TpeSuggester(SPACE, 3, direction, priors=priors)
    seen: list[Observation] = []
    for number in range(1, trials + 1):
        params = searcher.suggest(number, seen, []).params
        seen.append(Observation(number, params, params["x"]))
    return [one.params for one in seen]


def test_priors_change_what_is_suggested_in_the_same_way_every_time() -> None:
    without, found = suggestions(NO_PRIORS), suggestions(planted(40, 0.8))
    assert found[0] != without[0], "from the first suggestion on"
    assert found == suggestions(planted(40, 0.8))
    assert found != suggestions(planted(40, 0.2))
    assert without == suggestions(Priors()), "none are none"


def test_suggestions_are_drawn_to_where_priors_were_good() -> None:
    """Of forty first suggestions: by far more than the tenth that chance would bring."""
    near = 0
    for seed in range(40):
        searcher = TpeSuggester(SPACE, seed, "min", priors=planted(60, 0.8))
        near += abs(searcher.suggest(1, [], []).params["x"] - 0.8) < 0.05
    assert near > 12


def test_below_the_start_suggestions_are_random_as_without() -> None:
    assert suggestions(planted(STARTUP - 1, 0.8), trials=1) == suggestions(NO_PRIORS, trials=1)


def test_a_point_of_the_priors_can_still_be_tried() -> None:
    space = Space({"k": Int(1, 3)})
    priors = Priors(tuple(Prior({"k": k}, float(k)) for k in (1, 2, 3)))
    searcher = TpeSuggester(space, 0, "min", priors=priors)
    seen: list[Observation] = []
    for number in (1, 2, 3):
        params = searcher.suggest(number, seen, []).params
        seen.append(Observation(number, params, 1.0))
    assert {one.params["k"] for one in seen} == {1, 2, 3}
    assert searcher.total == 3


def test_values_of_another_data_set_count_by_their_rank() -> None:
    assert shares([3.0, 1.0, None, 2.0]) == [5 / 6, 1 / 6, None, 3 / 6]
    assert shares([1.0, 1.0]) == [0.5, 0.5]
    assert shares([None]) == [None]
    worse = Priors(tuple(replace(p, value=p.value * 4) for p in planted(40, 0.8).trials), False)
    here = replace(planted(40, 0.8), comparable=False)
    assert suggestions(worse) == suggestions(here), "their scale is nothing to us"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_ranks_are_the_same_on_a_larger_scale(losses: list[float]) -> None:
    moved = [loss * 4 for loss in losses]
    assert shares(moved) == shares(losses)
    found = [share for share in shares(losses) if share is not None]
    assert all(0 < share < 1 for share in found)
    assert math.isclose(sum(found), len(found) / 2)


def test_of_a_run_its_trials_that_came_to_a_value(tmp_path: Path) -> None:
    root = other_run(tmp_path)
    found = load_priors(spec(), str(root), "another split")
    assert len(found["trials"]) == 14, "the error is none"
    assert found["trials"][5]["value"] == 0.7
    assert not found["comparable"]
    assert load_priors(spec(), str(root), measured_on(RunView.open(root).identity))["comparable"]
    assert priors_of({"priors": found}).trials[5].value == 0.7
    (note,) = prior_notes({"priors": found})
    assert note == (
        f"learns from 14 trials of {root}, by their ranks, since they were measured on other data"
    )


def test_by_another_objective_that_the_run_measured(tmp_path: Path) -> None:
    found = load_priors(spec(**{"search.metric": "NDCG@10"}), str(other_run(tmp_path)), "x")
    assert {row["value"] for row in found["trials"]} == {0.1}
    with pytest.raises(UsageError, match=r"measured by RBP, but by RMSE, NDCG@10\."):
        load_priors(spec(**{"search.metric": "RBP"}), str(other_run(tmp_path / "b")), "x")


def test_another_version_of_what_measures_has_measured_something_else(tmp_path: Path) -> None:
    identity = RunView.open(other_run(tmp_path)).identity
    code = {**identity["code"], "evaluation": "other"}
    assert identity["code"]["evaluation"]
    here = measured_on({**identity, "code": code})
    assert here != measured_on(identity)
    assert not load_priors(spec(), str(tmp_path / "other"), here)["comparable"]


def test_its_export_gives_the_same_priors(tmp_path: Path) -> None:
    root, path = other_run(tmp_path), tmp_path / "journal.log"
    export_study(RunView.open(root), path)
    for here in ("x", measured_on(RunView.open(root).identity)):
        ours, theirs = (load_priors(spec(), str(p), here) for p in (root, path))
        assert ours["trials"] == theirs["trials"]
        assert ours["digest"] == theirs["digest"]


def study(path: Path, rows: list[dict[str, Any]], direction: str = "minimize") -> str:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(path)))
    made = optuna.create_study(storage=storage, direction=direction, study_name="s")
    for row in rows:
        kinds = {
            int: optuna.distributions.IntDistribution(-9999, 9999),
            float: optuna.distributions.FloatDistribution(-9999, 9999),
            str: optuna.distributions.CategoricalDistribution(("a", "b")),
        }
        distributions = {name: kinds[type(value)] for name, value in row.items()}
        made.add_trial(optuna.create_trial(params=row, distributions=distributions, value=1.0))
    return str(path)


def test_what_does_not_fit_is_counted_and_said_why(tmp_path: Path) -> None:
    good = {"embedding_size": 8, "regularization": 0.5}
    path = study(tmp_path / "j.log", [
        good,
        {**good, "embedding_size": 8.0},
        {**good, "embedding_size": 8.5},
        {**good, "embedding_size": 64},
        {**good, "embedding_size": 64, "regularization": 0.1},
        {"regularization": 0.5},
        {**good, "depth": 3},
        {**good, "regularization": "a"},
    ])  # fmt: skip
    found = load_priors(spec(), path, "x")
    assert [row["params"] for row in found["trials"]] == [good, good]
    assert type(found["trials"][1]["params"]["embedding_size"]) is int
    assert found["left_out"] == 6
    assert max(found["reasons"].values()) == 2
    (note,) = prior_notes({"priors": found})
    assert (
        "learns from 2 trials" in note and "6 do not fit the space (2: embedding_size = 64" in note
    )
    assert "ranks" not in note, "what is not known to be other data is taken as it is"
    with pytest.raises(UsageError, match=r"none of the 1 trials of s .* no parameter 'depth'"):
        load_priors(spec(), study(tmp_path / "k.log", [{**good, "depth": 3}]), "x")


def test_what_cannot_be_learnt_from(tmp_path: Path) -> None:
    root = str(other_run(tmp_path))
    with pytest.raises(UsageError, match="no trial of other has come to a value yet"):
        load_priors(spec(), str(Run(name="other").write(tmp_path / "empty")), "x")
    for method in ("grid", "random"):
        with pytest.raises(UsageError, match=f"method = {method} does not learn"):
            load_priors(spec(**{"search.method": method}), root, "x")
    with pytest.raises(UsageError, match="2 objectives"):
        load_priors(spec(**{"search.metric": ["RMSE", "NDCG@10"]}), root, "x")
    upward = study(tmp_path / "j.log", [{"embedding_size": 8, "regularization": 0.5}], "maximize")
    with pytest.raises(UsageError, match=r"s is for its objective \(max\)"):
        load_priors(spec(), upward, "x")


def request(tmp_path: Path, prior: str | None, run: str = "run") -> Request:
    overrides = {"space": SMALL, "search.trials": 3, "search.max_epochs": 2}
    chosen = load_search("als", overrides=overrides)
    return Request(chosen, "demo", tmp_path / run, str(tmp_path / "store"), prior=prior)


def test_they_are_part_of_the_identity_and_resuming_needs_no_file(tmp_path: Path) -> None:
    source = other_run(tmp_path)
    resolved = resolve_request(request(tmp_path, str(source)))
    table = resolved.identity["priors"]
    assert table["digest"] == digest({"comparable": False, "trials": table["trials"]})
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    paths.identity.write_text(json.dumps(resolved.identity))
    without = resolve_request(request(tmp_path, None))
    assert without.identity["priors"] == json.loads(json.dumps(table))
    assert check_identity(paths, without.identity)
    second = other_run(tmp_path / "second", size=9)
    with pytest.raises(IdentityError, match=r"priors\.digest: the run has") as caught:
        check_identity(paths, resolve_request(request(tmp_path, str(second))).identity)
    assert caught.value.exit_code == 3
    source.rename(tmp_path / "away")
    same = resolve_request(request(tmp_path, str(source)))
    assert check_identity(paths, same.identity), "the command that began it goes on"
    fresh = resolve_request(replace(request(tmp_path, None), fresh=True))
    assert "priors" not in fresh.identity


def begun(tmp_path: Path, prior: str) -> tuple[RunPaths, Request]:
    """A run that began with priors, and the command that began it."""
    asked = request(tmp_path, prior)
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    paths.identity.write_text(json.dumps(resolve_request(asked).identity))
    return paths, asked


def test_the_same_command_resumes_when_the_source_has_moved_on(tmp_path: Path) -> None:
    source = other_run(tmp_path)
    paths, asked = begun(tmp_path, str(source))
    assert resolve_request(asked).notes == (), "nothing has changed"
    other_run(tmp_path / "again", count=15).joinpath("journal.ndjson").replace(
        source / "journal.ndjson"
    )
    resolved = resolve_request(asked)
    assert check_identity(paths, resolved.identity)
    assert len(resolved.identity["priors"]["trials"]) == 14, "those that it began with"
    (note,) = resolved.notes
    assert note.startswith(f"{source} has changed since the run began")
    fresh = resolve_request(replace(asked, fresh=True))
    assert (len(fresh.identity["priors"]["trials"]), fresh.notes) == (15, ())


def test_a_server_that_is_stopped_blocks_no_resume_and_its_password_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://bob:hunter2@h/db:study"
    there = read_study(study(tmp_path / "j.log", [{"embedding_size": 8, "regularization": 0.5}]))
    asked_for: list[str] = []

    def server(address: str) -> Any:
        asked_for.append(address)
        return there

    monkeypatch.setattr("recsearch.priors.read_study", server)
    paths, asked = begun(tmp_path, url)
    assert asked_for == [url], "the driver gets the password"
    assert "hunter2" not in paths.identity.read_text()
    assert "learns from 1 trials of postgresql://bob@h/db:study" in list(
        prior_notes(json.loads(paths.identity.read_text()))
    )
    for text in (url, "postgresql://bob@h/db:study"):
        resolved = resolve_request(replace(asked, prior=text))
        assert check_identity(paths, resolved.identity)
        assert resolved.notes == ()
    assert asked_for == [url], "no server is asked to resume"


def test_a_password_is_in_no_error(tmp_path: Path) -> None:
    for prior in ("nosuch://bob:hunter2@h/db", "postgresql+nosuch://bob:hunter2@h/db"):
        with pytest.raises(UsageError) as caught:
            resolve_request(request(tmp_path, prior))
        assert "bob@h/db" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_neither_store_nor_command_is_recorded_with_a_password(tmp_path: Path) -> None:
    command = "recsearch search als demo --track mlflow:http://h --workers 1 --track=wandb"
    asked = replace(request(tmp_path, None), store_url="sftp://bob:hunter2@h/p", command=command)
    identity = resolve_request(asked).identity
    assert identity["store"] == "sftp://bob@h/p"
    assert identity["command"] == "recsearch search als demo --workers 1"


def test_a_run_without_has_none_recorded_and_takes_none_later(tmp_path: Path) -> None:
    resolved = resolve_request(request(tmp_path, None))
    assert "priors" not in resolved.identity
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    paths.identity.write_text(json.dumps(resolved.identity))
    asked = resolve_request(request(tmp_path, str(other_run(tmp_path))))
    with pytest.raises(IdentityError, match=r"priors\.digest: the run has nothing"):
        check_identity(paths, asked.identity)


def test_they_are_no_trials_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_priors(asked: Request) -> Any:
        return resolve_request(replace(asked, prior=str(tmp_path / "other")))

    other_run(tmp_path, count=20)
    plain = search_without_ray(tmp_path / "plain", space=SMALL, search__max_epochs=2)
    monkeypatch.setattr("search_tools.resolve_request", with_priors)
    view = search_without_ray(tmp_path / "prior", space=SMALL, search__max_epochs=2)
    assert [trial.number for trial in view.trials] == [1, 2, 3]
    assert [trial.origin for trial in view.trials] == ["default", "tpe", "tpe"]
    assert [trial.origin for trial in plain.trials] == ["default", "random", "random"]
    best = view.best()
    assert best is not None and best[0].number in {1, 2, 3}


def test_a_search_that_learns_has_a_folder_of_its_own() -> None:
    assert run_name("als", "ml1m", Settings(prior="x.log").variant()) == "als-ml1m-prior"
    assert run_name("als", "ml1m", Settings(track=["tensorboard"]).variant()) == "als-ml1m"
    words = list(Settings(prior="x.log", track=["wandb", "mlflow:u"]).arguments())
    assert words == ["--prior", "x.log", "--track", "wandb", "--track", "mlflow:u"]

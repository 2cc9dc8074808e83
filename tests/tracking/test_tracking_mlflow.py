"""MLflow: one run per trial, found again by its tags, each (metric, step) once."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_mlflow
import pytest
from fake_mlflow import FakeServer
from tracking_tools import Kill, Tracked, journalled, once, states, three_trials

from recsearch.run import RunView
from recsearch.tracking.mlflow import MLflow, make_database, name_of


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    monkeypatch.setattr("recsearch.tracking.mlflow.make_database", lambda uri: None)
    found, module, entities = FakeServer(), ModuleType("mlflow"), ModuleType("mlflow.entities")
    module.MlflowClient = found.client  # type: ignore[attr-defined]
    for name in ("Metric", "Param", "RunTag"):
        setattr(entities, name, getattr(fake_mlflow, name))
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return found


def whole(root: Path) -> None:
    run = RunView.open(root)
    tracker = MLflow(run)
    for trial in run.trials:
        tracker.log(trial)
    tracker.close()


def check(server: FakeServer, root: Path) -> None:
    run = RunView.open(root)
    by_trial = {r["tags"]["recsearch.trial"]: r for r in server.runs.values()}
    assert len(by_trial) == len(server.runs) == len(run.trials)
    got: dict[Any, float] = {}
    for trial in run.trials:
        told = by_trial[str(trial.number)]
        once((metric.key, metric.step) for metric in told["metrics"])
        rows = [m for m in told["metrics"] if not m.key.startswith("best/")]
        got |= {(trial.number, m.key, m.step): m.value for m in rows}
        for key in {m.key for m in rows}:
            steps = [m.step for m in rows if m.key == key]
            assert steps == sorted(steps)
        assert told["params"] == {name_of(k): str(v) for k, v in trial.params.items()}
        best = run.trial_best(trial)
        assert best is not None
        last = [m for m in told["metrics"] if m.key == "best/RMSE"][-1]
        assert (last.step, last.value) == (best.epoch, best.value("RMSE"))
        assert told["tags"]["recsearch.state"] == trial.state
        assert (
            told["status"]
            == {"done": "FINISHED", "pruned": "FINISHED", "error": "FAILED"}[trial.state]
        )
    wanted = {(t, name_of(n), e): v for (t, n, e), v in journalled(root).items()}
    assert got.keys() == wanted.keys()
    assert all(got[k] == v or (math.isnan(v) and math.isnan(got[k])) for k, v in wanted.items())


def test_one_run_per_trial(server: FakeServer, tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    whole(root)
    check(server, root)
    points = server.points
    whole(root)
    assert server.points == points, "nothing is written where nothing is missing"
    third = [r for r in server.runs.values() if r["tags"]["recsearch.trial"] == "3"]
    assert third[0]["tags"]["recsearch.message"] == "<b>RMSE</b> is nan"


def test_names_that_mlflow_does_not_take() -> None:
    assert name_of("NDCG@10") == "NDCG_at_10"
    assert name_of("reg.user") == "reg.user"
    assert fake_mlflow.NAME.match(name_of("<img onerror='x'>\n"))


def test_killed_at_any_point_each_metric_and_step_is_there_once(
    server: FakeServer, tmp_path: Path
) -> None:
    root = three_trials(tmp_path)
    whole(root)
    points = server.points
    assert points > 50
    for kill_at in range(1, points + 1):
        server.__init__()
        server.kill_at = kill_at
        with pytest.raises(Kill):
            whole(root)
        whole(root)
        check(server, root)


def test_killed_between_any_two_lines_of_the_journal(server: FakeServer, tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    story = states(root)
    for count in range(len(story) + 1):
        server.__init__()
        tracker = MLflow(RunView.open(root))
        for trial in story[:count]:
            tracker.log(trial)
        whole(root)
        check(server, root)


def test_a_continued_trial_goes_on_in_the_same_run(server: FakeServer, tmp_path: Path) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.9, 0.8], state="pruned")
    whole(run.write(tmp_path / "a"))
    run.event("continued", trial=1, epochs=3)
    run.event("started", trial=1)
    root = run.write(tmp_path / "b")
    tracker = MLflow(RunView.open(root))
    tracker.log(RunView.open(root).trials[0])
    assert server.runs["run0"]["status"] == "RUNNING"
    run.event("epoch", trial=1, epoch=3, metrics={"RMSE": 0.7})
    run.event("done", trial=1, epoch=3, reason="max_epochs")
    root = run.write(tmp_path / "c")
    whole(root)
    check(server, root)


def test_histories_are_read_once_and_only_of_runs_that_others_began(
    server: FakeServer, tmp_path: Path
) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.9, 0.8, 0.7, 0.6], state="pruned", extra={"MAE": 0.5})
    story = states(run.write(tmp_path))
    view = RunView.open(tmp_path / "als-ml1m")
    first = MLflow(view)
    for trial in story[:3]:
        first.log(trial)
    assert server.asked == []
    second = MLflow(view)
    for trial in story[3:]:
        second.log(trial)
        second.log(trial)
    assert sorted(server.asked) == ["MAE", "RMSE", "best/RMSE"]
    check(server, view.path)


@pytest.mark.parametrize("same", [True, False])
def test_a_trial_that_was_finished_before_has_its_best_once(
    server: FakeServer, same: bool, tmp_path: Path
) -> None:
    """This or another process logged it as finished; then it is shown in training."""
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.7, 0.8], state="pruned")
    root = run.write(tmp_path / "a")
    tracker = MLflow(RunView.open(root))
    tracker.log(RunView.open(root).trials[0])
    run.event("continued", trial=1, epochs=3)
    run.event("started", trial=1)
    root = run.write(tmp_path / "b")
    tracker = tracker if same else MLflow(RunView.open(root))
    tracker.log(RunView.open(root).trials[0])
    run.event("epoch", trial=1, epoch=3, metrics={"RMSE": 0.9})
    run.event("done", trial=1, epoch=3, reason="max_epochs")
    root = run.write(tmp_path / "c")
    tracker.log(RunView.open(root).trials[0])
    check(server, root)


def test_of_two_that_need_a_database_one_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, made, threads = tmp_path / "shared.db", list[Path](), list[Thread]()
    left = tmp_path / ".shared.db.draft-killed"
    left.mkdir()
    (left / "shared.db").write_text("some tables")

    def client(tracking_uri: str) -> SimpleNamespace:
        draft = Path(tracking_uri.removeprefix("sqlite:///").removesuffix("?timeout=9"))
        made.append(draft)
        if len(made) == 1:
            threads.append(Thread(target=make_database, args=(uri,)))
            threads[0].start()
            threads[0].join(0.3)
        draft.write_text(f"made as number {len(made)}")
        return SimpleNamespace(search_experiments=lambda max_results: [])

    uri, module = f"sqlite:///{path}?timeout=9", ModuleType("mlflow")
    module.MlflowClient = client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    make_database(uri)
    threads[0].join()
    assert path.read_text() == "made as number 1"
    assert len(made) == 1
    names = {each.name for each in tmp_path.iterdir()}
    assert names <= {"shared.db", ".shared.db.lock"}, "drafts of the dead are gone, too"
    path.write_text("rows of another run")
    make_database(uri)
    assert path.read_text() == "rows of another run"

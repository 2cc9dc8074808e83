"""What a command leaves in the journal and on the screen, however it ends: without Ray."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from search_tools import search_without_ray

from recsearch.cli import search as command
from recsearch.display import About, SilentDisplay
from recsearch.display.base import NOTHING_KNOWN
from recsearch.interrupt import Interrupt
from recsearch.journal import Journal, read_events
from recsearch.models import resolve
from recsearch.record import Record
from recsearch.request import Request, resolve_request
from recsearch.run import RunView
from recsearch.run_paths import RunPaths
from recsearch.spec import load_search
from recsearch.tracking import Companions, parse_targets
from recsearch.tuning import driver
from recsearch.tuning.cluster import LocalCluster
from recsearch.tuning.driver import run_search
from recsearch.tuning.housekeeping import Housekeeper

SETTINGS = {"search.trials": 3, "search.max_epochs": 4, "space.embedding_size.max": 12}


class Noting(SilentDisplay):
    """Keeps what it is told; ``begun`` are the states of trials when it begins."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begun: dict[int, str] = {}

    def begin(self, record: Record, total: int, about: About = NOTHING_KNOWN) -> None:
        self.begun = {number: trial.state for number, trial in record.trials.items()}

    def note(self, text: str) -> None:
        self.notes.append(text)


class Cluster:
    """Stands for Ray; ``ready`` does what a test wants to happen while trials run."""

    def __init__(self, ready: Callable[[], None]):
        self._ready = ready

    def __call__(self, *_: Any) -> Cluster:
        return self

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def ready(self) -> Path:
        self._ready()
        raise AssertionError("nothing ended it")


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def no_ray(*_: Any) -> Any:
    raise AssertionError("Ray was started")


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    """As Python starts: tests in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interrupt() as found:
            yield found
    finally:
        signal.signal(signal.SIGINT, before)


def request(root: Path, trials: int = 3, track: tuple[str, ...] = ()) -> Request:
    spec = load_search("als", overrides={**SETTINGS, "search.trials": trials})
    return Request(spec, "demo", root / "run", str(root / "store"), command="recsearch search",
                   track=parse_targets(track))  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of three trials that has ended; not to be written."""
    root = tmp_path_factory.mktemp("finished")
    search_without_ray(root, **{key.replace(".", "__"): value for key, value in SETTINGS.items()})
    return root


@pytest.fixture
def finished(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


def killed(root: Path) -> Path:
    """The command that extended the search was killed in trial 4; trial 5 was never begun."""
    paths = RunPaths(root / "run")
    with Journal(paths.journal) as journal:
        journal.append("opened", pid=1, host="h", version="0", workers=1, trials=5, resumed=True)
        for number in (4, 5):
            last = RunView.open(paths.root).trials[-1]
            journal.append("suggested", trial=number, params=last.params, config=last.config,
                           key=last.key, origin="tpe")  # fmt: skip
        journal.append("started", trial=4)
    return paths.root


def states(root: Path) -> dict[int, tuple[str, str | None]]:
    return {t.number: (t.state, t.reason) for t in RunView.open(root).trials if t.number > 3}


def test_what_ran_when_a_command_was_killed_does_not_run_when_the_next_begins(
    finished: Path, interrupt: Interrupt
) -> None:
    root = killed(finished)
    assert states(root) == {4: ("training", None), 5: ("queued", None)}
    display = Noting()

    def ready() -> None:
        ctrl_c()
        interrupt.check(in_flight=False)

    cluster = Cluster(ready)
    outcome = run_search(resolve_request(request(finished, 5)), display, cluster, interrupt)
    assert outcome.exit_code == 130
    assert display.begun == {1: "done", 2: "done", 3: "done", 4: "interrupted", 5: "queued"}
    assert not any("finishing" in note for note in display.notes)
    assert states(root) == {4: ("interrupted", "its command was killed"), 5: ("queued", None)}
    events = read_events(RunPaths(root).journal)
    assert not [event for event in events if event["event"] == "interrupted"]
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("closed", 130)


def test_what_this_command_began_is_interrupted_and_no_other(
    finished: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = killed(finished)

    def run_trials(job: Any, folder: Path) -> None:
        job.ledger.started(5)
        ctrl_c()
        job.on_step()
        interrupt.check(in_flight=False)

    monkeypatch.setattr("recsearch.tuning.session.run_trials", run_trials)
    display, cluster = Noting(), Cluster(lambda: None)
    monkeypatch.setattr(cluster, "ready", lambda: finished)
    outcome = run_search(resolve_request(request(finished, 5)), display, cluster, interrupt)
    assert outcome.interrupted
    assert states(root)[5] == ("interrupted", "stopped by the user")
    assert states(root)[4] == ("interrupted", "its command was killed")
    told = [note for note in display.notes if "finishing" in note]
    assert told == ["finishing the running epochs of trial 5; Ctrl-C again stops now"]


@pytest.mark.parametrize("signals", [1, 2])
def test_what_is_waited_for_is_said_and_the_next_ctrl_c_does_not_wait(
    finished: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    class Tools(Companions):
        def start(self) -> list[str]:
            return []

        def stop(self) -> list[str]:
            if signals == 2:
                ctrl_c()
            return ["wandb: hung"]

    def run_trials(*_: Any) -> None:
        ctrl_c()
        interrupt.check(in_flight=False)

    monkeypatch.setattr("recsearch.tuning.session.run_trials", run_trials)
    monkeypatch.setattr("recsearch.tuning.session.Companions", Tools)
    display, cluster = Noting(), Cluster(lambda: None)
    monkeypatch.setattr(cluster, "ready", lambda: finished)
    wanted = request(finished, 5, ("wandb:offline", "tensorboard"))
    outcome = run_search(resolve_request(wanted), display, cluster, interrupt)
    assert outcome.exit_code == 130
    told = [note for note in display.notes if "does not wait" in note]
    assert told == [
        "freeing dropped checkpoints; Ctrl-C again does not wait",
        "waiting for wandb, tensorboard to log the rest; Ctrl-C again does not wait",
    ]
    assert ("wandb: hung" in display.notes) == (signals == 1)
    assert read_events(RunPaths(finished / "run").journal)[-1]["exit_code"] == 130


def close(root: Path) -> None:
    with Journal(RunPaths(root / "run").journal) as journal:
        journal.append("closed", exit_code=0, counts={})


@pytest.mark.parametrize("at", ["housekeeping", "gains", "page", "nowhere"])
def test_ctrl_c_after_the_last_trial_leaves_out_what_is_left_and_nothing_else(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], at: str
) -> None:
    """Its result is printed, and its exit code is that of a search that has ended."""
    close(finished)
    done: list[str] = []

    def step(name: str) -> Callable[..., Any]:
        def work(*_: Any) -> None:
            if at == name:
                ctrl_c()
            done.append(name)

        return work

    monkeypatch.setattr(Housekeeper, "finish", step("housekeeping"))
    monkeypatch.setattr(driver, "note_gains", step("gains"))
    monkeypatch.setattr(command, "render_page", step("page"))
    monkeypatch.setattr(driver, "LocalCluster", no_ray)
    monkeypatch.setattr(Interrupt, "leave", lambda self, code: code)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = command.run_one(request(finished), report=True, quiet=True, verbose=False)
    finally:
        signal.signal(signal.SIGINT, before)
    steps = ["housekeeping", "gains", "page"]
    assert done == (steps if at == "nowhere" else steps[: steps.index(at)])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].startswith("RMSE")
    assert lines[-1].startswith("next       ") and "verify" in lines[-1]
    events = read_events(RunPaths(finished / "run").journal)
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("closed", 0)


def test_a_signal_whose_exception_was_lost_is_found_before_anything_begins(
    finished: Path, interrupt: Interrupt
) -> None:
    """What is raised in a callback of the garbage collector, as imports have, goes nowhere."""
    with contextlib.suppress(KeyboardInterrupt):
        ctrl_c()
    outcome = run_search(
        resolve_request(request(finished, 5)), Noting(), Cluster(no_ray), interrupt
    )
    assert outcome.exit_code == 130
    assert [t.number for t in RunView.open(finished / "run").trials] == [1, 2, 3]


def test_ray_is_not_waited_for_once_a_signal_came(interrupt: Interrupt) -> None:
    cluster = LocalCluster(1, 0, resolve("popular"), interrupt)
    cluster._prepared = cluster._started = Future()
    with interrupt.patient():
        ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            cluster.ready()
    cluster.__exit__(None, None, None)
    assert not Path(cluster._folder.name).exists()

"""The processes beside a search: what goes wrong with them is told once, and ends nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tracking_tools import Tracked, check_tensorboard, three_trials

from recsearch.epochs import TrialView
from recsearch.errors import RunLockedError, UsageError
from recsearch.run import RunView
from recsearch.tracking import Companions, Target, companions, follow, parse_target, parse_targets
from recsearch.tracking import targets as targets_module
from recsearch.tracking.targets import mlflow_uri, slug, whereabouts


def until_failed(found: Companions) -> list[str]:
    deadline = time.monotonic() + 60
    while not (problems := found.failed()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return problems


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_has_logged_all_when_the_search_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch system ends a job meanwhile, and the working folder has modules of its own."""
    for name in ("tensorboardX", "secrets", "recsearch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code of the working folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep)
    root, run = tmp_path / "als-ml1m", Tracked()
    run.trial(1, {"x": 1.0}, [0.9], state="training")
    run.write(tmp_path)
    found = Companions(Path(root.name), [Target("tensorboard")])
    assert found.start() == []
    (process,) = found._running.values()
    until(lambda: bool(list(root.glob("tensorboard/*/*"))) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGTERM)
    run.event("epoch", trial=1, epoch=2, metrics={"RMSE": 0.7})
    run.event("done", trial=1, epoch=2, reason="max_epochs")
    later = run.write(tmp_path / "later")
    (later / "journal.ndjson").replace(root / "journal.ndjson")
    assert found.failed() == []
    assert found.stop() == []
    check_tensorboard(root)
    assert (root / "tracking" / "tensorboard.log").read_text() == ""


def test_a_tool_that_fails_is_told_of_once_and_caught_up_with_later(tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    (root / "tensorboard").write_text("no folder")
    found = Companions(root, [Target("tensorboard")])
    found.start()
    (problem,) = until_failed(found)
    assert problem.startswith("tensorboard: ")
    assert problem.endswith(f"recsearch track {root} --to tensorboard")
    assert "Error" in problem
    assert found.failed() == [] == found.stop()
    (root / "tensorboard").unlink()
    assert follow(root, Target("tensorboard")) == 3
    check_tensorboard(root)


def test_a_tool_that_hangs_is_waited_for_no_longer_than_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "pid"
    script = (
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"pathlib.Path({str(told)!r}).write_text(f'{{child.pid}}.')\n"
        "time.sleep(600)\n"
    )

    def hang(self: Companions, target: Target) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)

    monkeypatch.setattr(Companions, "_launch", hang)
    monkeypatch.setattr(companions, "PATIENCE", -4.9)
    found = Companions(three_trials(tmp_path), [Target("wandb")])
    found.start()
    (process,) = found._running.values()
    until(lambda: told.exists() and told.read_text().endswith("."))
    child = psutil.Process(int(told.read_text()[:-1]))
    (problem,) = found.stop()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert "not all was logged" in problem
    assert process.wait() < 0, "killed"


def test_a_process_that_cannot_start_is_no_end_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = three_trials(tmp_path)
    (root / "tracking").write_text("no folder")
    found = Companions(root, [Target("tensorboard")])
    (problem,) = found.start()
    assert "File exists" in problem or "Not a directory" in problem
    assert found.stop() == []


class Launched:
    """In place of `subprocess.Popen`: what was launched, which ends at once with code 3."""

    def __init__(self, words: list[str], **given: Any):
        self.words, self.environment, self.stdin = words, given["env"], Kept()
        self.returncode = 3
        given["stdout"].write(LOG.pop())

    def poll(self) -> int:
        return self.returncode


class Kept(io.BytesIO):
    def close(self) -> None:
        """Keep what was written."""


LOG: list[bytes] = []


def test_a_password_is_told_to_the_tool_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions.subprocess, "Popen", Launched)
    root, url = three_trials(tmp_path), "postgresql://bob:hunter2@h/db"
    LOG[:] = [f"\n{companions.said(OSError(f'no host for {url}'))}\n".encode()]
    found = Companions(root, [Target("mlflow", url)])
    assert found.start() == []
    (process,) = found._running.values()
    assert isinstance(process, Launched)
    assert "hunter2" not in f"{process.words} {process.environment}"
    assert json.loads(process.stdin.getvalue()) == url
    (problem,) = found.failed()
    assert problem == (
        "mlflow: OSError: no host for postgresql://bob@h/db; what is missing is logged by: "
        f"recsearch track {root} --to mlflow:postgresql://bob@h/db"
    )
    assert "hunter2" not in whereabouts(Target("mlflow", url), root)
    assert "hunter2" not in "".join(p.read_text() for p in root.glob("tracking/*"))


def test_what_another_process_wrote_to_the_log_stays_and_is_not_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions.subprocess, "Popen", Launched)
    root, log = three_trials(tmp_path), tmp_path / "als-ml1m/tracking/tensorboard.log"
    log.parent.mkdir()
    log.write_text("recsearch: OSError: long ago\n")
    LOG[:] = [b"Killed\n"]
    found = Companions(root, [Target("tensorboard")])
    found.start()
    (problem,) = found.failed()
    assert "its process ended with 3" in problem
    assert log.read_text() == "recsearch: OSError: long ago\nKilled\n"


def test_two_places_of_one_tool_are_fed_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, places = three_trials(tmp_path), [None, "http://a", "http://b"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = [slug(Target("mlflow", place), root) for place in places]
    assert names[0] == slug(Target("mlflow", mlflow_uri(root)), root) == "mlflow"
    assert len(set(names)) == 3
    assert slug(Target("wandb", "offline"), root) == "wandb", "both may write to one folder"

    def shown(target: Target, view: RunView) -> Recorder:
        return Recorder()

    def other() -> bool:
        assert follow(root, Target("mlflow", "http://b"), opened=shown) == 3
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://a")
        with pytest.raises(RunLockedError):
            follow(root, Target("mlflow"), opened=shown)
        return True

    follow(root, Target("mlflow", "http://a"), other, opened=shown)


def test_two_that_log_the_same_run_with_one_tool(tmp_path: Path) -> None:
    root = three_trials(tmp_path)

    def other() -> bool:
        with pytest.raises(RunLockedError, match="another process logs this run to tensorboard"):
            follow(root, Target("tensorboard"))
        return True

    assert follow(root, Target("tensorboard"), other) == 3


class Recorder:
    """A tracker that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, str, int]] = []
        self.closed = False

    def log(self, trial: TrialView) -> None:
        self.shown.append((trial.number, trial.state, len(trial.epochs)))

    def close(self) -> None:
        self.closed = True


def test_it_is_shown_what_has_changed_of_trials_that_began(tmp_path: Path) -> None:
    run, recorder, looks = Tracked(), Recorder(), [0]
    run.trial(1, {"x": 1.0}, [0.9], state="training")
    run.trial(2, {"x": 2.0}, [], state="queued")
    journal = run.write(tmp_path) / "journal.ndjson"

    def look() -> bool:
        """Before the second look a line is half written, before the third it is whole."""
        looks[0] += 1
        if looks[0] > 1:
            line = json.dumps({"time": "2026-07-01T10:00:00Z", "event": "done", "trial": 1,
                               "epoch": 1, "reason": "plateau"}) + "\n"  # fmt: skip
            with journal.open("a") as file:
                file.write(line[:20] if looks[0] == 2 else line[20:])
        return looks[0] == 3

    shown = follow(journal.parent, Target("tensorboard"), look, opened=lambda *_: recorder)
    assert shown == 1, "one has not begun"
    assert recorder.shown == [(1, "training", 1), (1, "done", 1)]
    assert recorder.closed


def test_targets() -> None:
    texts = ["tensorboard", "wandb:offline", "mlflow:http://h:5000", "tensorboard"]
    assert parse_targets(texts) == (
        Target("tensorboard"), Target("wandb", "offline"), Target("mlflow", "http://h:5000"),
    )  # fmt: skip
    assert parse_target("mlflow:sqlite:///a b.db").text == "mlflow:sqlite:///a b.db"
    with pytest.raises(UsageError, match=r"did you mean tensorboard\?"):
        parse_target("tensorbord")
    for text in ("wandb:", "wandb:online", "tensorboard:x", "mlflow:"):
        with pytest.raises(UsageError, match="expected"):
            parse_target(text)
    with pytest.raises(UsageError, match="is named, too"):
        parse_targets(["wandb", "wandb:offline"])


def test_a_package_that_is_absent_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = {"wandb": targets_module.TOOLS["wandb"]._replace(module="no_such_module")}
    monkeypatch.setattr(targets_module, "TOOLS", tools)
    with pytest.raises(UsageError) as caught:
        parse_target("wandb")
    assert "pip install 'recsearch[wandb]'" in str(caught.value)

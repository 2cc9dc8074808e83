"""The processes beside a search: what goes wrong with them is told once, and ends nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tracking_tools import Tracked, check_tensorboard, three_trials

from recsearch.epochs import TrialView
from recsearch.errors import RunLockedError, UsageError
from recsearch.tracking import Companions, Target, companions, follow, parse_target, parse_targets
from recsearch.tracking import targets as targets_module


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code beside these tests, whatever is installed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))


def until_failed(found: Companions) -> list[str]:
    deadline = time.monotonic() + 60
    while not (problems := found.failed()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return problems


@pytest.mark.usefixtures("here")
def test_it_has_logged_all_when_the_search_ends(tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    found = Companions(root, [Target("tensorboard")])
    assert found.start() == []
    assert found.failed() == []
    assert found.stop() == []
    check_tensorboard(root)
    assert (root / "tracking" / "tensorboard.log").read_text() == ""


@pytest.mark.usefixtures("here")
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
    def hang(self: Companions, target: Target) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                stdin=subprocess.PIPE)  # fmt: skip

    monkeypatch.setattr(Companions, "_launch", hang)
    monkeypatch.setattr(companions, "PATIENCE", -4.9)
    found = Companions(three_trials(tmp_path), [Target("wandb")])
    found.start()
    (process,) = found._running.values()
    (problem,) = found.stop()
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

    follow(journal.parent, Target("tensorboard"), look, opened=lambda target, view: recorder)
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

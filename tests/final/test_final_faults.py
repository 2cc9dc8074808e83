"""Killed anywhere, `recsearch final` ends with the same files and trains no epoch twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from final_tools import copy, document, outcome, request, searched, told_of, trained

from recsearch.errors import CheckpointNotFoundError
from recsearch.final.work import run_final
from recsearch.run import RunView
from recsearch.store import Store


class KilledError(BaseException):
    """No `except Exception` catches it."""


class Countdown:
    """Ends the process, so to speak, after the Nth call of any wrapped function."""

    def __init__(self) -> None:
        self.left = 0
        self.last = ""

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **values: Any) -> Any:
            found = function(*args, **values)
            self.left -= 1
            if self.left == 0:
                self.last = function.__qualname__
                raise KilledError(self.last)
            return found

        return call


@pytest.fixture
def countdown(monkeypatch: pytest.MonkeyPatch) -> Countdown:
    from recsearch import files, prediction
    from recsearch.final import baselines, results
    from recsearch.journal import Journal
    from recsearch.store.staged import Staged

    found = Countdown()
    monkeypatch.setattr(Staged, "commit", found.after(Staged.commit))
    monkeypatch.setattr(Store, "retain", found.after(Store.retain))
    monkeypatch.setattr(Store, "collect", found.after(Store.collect))
    monkeypatch.setattr(Journal, "append", found.after(Journal.append))
    write = found.after(files.replace_file)
    for module in (files, prediction, results):
        monkeypatch.setattr(module, "replace_file", write)
    assert baselines.write_atomic is files.write_atomic
    return found


def stored(root: Path) -> dict[str, list[int]]:
    with Store.open(root.parent / "store") as store:
        return {key: sorted(store.epochs(key)) for key in [*store.keys()]}


def test_b6_killed_after_any_durable_step_nothing_is_lost_or_done_twice(
    noisy_run: RunView, tmp_path: Path, log: Path, countdown: Countdown
) -> None:
    """OmniRec marks a measurement done before it is written, and loses it: B6 of the seed systems.

    After every commit, every drop of a checkpoint, every file and every line of the journal.
    """
    straight = copy(noisy_run, tmp_path / "straight")
    run_final(request(straight))
    want, once, left = outcome(straight), trained(log), stored(straight)
    assert set(once.values()) == {1}
    seen: list[str] = []
    for step in range(1, 200):
        log.write_text("")
        root = copy(noisy_run, tmp_path / f"killed-{step}")
        countdown.left = step
        try:
            run_final(request(root))
        except KilledError:
            countdown.left = 0
            seen.append(countdown.last)
            run_final(request(root))
        assert outcome(root) == want, seen[-1:]
        assert trained(log) == once, seen[-1:]
        assert stored(root) == left, seen[-1:]
        if countdown.left > 0:
            break
        countdown.left = 0
    counts = {name: seen.count(name) for name in dict.fromkeys(seen)}
    assert counts["Staged.commit"] == counts["Keeping.retain"] == sum(once.values())
    assert counts["replace_file"] == 2 * 4 + 1 + 3, "units, baselines, results"
    assert counts["Journal.append"] == 2 * 4 + 2


@pytest.mark.parametrize("phase", ["predict", "eval"])
def test_a_checkpoint_lost_between_phases_is_trained_again(
    noisy_run: RunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    from recsearch.final import phases

    straight = copy(noisy_run, tmp_path / "straight")
    run_final(request(straight, configs=("best",)))
    root = copy(noisy_run, tmp_path / "lost")
    original = phases._RUN[phase]

    def lose(unit: Any) -> None:
        with Store.open(unit.store_url) as store:
            for epoch in store.epochs(unit.key):
                store.drop(store.read(unit.key, epoch))
        original(unit)

    monkeypatch.setitem(phases._RUN, phase, lose)
    with pytest.raises(CheckpointNotFoundError):
        run_final(request(root, configs=("best",)))
    monkeypatch.setitem(phases._RUN, phase, original)
    run_final(request(root, configs=("best",)))
    assert outcome(root) == outcome(straight)


def test_killed_inside_fit_the_same_command_goes_on(tmp_path: Path, log: Path) -> None:
    """The command itself, with two workers that must not outlive it."""
    view = searched(tmp_path / "searched", sleep=0.05)
    roots = [copy(view, tmp_path / name) for name in ("killed", "straight")]

    def command(root: Path) -> list[str]:
        words = ["final", str(root), "--parts", "1", "2", "--workers", "2", "--json"]
        return [sys.executable, "-m", "recsearch", *words]

    log.write_text("")
    process = subprocess.Popen(
        command(roots[0]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    while not any(line.endswith("epoch 2") for line in trained(log)):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # its workers end a moment after it
    done = subprocess.run(command(roots[0]), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sum(trained(log).values()) - len(trained(log)) <= 2, "at most what was in flight"
    run_final(request(roots[1], parts=(1, 2)))
    assert outcome(roots[0]) == outcome(roots[1])
    assert document(roots[0])["parts"] == [1, 2]
    assert {e["phase"] for e in told_of(roots[0])} == {"fit", "predict", "eval", "done"}

"""W&B: one run per trial, the same after a kill, steps that only rise, each epoch once."""

from __future__ import annotations

import math
import struct
import sys
import zlib
from pathlib import Path

import pytest
from fake_wandb import FakeWandb
from tracking_tools import RUN_ID, Kill, Tracked, once, states, three_trials

from recsearch.run import RunView
from recsearch.tracking import wandb as tracker_module
from recsearch.tracking.wandb import Wandb, run_key
from recsearch.tracking.wandb_files import BLOCK, HEADER, records, steps_of


@pytest.fixture
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    online = getattr(request, "param", True)
    found = FakeWandb(online=online)
    monkeypatch.setitem(sys.modules, "wandb", found)
    monkeypatch.setattr(tracker_module, "steps_of", found.steps_of)
    for name in ("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    if not online:
        monkeypatch.setenv("WANDB_MODE", "offline")
    return found


both = pytest.mark.parametrize("fake", [True, False], indirect=True, ids=["online", "offline"])


def whole(root: Path) -> None:
    run = RunView.open(root)
    tracker = Wandb(run)
    for trial in run.trials:
        tracker.log(trial)
    tracker.close()


def check(fake: FakeWandb, root: Path) -> None:
    """Of every trial each epoch once, in order, as the journal has it; the summary is the best."""
    run = RunView.open(root)
    assert set(fake.rows) == {run_key(RUN_ID, trial.number) for trial in run.trials}
    for trial in run.trials:
        rows = fake.rows[run_key(RUN_ID, trial.number)]
        assert [step for step, _ in rows] == [row.epoch for row in trial.epochs]
        for (_, told), row in zip(rows, trial.epochs, strict=True):
            known = {name: value for name, value in row.metrics.items() if value is not None}
            assert told.keys() == known.keys()
            assert all(told[n] == v or math.isnan(v) for n, v in known.items())
        summary = fake.summaries[run_key(RUN_ID, trial.number)]
        assert summary["state"] == trial.state
        best = run.trial_best(trial)
        assert best is not None
        assert summary["RMSE"] == best.value("RMSE")
        assert summary["best_epoch"] == best.epoch


@both
def test_one_run_per_trial_with_its_parameters(fake: FakeWandb, tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    whole(root)
    check(fake, root)
    assert [given["id"] for given in fake.inits] == [run_key(RUN_ID, n) for n in (1, 2, 3)]
    first = fake.inits[0]
    assert first["config"]["reg.user"] == 0.5
    assert first["resume"] == "allow"
    assert len({given["group"] for given in fake.inits}) == 1
    assert list(fake.ended.values()) == [0, 0, 1]
    whole(root)
    assert len(fake.inits) == 3, "a W&B run to which nothing is added is not opened"


def test_the_id_is_a_function_of_run_and_trial() -> None:
    ids = [run_key(run, trial) for run in (RUN_ID, "f" * 32) for trial in (1, 2, 11)]
    once(ids)
    assert ids == [run_key(run, trial) for run in (RUN_ID, "f" * 32) for trial in (1, 2, 11)]


@both
@pytest.mark.parametrize("kept", [0, 1, 99])
def test_killed_at_any_point_each_epoch_is_there_once(
    fake: FakeWandb, kept: int, tmp_path: Path
) -> None:
    root = three_trials(tmp_path)
    whole(root)
    points = fake.points
    assert points >= 30
    for kill_at in range(1, points + 1):
        fake.__init__(online=fake.online)
        (root / "wandb" / "recsearch.json").unlink(missing_ok=True)
        fake.kill_at, fake.kept = kill_at, kept
        with pytest.raises(Kill):
            whole(root)
        whole(root)
        check(fake, root)


@both
def test_killed_between_any_two_lines_of_the_journal(fake: FakeWandb, tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    story = states(root)
    for count in range(len(story) + 1):
        fake.__init__(online=fake.online)
        (root / "wandb" / "recsearch.json").unlink(missing_ok=True)
        tracker = Wandb(RunView.open(root))
        for trial in story[:count]:
            tracker.log(trial)
        fake.open = []
        whole(root)
        check(fake, root)


@both
def test_a_continued_trial_goes_on_in_the_same_run(fake: FakeWandb, tmp_path: Path) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.9, 0.8], state="pruned")
    whole(run.write(tmp_path / "a"))
    run.event("continued", trial=1, epochs=3)
    run.event("epoch", trial=1, epoch=3, metrics={"RMSE": 0.7})
    run.event("done", trial=1, epoch=3, reason="max_epochs")
    root = run.write(tmp_path / "b")
    whole(root)
    check(fake, root)
    assert [given["id"] for given in fake.inits] == [run_key(RUN_ID, 1)] * 2


@pytest.mark.parametrize("fake", [False], indirect=True)
def test_files_that_were_uploaded_and_cleaned_are_not_logged_again(
    fake: FakeWandb, tmp_path: Path
) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.9, 0.8], state="pruned")
    root = run.write(tmp_path)
    whole(root)
    fake.rows.clear()
    run.event("continued", trial=1, epochs=3)
    run.event("epoch", trial=1, epoch=3, metrics={"RMSE": 0.7})
    run.event("done", trial=1, epoch=3, reason="max_epochs")
    later = run.write(tmp_path / "later")
    (root / "journal.ndjson").write_bytes((later / "journal.ndjson").read_bytes())
    whole(root)
    assert [step for step, _ in fake.rows[run_key(RUN_ID, 1)]] == [3]


def chunk(kind: int, data: bytes) -> bytes:
    return struct.pack("<IHB", zlib.crc32(bytes([kind]) + data), len(data), kind) + data


def wandb_log(contents: list[bytes]) -> bytes:
    """A log as W&B writes it, block by block."""
    data = b":W&B\xe1\xbe\x00"
    for content in contents:
        first, rest = True, content
        while first or rest:
            left = BLOCK - len(data) % BLOCK
            if left < HEADER:
                data += b"\0" * left
                left = BLOCK
            part, rest = rest[: left - HEADER], rest[left - HEADER :]
            kind = (1 if not rest else 2) if first else (4 if not rest else 3)
            data += chunk(kind, part)
            first = False
    return data


def test_records_of_a_log_are_read_back_across_blocks_up_to_what_is_torn(tmp_path: Path) -> None:
    contents = [bytes([n]) * size for n, size in enumerate([5, BLOCK - 40, 30, 3 * BLOCK, 0, 9])]
    path, data = tmp_path / "run-x.wandb", wandb_log(contents)
    path.write_bytes(data)
    assert list(records(path)) == contents
    for cut in [*range(60), *range(BLOCK - 20, BLOCK + 60, 3), *range(len(data) - 40, len(data))]:
        path.write_bytes(data[:cut])
        found = list(records(path))
        assert found == contents[: len(found)]
        assert len(found) < len(contents)
    path.write_bytes(data[:20] + b"\xff" + data[21:])
    assert len(list(records(path))) < len(contents), "what is damaged is not read"


def test_rows_of_online_runs_in_the_same_folder_are_no_offline_rows(tmp_path: Path) -> None:
    """Records as W&B writes them: its protocol is no public interface."""
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2", reason="wandb is not installed")
    for folder, found in (("offline-run-1-x", [1, 2]), ("offline-run-2-x", [3]),
                          ("run-3-x", [4, 5]), ("offline-run-4-y", [9])):  # fmt: skip
        rows = [pb.Record(run=pb.RunRecord(run_id="x"))]
        for step in found:
            history = pb.HistoryRecord(step=pb.HistoryStep(num=step))
            rows.append(pb.Record(history=history))
        path = tmp_path / folder / f"run-{folder[-1]}.wandb"
        path.parent.mkdir()
        path.write_bytes(wandb_log([row.SerializeToString() for row in rows]))
    assert steps_of(tmp_path, "x") == {1, 2, 3}

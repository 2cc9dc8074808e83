"""TensorBoard's event files: each (tag, step) once, whatever was killed and torn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_tools import (
    Kill,
    Tracked,
    check_tensorboard,
    hparams,
    scalars,
    states,
    three_trials,
)

from recsearch.run import RunView
from recsearch.tracking.tensorboard import TensorBoard, records


def whole(root: Path) -> None:
    """What the next command does: all trials as they are now, by a process that knows nothing."""
    run = RunView.open(root)
    tracker = TensorBoard(run)
    try:
        for trial in run.trials:
            tracker.log(trial)
    finally:
        # Every record is on the disk by then, so that of a killed process the files are the same.
        tracker.close()


def test_every_metric_of_every_epoch_is_there_once_with_its_value(tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    whole(root)
    check_tensorboard(root)
    first = scalars(root / "tensorboard" / "trial-0001")
    assert [(t, s) for t, s, _ in first] == [
        ("RMSE", 1), ("NDCG@10", 1), ("RMSE", 2), ("NDCG@10", 2), ("RMSE", 3), ("NDCG@10", 3),
        ("best/RMSE", 2), ("best/NDCG@10", 2),
    ]  # fmt: skip
    assert first[6][2] == pytest.approx(0.7)
    before = sorted(root.glob("tensorboard/*/*"))
    whole(root)
    assert sorted(root.glob("tensorboard/*/*")) == before, "no file to which nothing is added"


def test_the_hparams_tab_has_parameters_and_best_values_of_trials_that_ended(
    tmp_path: Path,
) -> None:
    root = three_trials(tmp_path)
    whole(root)
    found = hparams(root / "tensorboard" / "trial-0001")
    assert {tag.rpartition("/")[2] for tag in found} == {
        "experiment", "session_start_info", "session_end_info",
    }  # fmt: skip
    told = found["_hparams_/session_start_info"].session_start_info.hparams
    assert told["size"].number_value == 8
    assert told["loss"].string_value == "bpr"
    assert told["bias"].bool_value is True
    assert told["reg.user"].number_value == 0.5
    metrics = found["_hparams_/experiment"].experiment.metric_infos
    assert [info.name.tag for info in metrics] == ["best/RMSE", "best/NDCG@10"]
    assert hparams(root / "tensorboard" / "trial-0003")


def test_a_trial_at_work_is_there_without_an_end(tmp_path: Path) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.9], state="training")
    run.trial(2, {"x": 2.0}, [], state="queued")
    root = run.write(tmp_path)
    whole(root)
    check_tensorboard(root)
    assert not hparams(root / "tensorboard" / "trial-0001")
    assert not (root / "tensorboard" / "trial-0002").exists()


def test_a_continued_trial_goes_on_with_later_steps(tmp_path: Path) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [0.9, 0.8], state="pruned")
    root = run.write(tmp_path)
    whole(root)
    run.event("continued", trial=1, epochs=4)
    run.event("started", trial=1)
    for epoch, value in ((3, 0.7), (4, 0.75)):
        run.event("epoch", trial=1, epoch=epoch, metrics={"RMSE": value})
    run.event("done", trial=1, epoch=4, reason="max_epochs")
    text = run.write(tmp_path / "later") / "journal.ndjson"
    shutil.copy(text, root / "journal.ndjson")
    whole(root)
    check_tensorboard(root)
    best = [(s, v) for t, s, v in scalars(root / "tensorboard" / "trial-0001") if t == "best/RMSE"]
    assert best == [(2, pytest.approx(0.8)), (3, pytest.approx(0.7))]
    assert hparams(root / "tensorboard" / "trial-0001")


def test_killed_between_any_two_lines_of_the_journal_nothing_is_lost_or_twice(
    tmp_path: Path,
) -> None:
    root = three_trials(tmp_path)
    story = states(root)
    for count in range(len(story) + 1):
        shutil.rmtree(root / "tensorboard", ignore_errors=True)
        tracker = TensorBoard(RunView.open(root))
        for trial in story[:count]:
            tracker.log(trial)
        whole(root)
        check_tensorboard(root)
        tracker.close()


@pytest.mark.parametrize("which", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("written", [False, True])
def test_killed_while_a_record_is_written(
    which: int, written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboardX.event_file_writer import EventsWriter

    root, true, count = three_trials(tmp_path), EventsWriter.write_event, [0]

    def write(self: EventsWriter, event: object) -> None:
        count[0] += 1
        if written:
            true(self, event)
            self.flush()
        # One is the head of each file.
        if count[0] == 1 + which:
            raise Kill
        if not written:
            true(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(EventsWriter, "write_event", write)
        with pytest.raises(Kill):
            whole(root)
    whole(root)
    check_tensorboard(root)
    assert len(hparams(root / "tensorboard" / "trial-0001")) == 3


def test_a_trial_without_an_epoch_joins_the_hparams_tab_when_it_has_a_best(
    tmp_path: Path,
) -> None:
    run = Tracked()
    run.trial(1, {"x": 1.0}, [], state="error")
    whole(run.write(tmp_path))
    root = tmp_path / "als-ml1m"
    assert not (root / "tensorboard").exists()
    run.event("started", trial=1)
    run.event("epoch", trial=1, epoch=1, metrics={"RMSE": 0.7})
    run.event("done", trial=1, epoch=1, reason="max_epochs")
    later = run.write(tmp_path / "later")
    (later / "journal.ndjson").replace(root / "journal.ndjson")
    whole(root)
    found = hparams(root / "tensorboard" / "trial-0001")
    (experiment,) = (d.experiment for d in found.values() if d.HasField("experiment"))
    assert [info.name.tag for info in experiment.metric_infos] == ["best/RMSE"]


def test_a_torn_file_is_caught_up_with_in_the_next_one(tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    whole(root)
    (path,) = (root / "tensorboard" / "trial-0002").iterdir()
    data, names = path.read_bytes(), list(records(path))
    assert len(names) == 4, "head, epoch, best, parameters"
    for cut in range(0, len(data), 3):
        for extra in (root / "tensorboard" / "trial-0002").iterdir():
            extra.unlink()
        path.write_bytes(data[:cut])
        whole(root)
        check_tensorboard(root)
        assert path.read_bytes() == data[:cut], "the file of the killed writer stays as it is"
        assert len(hparams(root / "tensorboard" / "trial-0002")) == 3


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_number_of_kills_at_any_place(data: st.DataObject, tmp_path_factory) -> None:
    root = three_trials(tmp_path_factory.mktemp("kills"))
    story = states(root)
    for _ in range(data.draw(st.integers(1, 4))):
        tracker = TensorBoard(RunView.open(root))
        for trial in story[: data.draw(st.integers(0, len(story)))]:
            tracker.log(trial)
        tracker.close()
        files = sorted(root.glob("tensorboard/*/*"))
        if files:
            path = data.draw(st.sampled_from(files))
            newest = max(path.parent.iterdir(), key=lambda each: each.name)
            text = newest.read_bytes()
            newest.write_bytes(text[: len(text) - data.draw(st.integers(0, 60))])
    whole(root)
    check_tensorboard(root)

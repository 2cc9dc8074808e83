from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recsearch.errors import IdentityError, RecsearchError, RunLockedError, UsageError
from recsearch.files import write_atomic
from recsearch.journal import Journal
from recsearch.run import RunView, check_identity, locked, move_aside, read_identity
from recsearch.run_paths import RunPaths


def identity(**changes: Any) -> dict[str, Any]:
    """An identity with single fields changed, named by dotted path with __ for the dots."""
    document: dict[str, Any] = {
        "format": 1,
        "name": "als-demo",
        "search": {
            "model": {"class": "als", "config": {}},
            "search": {"metric": "RMSE", "trials": 100, "max_epochs": 30},
            "space": {"size": {"type": "int", "min": 4, "max": 512}},
        },
        "dataset": {"name": "demo", "dataset_id": "d" * 64},
        "split": {"split_id": "s" * 64},
        "seed": 42,
        "direction": "min",
        "code": {"model": 1, "lenskit": "2025.8.1"},
        "store": "../../store",
    }
    for dotted, value in changes.items():
        node = document
        *path, last = dotted.split("__")
        for key in path:
            node = node[key]
        node[last] = value
    return document


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    paths = RunPaths(tmp_path / "als-demo")
    paths.root.mkdir()
    write_atomic(paths.identity, identity())
    return paths


def test_the_same_identity_continues(paths: RunPaths) -> None:
    assert check_identity(paths, identity())


def test_a_new_folder_holds_no_run(tmp_path: Path) -> None:
    assert not check_identity(RunPaths(tmp_path / "new"), identity())


def test_the_number_of_trials_may_grow(paths: RunPaths) -> None:
    assert check_identity(paths, identity(search__search__trials=200))


@pytest.mark.parametrize("quota", ["none", "5 GB"])
def test_a_run_may_be_resumed_with_another_quota_or_from_before_there_were_any(
    paths: RunPaths, quota: str
) -> None:
    assert "quota" not in identity()["search"]["search"]
    assert check_identity(paths, identity(search__search__quota=quota))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("search__model__class", "bias", "search.model.class"),
        ("search__search__metric", "MAE", "search.search.metric"),
        ("search__search__max_epochs", 31, "search.search.max_epochs"),
        ("search__space__size", {"type": "int", "min": 4, "max": 64}, "search.space.size"),
        ("dataset__dataset_id", "e" * 64, "dataset.dataset_id"),
        ("split__split_id", "t" * 64, "split.split_id"),
        ("seed", 7, "seed"),
        ("code__lenskit", "2026.1", "code.lenskit"),
        ("store", "../../elsewhere", "store"),
    ],
)
def test_b13_another_identity_is_refused_naming_exactly_the_field(
    paths: RunPaths, field: str, value: Any, named: str
) -> None:
    before = snapshot(paths.root)
    with pytest.raises(IdentityError) as caught:
        check_identity(paths, identity(**{field: value}))
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  ")]
    assert len(lines) == 1
    assert lines[0].strip().startswith(f"{named}:")
    assert "--fresh" in str(caught.value)
    assert caught.value.exit_code == 3
    assert snapshot(paths.root) == before


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"name": "x"}', '{"format": 99}'])
def test_a_damaged_or_newer_identity_is_an_error(paths: RunPaths, content: str) -> None:
    paths.identity.write_text(content)
    with pytest.raises(RecsearchError, match=r"run\.json"):
        read_identity(paths)
    assert paths.identity.read_text() == content


def test_a_folder_without_a_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        RunView.open(tmp_path)


def test_b5_a_second_process_is_refused_and_names_the_holder(paths: RunPaths) -> None:
    with Journal(paths.journal) as journal:
        journal.append(
            "opened", pid=4711, host="elsewhere", version="0", workers=1, trials=1, resumed=False
        )
    script = (
        "import sys, pathlib\n"
        "from recsearch.run import locked\n"
        "from recsearch.run_paths import RunPaths\n"
        f"with locked(RunPaths(pathlib.Path({str(paths.root)!r}))):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError, match="process 4711 on elsewhere"), locked(paths):
            pass
        other.kill()
    with locked(paths):
        pass


@pytest.mark.parametrize("there", [False, True])
def test_a_refused_search_leaves_no_folder_that_was_not_there(tmp_path: Path, there: bool) -> None:
    paths = RunPaths(tmp_path / "runs" / "als")
    if there:
        paths.root.mkdir(parents=True)
    with pytest.raises(UsageError), locked(paths):
        raise UsageError("no point of the space is small enough")
    assert paths.root.exists() == there
    with locked(paths):
        paths.journal.write_text("")
    assert paths.journal.exists()


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecsearchError, match="--run"), locked(RunPaths(tmp_path / "file" / "run")):
        pass


def test_fresh_moves_aside_and_keeps_everything(paths: RunPaths) -> None:
    before = snapshot(paths.root)
    assert move_aside(paths) == paths.root.with_name("als-demo.old-1")
    assert snapshot(paths.root.with_name("als-demo.old-1")) == before
    assert list(paths.root.iterdir()) == []
    write_atomic(paths.identity, identity())
    assert move_aside(paths) == paths.root.with_name("als-demo.old-2")
    assert move_aside(paths) is None


def test_write_atomic_leaves_the_old_file_when_it_fails(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    before = snapshot(paths.root)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RecsearchError, match="No space left"):
        write_atomic(paths.identity, {"format": 2})
    assert snapshot(paths.root) == before


def test_a_view_reads_a_run_in_progress(paths: RunPaths) -> None:
    with Journal(paths.journal) as journal:
        journal.append("opened", pid=1, host="h", version="0", workers=1, trials=5, resumed=False)
        journal.append(
            "suggested", trial=1, params={"size": 8}, config={}, key="k", origin="default"
        )
        journal.append("started", trial=1)
        journal.append("epoch", trial=1, epoch=1, metrics={"RMSE": 0.9})
    view = RunView.open(paths.root)
    assert view.planned == 5
    assert view.counts["training"] == 1
    found = view.best()
    assert found is not None
    assert (found[0].number, found[1].epoch) == (1, 1)
    with pytest.raises(UsageError, match="trials 1 to 1"):
        view.trial(2)
    assert json.loads(paths.identity.read_text())["name"] == view.name


def test_a_command_that_opens_no_session_is_not_taken_for_the_last_search(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    with Journal(paths.journal) as journal:
        opened = {"host": socket.gethostname(), "version": "0", "workers": 1, "trials": 1}
        journal.append("opened", pid=4242, resumed=False, **opened)
        with locked(paths), pytest.raises(RunLockedError, match="process 4242"), locked(paths):
            pass
        journal.append("closed", exit_code=0)
        with locked(paths), pytest.raises(RunLockedError) as caught, locked(paths):
            pass
    assert "4242" not in caught.value.message

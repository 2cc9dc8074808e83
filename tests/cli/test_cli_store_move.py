"""`export` and `import`: files, other stores, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from store_cli_tools import KEYS, as_json, error, fill, invoke, make_run, output, state

from recsearch.errors import CheckpointNotFoundError, RecsearchError, StoreError, UsageError
from recsearch.store import Store
from recsearch.store.staged import ConflictError


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "store")
    make_run(tmp_path / "runs" / "als-demo", "../../store")
    return "store"


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_a_checkpoint_goes_through_a_file(url: str, name: str) -> None:
    text = output("export", "als-demo", name)
    assert f"{KEYS[1][:12]}:2 (best, als-demo trial 1) to {name}" in text
    check = text.splitlines()[-1].partition("recsearch store ")[2].split()
    assert "matched     model/items" in output(*check)
    imported = as_json("import", name, "--store", "other")
    assert (imported["key"], imported["epoch"]) == (KEYS[1], 2)
    with Store.open("store") as old, Store.open("other") as new:
        assert old.diff(old.read(KEYS[1], 2), new.read(KEYS[1], 2), new).equal
        assert new.read(KEYS[1], 2).info == old.read(KEYS[1], 2).info
    assert as_json("import", name, "--store", "other")["stored_bytes"] == 0
    output("import", name, "--store", "other", "--key", "ef" * 32, "--epoch", "9")
    with Store.open("other") as new:
        new.save(KEYS[1], 1, state(2, 1), {})
    elsewhere = ("import", name, "--store", "other", "--key", KEYS[1], "--epoch", "1")
    assert "already stored with another content" in error(ConflictError, *elsewhere)
    assert "exists; it was left as it is" in error(UsageError, "export", "als-demo", name)
    assert as_json("export", "ab12ce:1", name, "--force")["epoch"] == 1


def test_a_part_is_ready_for_its_model(url: str) -> None:
    output("export", "ab12cd:1", "model.pt", "--part", "model")
    weights = torch.load("model.pt", weights_only=True)
    assert weights.keys() == {"items", "users"}
    assert "no part 'none'" in error(
        CheckpointNotFoundError, "export", "ab12cd", "b.pt", "--part", "none"
    )
    imported = as_json("import", "model.pt")
    shown = as_json("show", imported["key"])
    assert shown["info"] == {"imported": "model.pt"}
    assert list(shown["parts"]) == ["model"]


def test_a_trial_is_copied_with_all_its_epochs(url: str) -> None:
    output("pin", "ab12cd:1", "--name", "first")
    result = invoke("export", "ab12cd", "other")
    assert result.stdout.splitlines()[0].startswith("copied  4 checkpoints to other")
    assert result.stdout.splitlines()[-1] == "next    recsearch store verify --store other"
    assert f"{KEYS[1][:12]}:3" in result.stderr
    again = as_json("export", "ab12cd", "other")
    assert (again["copied"], again["present"], again["stored_bytes"]) == (0, 4, 0)
    assert as_json("ls", "--store", "other")[0]["epochs"] == [1, 2, 3]
    assert as_json("show", "pin:first", "--store", "other")["epoch"] == 1
    assert as_json("export", "ab12ce:best", "other")["copied"] == 1
    assert as_json("ls", "--store", "other")[1]["epochs"] == [2]
    assert "0 problems" in output("verify", "--restore", "--store", "other")


def test_a_run_is_copied_with_all_its_trials(url: str) -> None:
    assert as_json("export", "als-demo", "other")["copied"] == 7
    assert as_json("export", "als-demo:2", "third")["copied"] == 4
    assert as_json("export", "als-demo:2:last", "fourth")["copied"] == 1


def test_a_store_is_imported(url: str) -> None:
    one = as_json("import", "store", "--store", "a", "--key", "ab12cd", "--epoch", "2")
    assert (one["to"], one["copied"]) == ("a", 1)
    assert as_json("ls", "--store", "a")[0]["epochs"] == [2]
    assert as_json("import", "store", "--store", "b")["copied"] == 7
    assert "no store" in error(StoreError, "import", "none", "--store", "b")


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (("export", "ab12cd", "file.h5"), UsageError, "neither a store nor a file"),
        (("import", "file.h5"), UsageError, "neither a store nor a file"),
        (("import", "none.pt"), UsageError, "cannot be read"),
        (("export", "ab12cd:9", "a.pt"), CheckpointNotFoundError, "1-3"),
    ],
)
def test_refusals(
    url: str, arguments: tuple[str, ...], expected: type[RecsearchError], words: str
) -> None:
    Path("file.h5").write_bytes(b"x")
    assert words in error(expected, *arguments)
    assert not Path("a.pt").exists()


def test_options_of_files_are_not_for_stores(url: str) -> None:
    for options in (["--part", "model"], ["--force"]):
        assert invoke("export", "ab12cd", "other", *options).exit_code == 2
    assert not Path("other").exists()

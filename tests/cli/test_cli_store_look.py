"""How commands name checkpoints, and what `show`, `params` and `diff` say of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from store_cli_tools import KEYS, as_json, error, fill, invoke, make_run, output, state

from recsearch.errors import (
    CheckpointNotFoundError,
    RecsearchError,
    UsageError,
    VerificationError,
)
from recsearch.store import Store


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "kept")
    make_run(tmp_path / "runs" / "als-demo", "../../kept")
    make_run(tmp_path / "else" / "als:demo", "../../kept")
    with Store.open("kept") as store:
        store.pin(KEYS[2], 1, "first")
    return "kept"


@pytest.mark.parametrize(
    ("name", "trial", "epoch", "label"),
    [
        ("ab12cd", 1, 3, "(last)"),
        ("AB12CD:last", 1, 3, "(last)"),
        ("ab12cd:best", 1, 2, "(best)"),
        ("ab12ce:4", 2, 4, ":4\n"),
        (KEYS[2] + ":best", 2, 2, "(best)"),
        ("pin:first", 2, 1, "(pin first)"),
    ],
)
def test_by_key(url: str, name: str, trial: int, epoch: int, label: str) -> None:
    shown = as_json("show", name, "--store", url)
    assert (shown["key"], shown["epoch"]) == (KEYS[trial], epoch)
    first = output("show", name, "--store", url).splitlines(keepends=True)[0]
    assert f"{KEYS[trial][:12]}:{epoch}" in first
    assert label in first


@pytest.mark.parametrize("run", ["als-demo", "runs/als-demo", "else/als:demo"])
@pytest.mark.parametrize(
    ("rest", "trial", "epoch", "label"),
    [
        ("", 1, 2, "best, als-demo trial 1"),
        (":2", 2, 2, "best, als-demo trial 2"),
        (":2:last", 2, 4, "last, als-demo trial 2"),
        (":1:best", 1, 2, "best, als-demo trial 1"),
        (":2:3", 2, 3, "als-demo trial 2"),
    ],
)
def test_by_run(url: str, run: str, rest: str, trial: int, epoch: int, label: str) -> None:
    shown = as_json("show", run + rest)
    assert (shown["key"], shown["epoch"]) == (KEYS[trial], epoch)
    assert f"{KEYS[trial][:12]}:{epoch} ({label})" in output("show", run + rest)


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("ab12cd:0", UsageError, "not an epoch"),
        ("als-demo:two", UsageError, "not the number of a trial"),
        ("als-demo:7", UsageError, "no trial 7"),
        ("als-demo:1:9", CheckpointNotFoundError, "1-3"),
        ("als-none", UsageError, "neither a run folder nor the beginning of a trial key"),
        ("pin:none", CheckpointNotFoundError, "nothing in .* is pinned as 'none'"),
    ],
)
def test_names_of_nothing(url: str, name: str, expected: type[RecsearchError], words: str) -> None:
    assert re.search(words, error(expected, "show", name, *(["--store", url] * (name[0] != "a"))))


def test_best_needs_an_objective(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for epoch, loss in ((1, 3.0), (2, 1.0), (3, 2.0)):
            store.save(KEYS[1], epoch, state(1, epoch), {"metrics": {"loss": loss}})
    found = error(CheckpointNotFoundError, "show", "ab12cd:best", "--store", str(tmp_path))
    assert "has an objective recorded" in found
    with Store.open(tmp_path) as store:
        for epoch, loss in ((1, 3.0), (2, 1.0), (3, 2.0)):
            info = {"metrics": {"loss": loss}, "objective": "loss", "direction": "min"}
            store.save(KEYS[2], epoch, state(2, epoch), info)
    assert as_json("show", "ab12ce:best", "--store", str(tmp_path))["epoch"] == 2


def test_show_tells_own_bytes_from_shared_ones(url: str) -> None:
    shown = as_json("show", "ab12cd:3", "--store", url)
    tensors = shown["parts"]["model"]["tensors"]
    users, items = tensors["users"], tensors["items"]
    assert users["new_bytes"] == users["stored_bytes"] == users["nbytes"] == 1600
    assert users["codecs"] == ["raw"]
    assert (items["patches"], items["depth"], items["codecs"]) == (2, 0, ["raw", "rows"])
    assert 0 < items["new_bytes"] < 200 < items["stored_bytes"]
    ids = shown["parts"]["vocabulary"]["tensors"]["item_ids"]
    assert ids["new_bytes"] == 0
    assert shown["new_bytes"] == users["new_bytes"] + items["new_bytes"]
    assert shown["logical_bytes"] == 1600 + 8000 + 4000
    # The pinned epoch has two manifests; they are one checkpoint.
    assert as_json("show", "ab12ce:1", "--store", url)["new_bytes"] == 1600


def test_params_add_up(url: str) -> None:
    rows = as_json("params", "ab12cd", "--store", url)
    assert sum(row["bytes"] for row in rows) == 1600 + 8000 + 4000
    assert [row["name"] for row in rows] == ["items", "users", "item_ids"]
    assert rows[1] == {
        "part": "model",
        "name": "users",
        "shape": [50, 4],
        "dtype": "<f8",
        "bytes": 1600,
        "blake3": as_json("show", "ab12cd", "--store", url)["parts"]["model"]["tensors"]["users"][
            "blake3"
        ],
    }
    assert rows[0]["blake3"] is None
    assert "patched" in output("params", "ab12cd", "--store", url)


def test_params_say_what_fits_a_file(url: str, tmp_path: Path) -> None:
    items = torch.zeros(500, 4)
    torch.save({"item_factors": items, "users": torch.zeros(3, 4)}, "model.pt")
    arguments = ("params", "ab12cd", "--store", url, "--check", "model.pt")
    result = invoke(*arguments)
    assert isinstance(result.exception, VerificationError)
    assert result.exception.exit_code == 3
    assert "missing: model/item_factors" in result.exception.message
    assert "unexpected: model/items" in result.exception.message
    report = as_json(*arguments, "--partial", "--report", "restore-report.json")
    assert report == json.loads(Path("restore-report.json").read_text())
    assert report["mismatched"] == {"model/users": ["<f8 [50, 4]", "<f4 [3, 4]"]}
    Path("names.tsv").write_text("# old new\nitems\titem_factors\nusers\tnone\n")
    message = error(UsageError, *arguments, "--param-map", "names.tsv")
    assert message == "names.tsv, line 3: there is no array none to restore into"
    torch.save({"item_factors": items, "users": torch.zeros(50, 4).double()}, "model.pt")
    Path("names.tsv").write_text("items\titem_factors\n")
    assert "matched     model/item_factors from model/items" in output(
        *arguments, "--param-map", "names.tsv"
    )
    assert invoke("params", "ab12cd", "--store", url, "--partial").exit_code == 2


def test_diff(url: str) -> None:
    found = as_json("diff", "ab12cd:1", "ab12cd:best", "--store", url)
    rows = {row["tensor"]: row for row in found["tensors"]}
    items = rows["items"]
    assert (items["change"], items["rows"], items["changed_rows"]) == ("changed", 500, 2)
    assert items["largest"] == pytest.approx(1, abs=1e-6)
    assert rows["users"]["changed_rows"] == 50
    assert rows["item_ids"]["change"] == "equal"
    assert (found["values"], found["equal"]) == (["model"], False)
    text = output("diff", "ab12cd:1", "ab12cd:best", "--store", url)
    assert f"B {KEYS[1][:12]}:2 (best)" in text
    assert "0.40%" in text
    assert "values of model differ" in text
    same = output("diff", "als-demo:1:2", "ab12cd:best", "--store", url)
    assert same.splitlines()[-1] == "equal"


def test_diff_of_other_arrays_and_stores(url: str) -> None:
    changed = state(1, 1)
    tensors = dict(changed["model"].tensors)
    tensors["items"] = tensors["items"][:400]
    tensors["bias"] = np.zeros(3)
    tensors["users"] = tensors["users"].copy()
    tensors["users"][7] = np.nan
    del changed["vocabulary"]
    with Store.open("second") as store:
        part = type(changed["model"])(tensors, {"epochs": 1})
        store.save(KEYS[1], 1, {"model": part}, {})
        with Store.open("kept") as first, first.hold(KEYS[1], 1) as a:
            found = first.diff(a, store.read(KEYS[1], 1), store)
    rows = {row.tensor: row for row in found.tensors}
    assert rows["items"].change == "shape"
    assert (rows["items"].before, rows["items"].after) == ("<f4 500x4", "<f4 400x4")
    assert rows["bias"].change == "extra"
    assert rows["item_ids"].change == "missing"
    assert (rows["users"].changed_rows, rows["users"].largest) == (1, None)
    assert found.values == ("vocabulary",)


def test_stdout_is_data_only(url: str) -> None:
    for arguments in (("ls",), ("params", "ab12cd"), ("verify", "--data", "50%"), ("du",)):
        text = invoke(*arguments, "--store", url, "--json").stdout
        json.loads(text)

"""``recsearch store``: what it prints, in tables and JSON, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from recsearch.cli.store import store as command
from recsearch.errors import (
    CheckpointNotFoundError,
    RecsearchError,
    StoreDamagedError,
    StoreError,
    UsageError,
)
from recsearch.state import Part
from recsearch.store import BestAndLast, Record, Store

KEY = "ab12cd" + "0" * 58
TWIN = "ab12ce" + "0" * 58


@pytest.fixture
def url(tmp_path: Path) -> str:
    root = tmp_path / "store"
    with Store.open(root) as store:
        for key, epochs in ((KEY, (1, 2, 3)), (TWIN, (1,))):
            for epoch in epochs:
                array = np.random.default_rng([ord(key[5]), epoch]).normal(size=(50, 4))
                info = {
                    "run": "als-demo",
                    "trial": 7,
                    "search": "als",
                    "objective": "RMSE",
                    "metrics": {"RMSE": 1 / epoch, "MAE": float("nan")},
                }
                state = {"model": Part({"items": array}, {"epochs": epoch})}
                store.save(key, epoch, state, info)
    return str(root)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=True)


def output(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def as_json(*arguments: str) -> Any:
    return json.loads(output(*arguments, "--json"))


def error(expected: type[RecsearchError], *arguments: str) -> str:
    result = invoke(*arguments)
    assert type(result.exception) is expected
    return result.exception.message


def test_ls(url: str) -> None:
    rows = as_json("ls", "--store", url)
    assert [row["key"] for row in rows] == [KEY, TWIN]
    assert rows[0] == {
        "key": KEY,
        "search": "als",
        "run": "als-demo",
        "trial": 7,
        "epochs": [1, 2, 3],
        "objective": "RMSE",
        "value": 1 / 3,
    }
    lines = output("ls", "--store", url).splitlines()
    assert lines[1].split() == [KEY[:12], "als", "als-demo", "7", "1-3", "RMSE", "0.33333"]


def test_show_by_prefix(url: str) -> None:
    shown = as_json("show", "ab12cd:2", "--store", url)
    assert (shown["key"], shown["epoch"]) == (KEY, 2)
    assert shown["info"]["metrics"] == {"RMSE": 0.5, "MAE": None}
    assert shown["parts"]["model"]["tensors"]["items"]["shape"] == [50, 4]
    assert shown["parts"]["model"]["values"] == {"epochs": 2}
    assert as_json("show", KEY, "--store", url)["epoch"] == 3
    assert "50x4" in output("show", KEY, "--store", url)


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("ab12", UsageError, "too short"),
        ("ab12c", UsageError, "too short"),
        ("ffffff", CheckpointNotFoundError, "begins with ffffff"),
        ("ab12cd:9", CheckpointNotFoundError, "1-3"),
        ("ab12cd:x", UsageError, "not an epoch"),
    ],
)
def test_what_cannot_be_shown(
    url: str, name: str, expected: type[RecsearchError], words: str
) -> None:
    assert words in error(expected, "show", name, "--store", url)


def test_an_ambiguous_prefix_is_refused(url: str) -> None:
    twin = "ab12cd" + "1" * 58
    with Store.open(url) as store:
        store.save(twin, 1, {}, {})
    assert "2 keys begin with ab12cd" in error(UsageError, "show", "ab12cd", "--store", url)


def test_the_store_comes_from_the_environment(url: str) -> None:
    result = CliRunner().invoke(command, ["ls", "--json"], env={"RECSEARCH_STORE": url})
    assert len(json.loads(result.stdout)) == 2


def test_a_missing_store_is_not_made(tmp_path: Path) -> None:
    for name in ("ls", "verify", "du", "gc"):
        assert "no store" in error(StoreError, name, "--store", str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_du_and_gc(url: str) -> None:
    with Store.open(url) as store:
        store.retain(KEY, BestAndLast("min"), [Record(1, 1.0), Record(2, 2.0), Record(3, 3.0)])
    usage = as_json("du", "--store", url)
    assert usage["checkpoints"] == 3
    assert usage["keys"][KEY]["checkpoints"] == 2
    assert usage["unreferenced_bytes"] > 0
    assert "unreferenced" in output("du", "--store", url)
    dry = as_json("gc", "--dry-run", "--grace", "0", "--store", url)
    assert (dry["unreferenced_packs"], dry["dry_run"]) == (1, True)
    assert as_json("du", "--store", url) == usage
    assert "1 packs" in output("gc", "--grace", "0", "--store", url)
    assert as_json("du", "--store", url)["unreferenced_bytes"] == 0


def test_verify(url: str) -> None:
    assert "4 checkpoints, 4 packs, 4 blobs, 6.2 KiB read: 0 problems" in output(
        "verify", "--store", url
    )
    pack = max(Path(url, "packs").rglob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[40] ^= 1
    pack.write_bytes(data)
    result = invoke("verify", "--store", url)
    assert isinstance(result.exception, StoreDamagedError)
    assert result.exception.exit_code == 4
    assert "nearest intact epoch" in result.stdout
    problems = json.loads(invoke("verify", "--json", "--store", url).stdout)["problems"]
    assert [problem["kind"] for problem in problems] == ["blob"]
    assert problems[0]["remedy"] == "recsearch store repair"
    assert output("verify", "--structure", "--store", url)


def test_ls_names_a_damaged_trial(url: str) -> None:
    with Store.open(url) as store:
        ref = store.read(KEY, 3).ref
    Path(url, ref).write_bytes(b"torn")
    row = next(row for row in as_json("ls", "--store", url) if row["key"] == KEY)
    assert row["objective"] == "damaged"

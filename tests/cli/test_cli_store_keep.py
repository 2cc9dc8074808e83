"""`prune`, `pin`, `unpin`, `du`, `gc`, `verify`, `repair`: what stays, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from store_cli_tools import KEYS, as_json, error, fill, invoke, make_run, output

from recsearch.errors import StoreDamagedError, UsageError
from recsearch.store import Store


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "store")
    make_run(tmp_path / "runs" / "als-demo", "../../store")
    return "store"


def epochs() -> dict[int, list[int]]:
    with Store.open("store", create=False) as store:
        return {trial: store.epochs(key) for trial, key in KEYS.items()}


def dropped(report: dict[str, Any]) -> list[tuple[str, int]]:
    return [(row["key"][:6], row["epoch"]) for row in report["dropped"]]


def test_prune_keeps_best_and_last_of_every_trial(url: str) -> None:
    dry = as_json("prune", "--policy", "best", "--dry-run")
    assert epochs() == {1: [1, 2, 3], 2: [1, 2, 3, 4]}
    done = as_json("prune", "--policy", "best")
    assert dropped(done) == dropped(dry) == [("ab12cd", 1), ("ab12ce", 1), ("ab12ce", 3)]
    assert done["bytes"] == dry["bytes"] == 3 * 1600
    assert epochs() == {1: [2, 3], 2: [2, 4]}
    assert as_json("prune", "--policy", "best")["dropped"] == []


def test_prune_of_a_run_knows_which_trials_have_ended(url: str) -> None:
    text = output("prune", "--policy", "best, pruned:none", "--run", "als-demo")
    assert epochs() == {1: [2, 3], 2: []}  # 2 was pruned, 1 goes on
    assert "5 checkpoints dropped, with " in text
    assert text.splitlines()[-1].startswith("next  recsearch store gc")


def test_the_best_of_a_run_stays_whatever_the_policy(url: str) -> None:
    output("prune", "--policy", "none", "--run", "als-demo")
    assert epochs() == {1: [2, 3], 2: []}


def test_prune_of_one_trial(url: str) -> None:
    assert dropped(as_json("prune", "ab12ce", "--policy", "last")) == [("ab12ce", 1), ("ab12ce", 3)]
    assert epochs()[1] == [1, 2, 3]
    assert invoke("prune", "ab12ce", "--run", "als-demo", "--policy", "last").exit_code == 2
    assert "not a retention policy" in error(UsageError, "prune", "--policy", "some")


def test_prune_leaves_pins_other_runs_and_what_is_to_be_kept_whole(url: str) -> None:
    with Store.open("store") as store:
        store.adopt(KEYS[2], 1, {**store.read(KEYS[2], 1).info, "run": "r2", "owner": "r2/5"})
        store.adopt(KEYS[2], 3, {"owner": "somebody", "note": "no objective"})
    output("pin", "ab12cd:1", "--name", "paper", "--reason", "cited")
    output("prune", "--policy", "best", "--run", "als-demo")
    assert epochs() == {1: [1, 2, 3], 2: [1, 2, 3]}
    fill(Path("all"), retention="all")
    result = invoke("prune", "--policy", "best", "--store", "all")
    assert "0 checkpoints dropped" in result.stdout
    assert "3 more belong to searches that keep all epochs: --even-all" in result.stderr
    assert len(as_json("prune", "--policy", "best", "--even-all", "--store", "all")["dropped"]) == 3


def test_pins(url: str) -> None:
    text = output("pin", "als-demo", "--reason", "cited in the paper")
    assert f"{KEYS[1][:12]}:2 (best, als-demo trial 1) as {KEYS[1][:12]}-2" in text
    assert text.splitlines()[-1].startswith(f"next    recsearch store show pin:{KEYS[1][:12]}-2")
    output("pin", "ab12ce:3", "--name", "third")
    rows = as_json("ls", "--pins")
    assert [(row["pin"], row["epoch"]) for row in rows] == [(f"{KEYS[1][:12]}-2", 2), ("third", 3)]
    assert rows[0]["reason"] == "cited in the paper"
    assert "third" in output("ls", "--pins")
    first = as_json("pin", "ab12ce:3", "--name", "third")["ref"]
    assert as_json("pin", "ab12ce:3", "--name", "third")["ref"] == first
    assert "is the pin of" in error(UsageError, "pin", "ab12cd", "--name", "third")
    assert "cannot be the name" in error(UsageError, "pin", "ab12cd", "--name", "a/b")
    assert as_json("unpin", "pin:third")["stays"]
    assert "pins are: ab12cd" in error(UsageError, "unpin", "third")
    with Store.open("store") as store:
        for manifest in store.manifests(KEYS[1]):
            if manifest.info["owner"] == "r1/1":
                store.drop(manifest)
    assert epochs()[1] == [2]
    assert as_json("show", f"pin:{KEYS[1][:12]}-2")["info"]["metrics"] == {"RMSE": 0.5}
    assert "dropped" in output("unpin", f"{KEYS[1][:12]}-2")
    assert epochs()[1] == []


def test_a_pin_survives_prune_and_gc(url: str) -> None:
    output("pin", "ab12ce:3", "--name", "third")
    output("prune", "--policy", "none", "--run", "als-demo", "--even-all")
    output("prune", "--policy", "last", "--even-all")
    for _ in range(2):
        output("gc", "--grace", "0")
    assert epochs()[2] == [3]
    assert "0 problems" in output("verify", "--restore")


def test_du_by_run_and_policy(url: str) -> None:
    usage = as_json("du")
    assert usage["groups"]["run"]["r1"]["checkpoints"] == 7
    assert 0 < usage["ratio"] < 1
    assert usage["keys"][KEYS[2]]["logical_bytes"] == 4 * 13600
    text = output("du")
    assert "run  checkpoints" in text
    assert KEYS[1][:12] not in text
    assert KEYS[1][:12] in output("du", "--trials")


def test_gc_names_what_it_frees(url: str) -> None:
    output("prune", "--policy", "none", "--run", "als-demo")
    assert "waiting" in output("gc", "--grace", "60").splitlines()[-2]
    assert "next      in 1 min 00 s: recsearch store gc" in output("gc", "--grace", "60")
    dry = as_json("gc", "--grace", "0", "--dry-run")
    text = output("gc", "--grace", "0", "--dry-run")
    assert dry["swept"]
    for ulid in dry["swept"]:
        assert f"pack      {ulid} would be deleted" in text
    assert as_json("gc", "--grace", "0")["swept_bytes"] == dry["swept_bytes"] > 0


def test_verify_and_repair(url: str) -> None:
    assert "100%" not in invoke("verify").stderr
    assert (
        "looked at 10% of the data (--seed 3)"
        in invoke("verify", "--data", "10%", "--seed", "3").stderr
    )
    assert invoke("verify", "--data", "--structure").exit_code == 2
    for text in ("0%", "200%", "many"):
        assert "not a share" in error(UsageError, "verify", "--data", text)
    with Store.open("store") as store:
        (place,) = store.read(KEYS[1], 3).parts["model"].tensors["users"].places
    path = next(Path("store").rglob(f"{place.pack}.pack"))
    data = bytearray(path.read_bytes())
    data[place.offset] ^= 1
    path.write_bytes(data)
    for options in (["--data"], ["--restore"], []):
        result = invoke("verify", *options)
        assert isinstance(result.exception, StoreDamagedError)
        assert "repair --dry-run" in str(result.exception.hint)
        assert f"hits {KEYS[1][:12]}:3, nearest intact epoch: 2" in result.stdout
        assert "mend it: recsearch store repair" in result.stdout
    assert "0 problems" in output("verify", "--structure")
    dry = invoke("repair", "--dry-run").stdout
    assert f"lost         {KEYS[1][:12]}:3, nearest intact epoch: 2" in dry
    assert dry.splitlines()[-1].endswith("store repair")
    assert epochs()[1] == [1, 2, 3]
    report = json.loads(invoke("repair", "--json").stdout)
    assert report["lost"] == [[KEYS[1], 3, 2]]
    assert epochs()[1] == [1, 2]
    assert "0 problems" in output("verify", "--restore")
    assert output("repair").splitlines()[-1].startswith("0 checkpoints repaired")

"""`recsearch doctor` on machines, stores and data that are in order, and that are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recsearch import doctor
from recsearch.cli import cli
from recsearch.doctor import Finding, examine
from recsearch.state import Part
from recsearch.store import Store

KEY = "a" * 64


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with time and room."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    monkeypatch.setattr("recsearch.cost.available_bytes", lambda: 10**11)
    monkeypatch.setattr(doctor, "_measure", lambda place: (1.0, 1e9))
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 10**12}))


def found(store: Path | str) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(str(store), Path())}


def stored(path: Path) -> None:
    with Store.open(str(path)) as store:
        for epoch in (1, 2):
            state = {"model": Part({"x": np.arange(100, dtype=np.float32) + epoch})}
            store.save(KEY, epoch, state, {})


def test_a_machine_in_order(tmp_path: Path, quiet: None) -> None:
    stored(tmp_path / "store")
    findings = found(tmp_path / "store")
    assert list(findings) == [
        "recsearch", "libraries", "cores", "memory", "threads", "disk", "store", "data",
    ]  # fmt: skip
    assert {name: f.problem for name, f in findings.items() if f.problem} == {}
    assert "2 checkpoints of 1 trials" in findings["store"].text
    assert "lenskit" in findings["libraries"].text


def test_what_is_wrong_is_named_with_what_to_do(
    tmp_path: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path / "store")
    (pack, *_) = (tmp_path / "store" / "packs").rglob("*.*")
    pack.unlink()
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0.1, 0.1))
    monkeypatch.setattr("recsearch.cost.available_bytes", lambda: 10**9)
    monkeypatch.setattr(doctor, "_measure", lambda place: (80.0, 1e9))
    monkeypatch.setattr(doctor, "LIBRARIES", ("ray", "no-such-library"))
    problems = {name: f.problem or "" for name, f in found(tmp_path / "store").items()}
    assert "no-such-library: not installed" in problems["libraries"]
    assert "99.0 processes" in problems["cores"]
    assert "--dry-run" in problems["memory"]
    assert "--store" in problems["disk"]
    assert "recsearch store verify" in problems["store"]


def test_what_cannot_be_looked_at_is_a_finding(tmp_path: Path, quiet: None) -> None:
    (tmp_path / "file").write_text("no store")
    findings = found(tmp_path / "file")
    assert findings["store"].problem is not None
    assert "data" in findings, "the others are looked at"


def test_a_store_that_is_not_there_yet_and_a_disk_that_is_measured(tmp_path: Path) -> None:
    findings = found(tmp_path / "deep" / "store")
    assert findings["store"] == Finding(
        "store", f"{tmp_path}/deep/store: none yet; the first search makes it"
    )
    assert f"free at {tmp_path};" in findings["disk"].text
    assert list(tmp_path.iterdir()) == [], "nothing stays"


def test_the_command(tmp_path: Path, quiet: None) -> None:
    done = CliRunner().invoke(
        cli, ["doctor", "--store", str(tmp_path / "s")], standalone_mode=False
    )
    assert done.return_value == 0
    assert done.output.splitlines()[-1] == "result     all is well"
    done = CliRunner().invoke(cli, ["doctor", "--store", str(tmp_path / "s"), "--json"])
    assert [row["name"] for row in json.loads(done.output)][-1] == "data"

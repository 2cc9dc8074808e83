"""`recsearch status` of a run: formats, and following one that is at work."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "analysis"))

from fabricate import Fabricated

from recsearch.cli import cli
from recsearch.cli.follow import follow
from recsearch.errors import UsageError


def at_work() -> Fabricated:
    run = Fabricated()
    run.opened()
    run.trial(1, {"x": 0.5}, [0.9, 0.8])
    run.trial(2, {"x": 0.7}, [0.95], state="pruned")
    return run


def test_following_tells_each_trial_once_until_the_search_closes(tmp_path: Path) -> None:
    run = at_work()
    root, looks = run.write(tmp_path), []

    def wait() -> None:
        looks.append(1)
        if len(looks) == 2:
            run.trial(3, {"x": 0.1}, [0.7])
        if len(looks) == 3:
            run.closed()
        shutil.rmtree(root)
        run.write(tmp_path)

    lines = list(follow(root, wait))
    assert len(looks) == 3
    told = [line.partition("trial ")[2].split()[:2] for line in lines]
    assert told == [["1", "done"], ["2", "pruned"], ["3", "done"]]
    assert "RMSE 0.80000 at epoch 2" in lines[0]
    assert lines[2].endswith("(best so far)") and not lines[1].endswith("(best so far)")


def test_following_a_finished_search_ends_at_once(tmp_path: Path) -> None:
    run = at_work()
    run.closed()

    def never() -> None:
        raise AssertionError("it waited")

    assert len(list(follow(run.write(tmp_path), never))) == 2


def test_formats(tmp_path: Path) -> None:
    run = at_work()
    run.closed()
    root = str(run.write(tmp_path))
    lines = CliRunner().invoke(cli, ["status", root, "--md"]).output.splitlines()
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert head[:2] == ["trial", "state"] and "x" in head
    assert len(lines) == 4
    words = ["status", root, "--md", "--where", "state == pruned"]
    assert len(CliRunner().invoke(cli, words).output.splitlines()) == 3
    rows = json.loads(CliRunner().invoke(cli, ["status", root, "--json"]).output)["trials"]
    assert [row["trial"] for row in rows] == [1, 2]
    with pytest.raises(UsageError, match="one format at a time"):
        CliRunner().invoke(cli, ["status", root, "--md", "--csv"], catch_exceptions=False)
    with pytest.raises(UsageError, match="--follow is about trials"):
        CliRunner().invoke(cli, ["status", "--follow"], catch_exceptions=False)

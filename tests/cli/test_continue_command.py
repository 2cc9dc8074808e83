"""``recsearch continue`` in this process, with nothing to train: what it refuses and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from search_tools import search_without_ray

from recsearch.cli import cli
from recsearch.errors import IdentityError, UsageError
from recsearch.journal import Journal
from recsearch.ledger import Ledger
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return search_without_ray(tmp_path).path


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments], standalone_mode=False)


def more(root: Path, *arguments: str) -> Result:
    return command("continue", str(root), *arguments, "--no-report", "--quiet")


def fail(root: Path, number: int, target: int | None = None) -> None:
    """The journal of a trial that ended in an error, in the search or when continued."""
    view = RunView.open(root)
    with Journal(RunPaths(root).journal) as journal:
        ledger = Ledger(journal, view.record, lag=1)
        if target is not None:
            ledger.continued(number, target)
        ledger.started(number)
        ledger.failed(number, "ValueError", "planted")


def test_which_trials_must_be_said(root: Path) -> None:
    found = more(root, "--epochs", "5").exception
    assert isinstance(found, UsageError)
    assert "--top 5" in str(found.hint)


def test_a_model_of_a_single_epoch_has_no_more(tmp_path: Path) -> None:
    root = search_without_ray(tmp_path, search="bias").path
    before = (root / "journal.ndjson").read_bytes()
    found = more(root, "--top", "1", "--epochs", "5").exception
    assert isinstance(found, UsageError)
    assert "single epoch" in found.message
    assert (root / "journal.ndjson").read_bytes() == before


def test_other_data_are_refused(root: Path) -> None:
    path = root / "run.json"
    identity = json.loads(path.read_text())
    identity["dataset"]["dataset_id"] = "0" * 64
    path.write_text(json.dumps(identity))
    found = more(root, "--top", "1", "--epochs", "5").exception
    assert isinstance(found, IdentityError)
    assert "dataset_id" in found.message
    assert "checkpoints are of no other ones" in str(found.hint)


def test_the_quota_is_the_latest_one_unless_another_is_given(root: Path) -> None:
    def quotas() -> list[str | None]:
        return [session.get("quota") for session in RunView.open(root).record.sessions]

    assert more(root, "--top", "1", "--epochs", "1").return_value == 0
    assert quotas() == [None, "none"], "as the search has it"
    assert more(root, "--top", "1", "--epochs", "1", "--quota", "5 GB").return_value == 0
    assert more(root, "--top", "1", "--epochs", "1").return_value == 0
    assert quotas()[2:] == ["5 GB", "5 GB"]


def test_the_exit_code_is_about_the_trials_that_were_asked_for(root: Path) -> None:
    fail(root, 3)
    assert more(root, "--top", "1", "--epochs", "1").return_value == 0
    fail(root, 2, target=9)
    done = more(root, "--trial", "2", "--epochs", "9")
    assert done.return_value == 5
    assert "status" in done.stdout.splitlines()[-1]


def test_failures_name_the_commands_that_run_them_again(root: Path) -> None:
    fail(root, 1, target=7)
    fail(root, 2, target=9)
    fail(root, 3)
    lines = command("status", str(root), "--failed").stdout.splitlines()
    again = [line.partition(": ")[2] for line in lines if line.startswith("run them again")]
    assert again[0] == "recsearch search --retry-errors"
    assert [line.partition(" continue ")[2] for line in again[1:]] == [
        f"{root} --trial 1 --epochs 7 --retry-errors",
        f"{root} --trial 2 --epochs 9 --retry-errors",
    ]


def test_a_space_where_cost_plays_no_part_keeps_its_identity(tmp_path: Path) -> None:
    plain = search_without_ray(tmp_path, search="bias").identity
    assert "cheapest_of" not in plain["search"]["search"]
    (tmp_path / "als").mkdir()
    costly = search_without_ray(tmp_path / "als").identity
    assert costly["search"]["search"]["cheapest_of"] == 2

"""`recsearch status` of a run: formats, and following one that is at work."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).parent.parent / "analysis"))

from fabricate import Fabricated

from recsearch.cli import cli, main
from recsearch.cli.follow import follow
from recsearch.cli.runs import RUN_COLUMNS
from recsearch.errors import UsageError


def at_work() -> Fabricated:
    run = Fabricated()
    run.opened()
    run.trial(1, {"x": 0.5}, [0.9, 0.8])
    run.trial(2, {"x": 0.7}, [0.95], state="pruned")
    return run


def rewrite(run: Fabricated, root: Path) -> None:
    """The journal as it is now: a longer one."""
    lines = "".join(json.dumps(event) + "\n" for event in run.events)
    (root / "journal.ndjson").write_text(lines)


def test_following_tells_each_trial_once_until_the_search_closes(tmp_path: Path) -> None:
    run = at_work()
    root, looks = run.write(tmp_path), []

    def wait() -> None:
        looks.append(1)
        if len(looks) == 2:
            run.trial(3, {"x": 0.1}, [0.7])
        if len(looks) == 3:
            run.closed()
        rewrite(run, root)

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


def test_following_tells_of_every_end_of_a_trial(tmp_path: Path) -> None:
    run = at_work()
    root, looks = run.write(tmp_path), []

    def wait() -> None:
        looks.append(1)
        if len(looks) == 1:
            run.tick()
            run.event("continued", trial=1, epochs=3)
            run.event("started", trial=1)
            run.event("epoch", trial=1, epoch=3, metrics={"RMSE": 0.7})
            run.event("done", trial=1, epoch=3, reason="max_epochs")
        else:
            run.closed()
        rewrite(run, root)

    told = [line.split("trial ")[1] for line in follow(root, wait)]
    assert [line[:6] for line in told] == ["1 done", "2 prun", "1 done"]
    assert told[2].startswith("1 done after 3 epochs (max_epochs): RMSE 0.70000 at epoch 3")


def hostile() -> Fabricated:
    run = at_work()
    text = "no\x1b]0;pwned\x07 such\nthing"
    run.trial(3, {"x": "a\x1bb"}, [], state="error", reason="ValueError", message=text)
    run.event("note", text=text)
    run.closed(5)
    return run


@pytest.mark.parametrize(
    "options", [["--failed"], ["--follow"], [], ["--md"], ["--follow", "--json"]]
)
def test_what_a_model_raised_is_no_command_to_the_terminal(
    tmp_path: Path, options: list[str]
) -> None:
    output = invoke("status", str(hostile().write(tmp_path)), *options).output
    assert "\x1b" not in output and "\x07" not in output
    assert not any(line.startswith("thing") for line in output.splitlines())
    if options == ["--follow"]:
        assert len(output.splitlines()) == 3
    if options == ["--follow", "--json"]:
        rows = [json.loads(line) for line in output.splitlines()]
        assert rows[2]["message"] == "no\x1b]0;pwned\x07 such\nthing", "data are as they are"


def test_an_error_of_a_command_is_no_command_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "runs/no\x1b]0;pwned\x07such", "--csv"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and "such" in told
    assert "\x1b" not in told and "\x07" not in told


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "trials"),
    [
        (["--failed"], [3]),
        (["--where", "RMSE < 0.9"], [1]),
        (["--where", "x > 0.6"], [2]),
        (["--where", "embedding_size > 0"], []),
        (["--failed", "--where", "state == done"], []),
    ],
)
def test_following_some_trials(tmp_path: Path, options: list[str], trials: list[int]) -> None:
    root = str(hostile().write(tmp_path))
    lines = invoke("status", root, "--follow", "--json", *options).output.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["trial"] for row in rows] == trials
    told = invoke("status", root, "--follow", *options).output.splitlines()
    assert len(told) == len(trials)
    at_once = json.loads(invoke("status", root, "--json", *options).output)["trials"]
    assert at_once == rows


def test_a_condition_on_what_is_not_there_yet_is_read_when_following_begins(
    tmp_path: Path,
) -> None:
    run = Fabricated()
    run.opened()
    root = run.write(tmp_path)
    identity = {**run.identity(), "metrics": ["RMSE", "NDCG@10"]}
    (root / "run.json").write_text(json.dumps(identity))

    def wait() -> None:
        run.trial(1, {"embedding_size": 50}, [0.9], extra={"NDCG@10": 0.2})
        run.trial(2, {"embedding_size": 5}, [0.9], extra={"NDCG@10": 0.2})
        run.closed()
        rewrite(run, root)

    (line,) = follow(root, wait, where="embedding_size > 10 and NDCG@10 > 0.1")
    assert "trial 1 done" in line
    with pytest.raises(UsageError, match="compares no column"):
        next(follow(root, wait, where="embeding_size > 10"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{root}", "--follow", "--csv"], "no --csv and no --md"),
        (["{root}", "--follow", "--md"], "no --csv and no --md"),
        (["{root}", "--json", "--csv"], "one format at a time"),
        (["--failed"], "--failed is about trials"),
        (["--where", "RMSE < 1"], "--where is about trials"),
        (["--follow", "--json"], "--follow is about trials"),
    ],
)
def test_what_an_option_cannot_do_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    root = str(at_work().write(tmp_path))
    with pytest.raises(UsageError, match=told):
        invoke("status", *(word.format(root=root) for word in words))


def test_all_runs_in_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("status", "--csv").output == ",".join(RUN_COLUMNS) + "\n"
    at_work().write(tmp_path / "runs")
    (row,) = json.loads(invoke("status", "--json").output)
    assert (row["run"], row["best"], row["trial"], row["pruned"]) == ("als-ml1m", 0.8, 1, 1)
    (found,) = csv.DictReader(invoke("status", "--csv").output.splitlines())
    assert found == {key: str(value) for key, value in row.items()}
    head, _, line = invoke("status", "--md").output.splitlines()
    cells = dict(
        zip(*([c.strip() for c in t.strip("|").split("|")] for t in (head, line)), strict=True)
    )
    assert (cells["run"], cells["best"], cells["epochs"]) == ("als-ml1m", "0.8", "3")
    assert tuple(cells) == RUN_COLUMNS

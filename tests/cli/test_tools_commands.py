"""`recsearch track` and `recsearch export`, and what the others say of tools and priors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "tracking"))

from tracking_tools import Tracked, check_tensorboard, three_trials

from recsearch.campaign_file import read_plan
from recsearch.cli import cli, main
from recsearch.cli.search import again
from recsearch.errors import RecsearchError, UsageError
from recsearch.settings import Settings
from recsearch.studies import read_study
from recsearch.tracking.targets import Target, whereabouts


def run(*words: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(cli, [*words], catch_exceptions=False, standalone_mode=False)
    return done.output


def test_track_logs_a_run_and_says_where(tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    for _ in range(2):
        output = run("track", str(root), "--to", "tensorboard")
        assert output.splitlines()[0].split() == ["tensorboard", "3", "trials", "of", str(root)]
        assert f"tensorboard --logdir {root}/tensorboard" in output
    check_tensorboard(root)


def test_track_says_what_a_tool_raised_and_how_to_go_on(tmp_path: Path) -> None:
    root = three_trials(tmp_path)
    (root / "tensorboard").write_text("no folder")
    with pytest.raises(RecsearchError, match=r"tensorboard: .*Error") as caught:
        run("track", str(root), "--to", "tensorboard")
    assert "the same command logs the rest" in str(caught.value)
    with pytest.raises(UsageError, match="no run here"):
        run("track", str(tmp_path / "none"), "--to", "tensorboard")


@pytest.mark.parametrize("command", [["search", "als", "demo"], ["search", "als", "bias", "--data",
                                     "demo"], ["search", "als", "demo", "--dry-run"]])  # fmt: skip
def test_a_tracker_that_does_not_exist_is_refused_before_anything_is_done(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*command, "--track", "tensorbord"], standalone_mode=False)
    text = f"{done.output}{done.exception}"
    assert "did you mean tensorboard?" in text
    assert not list(tmp_path.glob("runs/*/journal.ndjson"))


def test_passwords_of_a_command_are_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["search", "als", "demo", "--trials", "1", "--store", "s3://key:hunter2@bucket"]
    monkeypatch.setattr(sys, "argv", ["recsearch", *words, "--fresh"])
    assert again() == "recsearch search als demo --trials 1 --store s3://bucket"
    for prior in ("nosuch://u:hunter2@h/db", "postgresql+nosuch://u:hunter2@h/db"):
        with pytest.raises(SystemExit):
            main(["search", "als", "demo", "--dry-run", "--prior", prior])
        told = capsys.readouterr()
        assert "u@h/db" in told.err
        assert "hunter2" not in told.out + told.err


def test_export_writes_a_study(tmp_path: Path) -> None:
    path, made = tmp_path / "journal.log", Tracked()
    made.trial(1, {"embedding_size": 8}, [0.9, 0.8])
    made.trial(2, {"embedding_size": 9}, [0.9], state="error")
    output = run("export", str(made.write(tmp_path)), "--optuna", str(path))
    assert "study als-ml1m, 2 trials" in output
    assert output.splitlines()[-1] == f"next       optuna-dashboard {path}"
    assert [trial.value for trial in read_study(str(path)).trials] == [0.8]
    with pytest.raises(RecsearchError, match="the file is there"):
        run("export", str(tmp_path / "als-ml1m"), "--optuna", str(path))
    with pytest.raises(UsageError, match="expected --optuna FILE"):
        run("export", str(tmp_path / "als-ml1m"))


def test_a_plan_names_tools_and_priors(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'searches = ["als", "bias"]\ndata = ["demo"]\ntrack = ["tensorboard"]\n'
        '[[run]]\nsearch = "als"\ndata = "demo"\nprior = "runs/other"\n'
    )
    als, bias = read_plan(plan, Settings())
    assert als.settings.prior == "runs/other"
    assert als.root == Path("runs/als-demo-prior")
    assert als.settings.track == bias.settings.track == ["tensorboard"]
    assert bias.settings.prior is None


def test_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    root = Path("runs/a b")
    assert whereabouts(Target("tensorboard"), root) == "tensorboard --logdir 'runs/a b/tensorboard'"
    assert whereabouts(Target("wandb"), root) == "https://wandb.ai"
    offline = whereabouts(Target("wandb", "offline"), root)
    assert offline == "wandb sync 'runs/a b/wandb'/offline-run-*"
    assert whereabouts(Target("mlflow", "http://h:5000"), root) == "http://h:5000"
    assert whereabouts(Target("mlflow", "file:/x"), root) == "mlflow ui --backend-store-uri file:/x"

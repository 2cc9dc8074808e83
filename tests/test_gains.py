"""The best against default and baseline, user by user; what is kept of that and of verifying."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from search_tools import search_without_ray

from recsearch import gains
from recsearch.baselines import bias_scores, compute_baselines
from recsearch.cli.compare import compare as compare_command
from recsearch.cli.verify import verify as verify_command
from recsearch.errors import CheckpointNotFoundError, StoreError
from recsearch.evaluation import per_user
from recsearch.findings import (
    any_verification,
    keep_verification,
    read_gains,
    read_verification,
)
from recsearch.gains import measure_gains, note_gains, write_gains
from recsearch.journal import Journal
from recsearch.loading import open_checkpoint, split_of
from recsearch.run import RunView
from recsearch.run_paths import RunPaths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    view = search_without_ray(tmp_path_factory.mktemp("gains"))
    baselines = compute_baselines(split_of(view.identity), view.identity["metrics"])
    with Journal(RunPaths(view.path).journal) as journal:
        for name, baseline in baselines.items():
            journal.append("baseline", name=name, **baseline)
    return RunView.open(view.path)


def test_a_gain_is_the_mean_difference_of_the_users_values(made: RunView) -> None:
    document = measure_gains(made.path)
    trial, row = made.best()
    assert document["best"] == {"trial": trial.number, "epoch": row.epoch, "key": trial.key}
    split = split_of(made.identity)
    loaded = open_checkpoint(made.path)
    mine = per_user(loaded.model.scores, split, ["RMSE"])["RMSE"]
    damping = made.baselines["bias"]["config"]["damping"]
    bias = per_user(bias_scores(split, damping["user"], damping["item"]), split, ["RMSE"])["RMSE"]
    found = {gain["over"]: gain for gain in document["gains"]}
    assert found["bias"]["gain"] == pytest.approx(np.mean(bias - mine), abs=1e-9)
    assert found["bias"]["value"] == pytest.approx(made.baselines["bias"]["metrics"]["RMSE"])
    for gain in found.values():
        assert gain["low"] <= gain["gain"] <= gain["high"]
        assert gain["better"] == (gain["gain"] > 0)
        assert gain["users"] == len(split.eval_users)


def test_the_gain_over_the_default_is_that_of_the_recorded_values(made: RunView) -> None:
    default = next(trial for trial in made.trials if trial.origin == "default")
    found = {gain["over"]: gain for gain in measure_gains(made.path)["gains"]}
    if made.best()[0].number == default.number:
        assert "default" not in found
    else:
        recorded = made.trial_best(default).value("RMSE") - made.best()[1].value("RMSE")
        assert found["default"]["gain"] == pytest.approx(recorded, abs=1e-6)


def test_what_is_kept_is_what_was_measured_and_the_same_every_time(made: RunView) -> None:
    assert read_gains(made.path) is None
    document = write_gains(made.path)
    kept = read_gains(made.path)
    assert {**document, "format": kept["format"]} == kept
    assert write_gains(made.path) == document


def test_a_checkpoint_that_is_gone_is_named_and_the_rest_is_measured(
    made: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gains.open_checkpoint

    def without_default(root, *, trial=None, store=None):
        if trial is not None:
            raise CheckpointNotFoundError("epoch 3 is not in the store", hint="retrain")
        return real(root, store=store)

    monkeypatch.setattr(gains, "open_checkpoint", without_default)
    monkeypatch.setattr(gains, "_of_default", lambda view: (view.trials[-1], None))
    document = measure_gains(made.path)
    assert document["missing"] == [{"over": "default", "reason": "epoch 3 is not in the store"}]
    assert [gain["over"] for gain in document["gains"]] == ["bias"]


def test_a_search_is_not_failed_by_what_cannot_be_measured(
    made: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_):
        raise StoreError("the bucket is gone")

    monkeypatch.setattr(gains, "write_gains", broken)
    split = split_of(made.identity)
    write_gains(made.path)
    assert note_gains(made.path, made.store_url, split) is None, "of this best they are known"
    RunPaths(made.path).gains.unlink()
    problem = note_gains(made.path, made.store_url, split)
    assert problem == "the best was not compared with the default by user: the bucket is gone"
    monkeypatch.setattr(gains, "MOST_SECONDS", -1.0)
    assert note_gains(made.path, made.store_url, split) is None


def test_damaged_findings_are_none(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    for text in ("", "[]", "{}", '{"format": 99}', "\x00"):
        paths.gains.write_text(text)
        paths.verification.write_text(text)
        assert read_gains(tmp_path) is None
        assert read_verification(tmp_path, "k", 1) is None


def test_verifications_of_other_configurations_stay(tmp_path: Path) -> None:
    assert not any_verification(tmp_path)
    keep_verification(tmp_path, "a", 3, {"passed": True})
    keep_verification(tmp_path, "b", 1, {"passed": False, "message": "x"})
    keep_verification(tmp_path, "a", 3, {"passed": False, "message": "y"})
    assert any_verification(tmp_path)
    assert read_verification(tmp_path, "a", 3) == {"passed": False, "message": "y"}
    assert read_verification(tmp_path, "b", 1) == {"passed": False, "message": "x"}
    assert read_verification(tmp_path, "a", 2) is None


def test_verify_keeps_what_it_found_in_the_run_and_nowhere_else(
    made: RunView, tmp_path: Path
) -> None:
    trial, row = made.best()
    config = made.path / "best-config.json"
    result = CliRunner().invoke(verify_command, [str(made.path), "--store", made.store_url])
    assert result.exit_code == 0
    entry = read_verification(made.path, trial.key, row.epoch)
    assert entry["passed"]
    assert (entry["difference"], entry["bit_equal"]) == (0.0, True)

    document = json.loads(config.read_text())
    document["metrics"]["RMSE"] += 1
    config.write_text(json.dumps(document))
    result = CliRunner().invoke(verify_command, [str(config), "--store", made.store_url])
    assert result.exit_code != 0
    entry = read_verification(made.path, trial.key, row.epoch)
    assert not entry["passed"]
    assert "RMSE: recorded" in entry["message"]

    copy = tmp_path / "best-config.json"
    copy.write_text(config.read_text())
    CliRunner().invoke(verify_command, [str(copy), "--store", made.store_url])
    assert [path.name for path in tmp_path.iterdir()] == ["best-config.json"]


def test_compare_with_one_run_tells_whether_its_gain_is_real(made: RunView) -> None:
    RunPaths(made.path).gains.unlink(missing_ok=True)
    shown = CliRunner().invoke(compare_command, [str(made.path)])
    assert shown.exit_code == 0
    document = read_gains(made.path)
    bias = next(gain for gain in document["gains"] if gain["over"] == "bias")
    assert f"{bias['gain']:+.5f}" in shown.stdout
    assert "95 % interval" in shown.stdout
    printed = CliRunner().invoke(compare_command, [str(made.path), "--json"])
    assert json.loads(printed.stdout)["gains"] == document["gains"]
    refused = CliRunner().invoke(compare_command, [str(made.path), "--test"])
    assert "name two at least" in str(refused.exception)

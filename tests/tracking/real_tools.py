"""What real tools were told, read back from their files."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tracking_tools import check_tensorboard, journalled, once

from recsearch.run import RunView
from recsearch.tracking.mlflow import name_of
from recsearch.tracking.wandb import run_key
from recsearch.tracking.wandb_files import records


def wandb_rows(root: Path, trial: int) -> list[dict[str, Any]]:
    """History rows of the W&B run of a trial, in the order in which ``wandb sync`` sends them."""
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2", reason="wandb is not installed")
    key = run_key(RunView.open(root).identity["run_id"], trial)
    rows = []
    for path in sorted((root / "wandb").glob(f"offline-run-*/run-{key}.wandb")):
        for content in records(path):
            record = pb.Record.FromString(content)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({i.key or ".".join(i.nested_key): json.loads(i.value_json)
                             for i in items})  # fmt: skip
    return rows


def wandb_summary(root: Path, trial: int) -> dict[str, Any]:
    """The summary that W&B would show, of the last file."""
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2", reason="wandb is not installed")
    key = run_key(RunView.open(root).identity["run_id"], trial)
    found: dict[str, Any] = {}
    for path in sorted((root / "wandb").glob(f"offline-run-*/run-{key}.wandb")):
        for content in records(path):
            record = pb.Record.FromString(content)
            if record.WhichOneof("record_type") == "summary":
                for item in record.summary.update:
                    name = item.key or ".".join(item.nested_key)
                    found[name] = json.loads(item.value_json)
    return found


def check_wandb(root: Path) -> None:
    wanted = journalled(root)
    run = RunView.open(root)
    for trial in run.trials:
        rows = wandb_rows(root, trial.number)
        steps = [row["_step"] for row in rows]
        assert steps == [row.epoch for row in trial.epochs], trial.number
        for row in rows:
            values = {name: value for name, value in row.items() if not name.startswith("_")}
            mine = {
                n: v for (t, n, e), v in wanted.items() if (t, e) == (trial.number, row["_step"])
            }
            assert values == pytest.approx(mine, abs=0, rel=0)
        best = run.trial_best(trial)
        assert best is not None
        summary = wandb_summary(root, trial.number)
        assert summary["RMSE"] == best.value("RMSE")
        assert summary["best_epoch"] == best.epoch
        assert summary["state"] == trial.state


def check_mlflow(root: Path) -> None:
    """Straight from the tables, without MLflow."""
    with closing(sqlite3.connect(root / "mlflow.db")) as base:
        rows = base.execute(
            "select tags.value, metrics.key, metrics.step, metrics.value from metrics "
            "join tags on tags.run_uuid = metrics.run_uuid and tags.key = 'recsearch.trial'"
        ).fetchall()
        runs = base.execute("select count(*) from runs").fetchone()[0]
    assert runs == len(RunView.open(root).trials)
    once((trial, key, step) for trial, key, step, _ in rows)
    got = {(int(t), k, s): v for t, k, s, v in rows if not k.startswith("best/")}
    assert got == {(t, name_of(n), e): v for (t, n, e), v in journalled(root).items()}


def check_all(root: Path) -> None:
    check_tensorboard(root)
    check_wandb(root)
    check_mlflow(root)

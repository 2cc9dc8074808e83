"""A store and a run folder beside it, and how the tests call ``recsearch store``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from recsearch.cli.store import store as command
from recsearch.errors import RecsearchError
from recsearch.files import write_atomic
from recsearch.journal import Journal
from recsearch.run_paths import RunPaths
from recsearch.state import Part
from recsearch.store import Store

KEYS = {1: "ab12cd" + "0" * 58, 2: "ab12ce" + "0" * 58}
RMSE = {1: [1.0, 0.5, 0.7], 2: [0.9, 0.8, 0.85, 0.95]}
"""Objective by trial; the second one is pruned, the first one goes on."""


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def output(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def as_json(*arguments: str) -> Any:
    return json.loads(output(*arguments, "--json"))


def error(expected: type[RecsearchError], *arguments: str) -> str:
    result = invoke(*arguments)
    assert type(result.exception) is expected, result.exception
    return result.exception.message


def state(trial: int, epoch: int) -> dict[str, Part]:
    """Of 500 items, 2 change from epoch to epoch; users are others in every one."""
    items = np.random.default_rng(trial).normal(size=(500, 4)).astype(np.float32)
    for earlier in range(2, epoch + 1):
        items[[earlier, 2 * earlier]] += 1
    users = np.random.default_rng([trial, epoch]).normal(size=(50, 4))
    return {
        "model": Part({"items": items, "users": users}, {"epochs": epoch}),
        "vocabulary": Part({"item_ids": np.arange(500)}, constant=True),
    }


def fill(url: Path, trials: Sequence[int] = (1, 2), **info: Any) -> None:
    with Store.open(url) as store:
        for trial in trials:
            with store.track() as track:
                for epoch, value in enumerate(RMSE[trial], start=1):
                    about = {
                        "search": "als",
                        "run": "r1",
                        "trial": trial,
                        "owner": f"r1/{trial}",
                        "objective": "RMSE",
                        "metrics": {"RMSE": value},
                        **info,
                    }
                    store.save(KEYS[trial], epoch, state(trial, epoch), about, track=track)


def make_run(folder: Path, store: str) -> Path:
    """A run folder whose store is given relative to it."""
    paths = RunPaths(folder)
    folder.mkdir(parents=True)
    identity = {"format": 1, "run_id": "r1", "name": "als-demo", "store": store}
    search = {"model": {"class": "als"}, "search": {"metric": "RMSE", "trials": 2}, "space": {}}
    write_atomic(paths.identity, {**identity, "search": search})
    with Journal(paths.journal) as journal:
        for trial, key in KEYS.items():
            about = {"params": {}, "config": {}, "key": key, "origin": "random"}
            journal.append("suggested", trial=trial, **about)
            journal.append("started", trial=trial)
            for epoch, value in enumerate(RMSE[trial], start=1):
                journal.append("epoch", trial=trial, epoch=epoch, metrics={"RMSE": value})
        journal.append("pruned", trial=2, epoch=4, rule="asha")
    return folder

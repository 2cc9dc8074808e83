"""Epochs kept for good without what the model computes again: smaller, and still bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsearch.data import Split, load_dataset, load_split
from recsearch.errors import CheckpointNotFoundError
from recsearch.models import Family, resolve
from recsearch.plan import TrialPlan, trial_key
from recsearch.stopping import NoStop
from recsearch.store import Store
from recsearch.trial import run_trial

EPOCHS = 6
USERS = ("users", "user_embeddings")


@pytest.fixture(scope="module")
def split() -> Split:
    return load_split(load_dataset("demo"))


def plan_of(family: Family, split: Split, recompute: bool, **config: Any) -> TrialPlan:
    complete = family.complete({"embedding_size": 8, **config})
    metrics = (family.default_metric,)
    return TrialPlan(
        number=1,
        config=complete,
        key=trial_key(family, complete, split, 7, metrics),
        seed=7,
        max_epochs=EPOCHS,
        stop=NoStop(),
        objective=family.default_metric,
        metrics=metrics,
        retention="all",
        recompute=recompute,
        run_id="run",
    )


@pytest.mark.parametrize("name", ["als", "als-implicit"])
@pytest.mark.parametrize("users", ["prefer", True])
def test_every_epoch_restores_bit_for_bit(
    tmp_path: Path, split: Split, name: str, users: object
) -> None:
    family = resolve(name)
    stores = {}
    for recompute in (False, True):
        store = stores[recompute] = Store.open(tmp_path / str(recompute))
        plan = plan_of(family, split, recompute, user_embeddings=users)
        results = list(run_trial(plan, family, split, store))
        store.close()
        store.collect(grace_s=0)
    values = [result.metrics[plan.objective] for result in results]
    sign = 1 if plan.objective == "RMSE" else -1
    best = min(range(EPOCHS), key=lambda i: (sign * values[i], i)) + 1
    made = family.remade(plan.config)
    assert made is not None
    thin, whole = stores[True], stores[False]
    expected = set(range(1 + made.epochs_back, EPOCHS)) - {best}
    assert {
        epoch
        for epoch in thin.epochs(plan.key)
        if thin.read(plan.key, epoch).parts[USERS[0]].tensors[USERS[1]].made_from
    } == expected

    def remake(part: str, array: str, source: np.ndarray) -> np.ndarray:
        assert (part, array) == USERS
        return family.remake(plan.config, split, source)

    for epoch in range(1, EPOCHS + 1):
        found = thin.restore(plan.key, epoch, remake=remake)
        stored = whole.restore(plan.key, epoch)
        for part, content in stored.items():
            for array, values_ in content.tensors.items():
                assert found[part].tensors[array].tobytes() == values_.tobytes()
    with pytest.raises(CheckpointNotFoundError, match="recsearch load"):
        thin.restore(plan.key, min(expected))
    assert thin.du().stored_bytes < whole.du().stored_bytes
    assert thin.verify("restore").problems == ()


def test_a_thinned_trial_is_taken_over_and_continued(tmp_path: Path, split: Split) -> None:
    family = resolve("als")
    with Store.open(tmp_path) as store:
        plan = plan_of(family, split, True)
        first = list(run_trial(plan, family, split, store))
        again = list(run_trial(replace(plan, max_epochs=EPOCHS + 2), family, split, store))
        straight = plan_of(family, split, False)
        with Store.open(tmp_path / "straight") as other:
            longer = list(run_trial(replace(straight, max_epochs=EPOCHS + 2), family, split, other))
    assert [r.replayed for r in again] == [True] * EPOCHS + [False] * 2
    assert [r.metrics for r in again] == [r.metrics for r in longer]
    assert [r.metrics for r in first] == [r.metrics for r in longer[:EPOCHS]]

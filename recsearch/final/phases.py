"""The phases of one model: fit, predict, eval. Each finds what is there and does the rest.

A phase runs in a process of its own and may be killed anywhere: training goes on from the last
checkpoint, and files appear whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from recsearch.data import Split
from recsearch.errors import StoreDamagedError
from recsearch.files import write_atomic
from recsearch.final.plan import Unit
from recsearch.identity import canonical_json, derive_seed
from recsearch.loading import split_of
from recsearch.measuring import measure, measure_users, scoring
from recsearch.models import Family, Model, resolve
from recsearch.prediction import LIST_LENGTH, lists_table, predictions_table, write_parquet
from recsearch.store import BestAndLast, Manifest, Store
from recsearch.store.retention import Record

PHASES = ("fit", "predict", "eval")
"""In order. The first trains on the training ratings of a part; the others read its test data."""

LAST = BestAndLast("min", best=0, last=1)


def done(unit: Unit) -> bool:
    """Whether all phases of a model have ended."""
    return unit.result.exists()


def next_phase(unit: Unit) -> str:
    """The phase that a model is in, judged by its files; `fit` looks into the store itself."""
    return "eval" if unit.lists.exists() else "fit"


def run_phase(unit: Unit, phase: str) -> float:
    """Run one phase; seconds that it took.

    Raises:
        StoreError: a checkpoint cannot be written or read.
        RecsearchError: a file cannot be written.
    """
    began = time.perf_counter()
    _RUN[phase](unit)
    return time.perf_counter() - began


def fit(unit: Unit) -> None:
    """Train to the last epoch, each epoch a checkpoint; what the store has is not trained again."""
    family, split = _family(unit), _split(unit)
    with Store.open(unit.store_url) as store:
        model, base = _begin(unit, family, split, store)
        trained = 0 if base is None else base.epoch
        with store.track(after=base) as track:
            for epoch in range(trained + 1, unit.candidate.epochs + 1):
                model.train_epoch()
                track.stage(model.state()).commit(unit.key, epoch, _info(unit, epoch))
                seen = [Record(number, None) for number in range(1, epoch + 1)]
                store.retain(unit.key, LAST, seen, owner=unit.owner)


def predict(unit: Unit) -> None:
    """Write the lists of the part's users, and for models of ratings what they predict."""
    model, family, split = _trained(unit)
    asked = scoring(model, family, split)
    unit.folder.mkdir(parents=True, exist_ok=True)
    if family.predicts_ratings:
        write_parquet(unit.predictions, predictions_table(asked, split))
    write_parquet(unit.lists, lists_table(asked.scores, split, split.eval_users, LIST_LENGTH))


def evaluate(unit: Unit) -> None:
    """Write the metrics of every user, then their means."""
    import pyarrow as pa

    model, family, split = _trained(unit)
    users = measure_users(model, family, split, unit.metrics)
    means = measure(model, family, split, unit.metrics)
    ids = split.user_ids[split.eval_users]
    write_parquet(unit.users, pa.table({"user_id": ids, **users}))
    result = {
        "config": unit.candidate.name,
        "part": unit.part,
        "seed": unit.seed,
        "epochs": unit.candidate.epochs,
        "key": unit.key,
        "split_id": split.split_id,
        "users": len(split.eval_users),
        "metrics": {name: _or_none(value) for name, value in means.items()},
    }
    write_atomic(unit.result, result)


def read_result(unit: Unit) -> dict[str, Any]:
    """What `evaluate` wrote."""
    return dict(json.loads(unit.result.read_text(encoding="utf-8")))


_RUN: dict[str, Callable[[Unit], None]] = {"fit": fit, "predict": predict, "eval": evaluate}


def _begin(unit: Unit, family: Family, split: Split, store: Store) -> tuple[Model, Manifest | None]:
    """The model as the store has it: after its last intact epoch, or untrained."""
    seed = derive_seed(unit.seed, "init")
    model = family.create(dict(unit.candidate.config), split, seed)
    for epoch in sorted(store.epochs(unit.key), reverse=True):
        if epoch > unit.candidate.epochs:
            continue
        try:
            info = store.read(unit.key, epoch).info
            store.adopt(unit.key, epoch, {**info, **_claim(unit)})
            base = store.read(unit.key, epoch)
            model.load_state(store.restore(unit.key, epoch, parts=family.continue_parts))
        except StoreDamagedError:
            store.quarantine(unit.key, epoch)
            continue
        return model, base
    return model, None


def _trained(unit: Unit) -> tuple[Model, Family, Split]:
    family = _family(unit)
    with Store.open(unit.store_url, create=False) as store:
        state = store.restore(unit.key, unit.candidate.epochs)
    return family.load(dict(unit.candidate.config), state), family, _split(unit)


def _family(unit: Unit) -> Family:
    return resolve(unit.identity["search"]["model"]["class"]).on(unit.identity.get("device", "cpu"))


def _split(unit: Unit) -> Split:
    return _cached_split(canonical_json(dict(unit.identity)), unit.part)


@lru_cache(maxsize=2)
def _cached_split(identity: str, part: int) -> Split:
    """A worker measures several models on one part."""
    return split_of(json.loads(identity), part)


def _claim(unit: Unit) -> dict[str, Any]:
    return {
        "owner": unit.owner,
        "run": unit.identity["run_id"],
        "trial": unit.candidate.trial or 0,
        "objective": unit.identity["search"]["search"]["metric"],
        "retention": "last",
    }


def _info(unit: Unit, epoch: int) -> dict[str, Any]:
    """What a checkpoint is bound to. It has no metrics: none were measured."""
    rows = [{"epoch": number, "metrics": {}} for number in range(1, epoch + 1)]
    return {
        **_claim(unit),
        "search": unit.identity["name"],
        "model": unit.identity["search"]["model"]["class"],
        "config": dict(unit.candidate.config),
        "part": unit.part,
        "seed": unit.seed,
        "metrics": {},
        "history": rows,
    }


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

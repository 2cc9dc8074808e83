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

from recsearch.data import Split
from recsearch.errors import CheckpointNotFoundError, RecsearchError, StoreDamagedError
from recsearch.evaluation import parse
from recsearch.files import number_or_none, write_atomic
from recsearch.final.plan import Unit
from recsearch.identity import canonical_json, derive_seed
from recsearch.loading import split_of
from recsearch.measuring import measure, measure_users, scoring
from recsearch.models import Family, Model, resolve
from recsearch.prediction import (
    LIST_LENGTH,
    is_parquet,
    lists_table,
    predictions_table,
    write_parquet,
)
from recsearch.state import State, not_finite
from recsearch.store import BestAndLast, Manifest, Store
from recsearch.store.retention import Record

PHASES = ("fit", "predict", "eval")
"""In order. The first trains on the training ratings of a part; the others read its test data."""

LAST = BestAndLast("min", best=0, last=1)


class DivergedError(RecsearchError):
    """The model is not finite any more; other seeds and parts may fare better."""


def done(unit: Unit) -> bool:
    """Whether all phases of a model have ended, and what they wrote can be read."""
    found = read_result(unit)
    return found is not None and _predicted(unit, _family(unit)) and is_parquet(unit.users)


def run_phase(unit: Unit, phase: str) -> float:
    """Run one phase; seconds that it took.

    Raises:
        StoreError: a checkpoint cannot be written or read.
        RecsearchError: a file cannot be written.
        DivergedError: the model diverged; earlier checkpoints stay.
    """
    began = time.perf_counter()
    _RUN[phase](unit)
    return time.perf_counter() - began


def fit(unit: Unit) -> None:
    """Train to the last epoch, each epoch a checkpoint; what the store has is not trained again.

    Checkpoints that turn out to be damaged are set aside, and training goes on from the last intact
    one before them.
    """
    family, last = _family(unit), unit.candidate.epochs
    with Store.open(unit.store_url) as store:
        base, state = _stored(unit, family, store)
        trained = 0 if base is None else base.epoch
        if trained:
            # A kill may have come between the last checkpoint and this.
            _retain_last(store, unit, trained)
        if trained == last:
            return
        model = family.create(
            dict(unit.candidate.config), _split(unit), derive_seed(unit.seed, "init")
        )
        if state is not None:
            model.load_state(state)
        del state
        with store.track(after=base) as track:
            for epoch in range(trained + 1, last + 1):
                model.train_epoch()
                after = model.state()
                if (what := not_finite(after)) is not None:
                    raise DivergedError(f"{what} is not finite after epoch {epoch}: it diverged.")
                track.stage(after).commit(unit.key, epoch, _info(unit, epoch))
                _retain_last(store, unit, epoch)


def predict(unit: Unit) -> None:
    """Write the lists of the part's users, and for models of ratings what they predict."""
    family = _family(unit)
    if _predicted(unit, family):
        return
    model, split = _trained(unit, family), _split(unit)
    asked = scoring(model, family, split)
    _make_folder(unit)
    if family.predicts_ratings:
        write_parquet(unit.predictions, predictions_table(asked, split))
    write_parquet(unit.lists, lists_table(asked.scores, split, split.eval_users, LIST_LENGTH))


def evaluate(unit: Unit) -> None:
    """Write the metrics of every user, then their means."""
    import pyarrow as pa

    family = _family(unit)
    model, split = _trained(unit, family), _split(unit)
    by_user = [name for name in unit.metrics if not parse(name).pooled]
    users = measure_users(model, family, split, by_user)
    # Not the means of the above: pooled metrics are over all ratings.
    means = measure(model, family, split, unit.metrics)
    ids = split.user_ids[split.eval_users]
    write_parquet(unit.users, pa.table({"user_id": ids, **users}))
    result = {
        "part": unit.part,
        "seed": unit.seed,
        "epochs": unit.candidate.epochs,
        "config": dict(unit.candidate.config),
        "key": unit.key,
        "split_id": split.split_id,
        "users": len(split.eval_users),
        "metrics": {name: number_or_none(value) for name, value in means.items()},
    }
    write_atomic(unit.result, result)


def read_result(unit: Unit) -> dict[str, Any] | None:
    """What `evaluate` wrote; None where it has not, or where the file is damaged."""
    try:
        found = json.loads(unit.result.read_text(encoding="utf-8"))
        return found if found["key"] == unit.key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


_RUN: dict[str, Callable[[Unit], None]] = {"fit": fit, "predict": predict, "eval": evaluate}


def _predicted(unit: Unit, family: Family) -> bool:
    return is_parquet(unit.lists) and (not family.predicts_ratings or is_parquet(unit.predictions))


def _retain_last(store: Store, unit: Unit, epoch: int) -> None:
    seen = [Record(number, None) for number in range(1, epoch + 1)]
    store.retain(unit.key, LAST, seen, owner=unit.owner)


def _stored(unit: Unit, family: Family, store: Store) -> tuple[Manifest | None, State | None]:
    """The last intact epoch in the store, made the unit's own, and its state."""
    for epoch in sorted(store.epochs(unit.key), reverse=True):
        if epoch > unit.candidate.epochs:
            continue
        # Of the last epoch all parts are read: the next phases score from it.
        parts = None if epoch == unit.candidate.epochs else family.continue_parts
        try:
            info = store.read(unit.key, epoch).info
            store.adopt(unit.key, epoch, {**info, **_claim(unit)})
            return store.read(unit.key, epoch), store.restore(unit.key, epoch, parts=parts)
        except StoreDamagedError:
            store.quarantine(unit.key, epoch)
        except CheckpointNotFoundError:
            continue  # its owner dropped it since it was listed
    return None, None


def _trained(unit: Unit, family: Family) -> Model:
    with Store.open(unit.store_url, create=False) as store:
        state = store.restore(unit.key, unit.candidate.epochs)
    return family.load(dict(unit.candidate.config), state)


def _family(unit: Unit) -> Family:
    return resolve(unit.identity["search"]["model"]["class"]).on(unit.identity.get("device", "cpu"))


def _split(unit: Unit) -> Split:
    return _cached_split(canonical_json(dict(unit.identity)), unit.part)


@lru_cache(maxsize=2)
def _cached_split(identity: str, part: int) -> Split:
    """A worker measures several models on one part."""
    return split_of(json.loads(identity), part)


def _make_folder(unit: Unit) -> None:
    try:
        unit.folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise RecsearchError(
            f"{unit.folder}: cannot make this folder: {err.strerror}.",
            hint="Mend the run folder (space, rights), then type the same command again.",
        ) from err


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

"""Retrain a best-config.json from nothing but itself and the ratings, and compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsearch.best import CONFIG_FORMAT
from recsearch.errors import StoreDamagedError, StoreError, UsageError
from recsearch.identity import derive_seed
from recsearch.loading import check_metrics, split_of
from recsearch.measuring import measure
from recsearch.models import Family, Model, resolve
from recsearch.state import State
from recsearch.store import Store
from recsearch.threads import use_one_thread

NEEDED = ("format", "model", "config", "epochs", "seed", "metrics", "dataset", "split", "key")


@dataclass(frozen=True)
class Verified:
    """A verification that passed.

    Attributes:
        metrics: the recomputed metrics.
        difference: largest absolute difference from the recorded ones.
        bit_equal: whether the retrained arrays equal the stored checkpoint's; None if not stored.
    """

    metrics: dict[str, float]
    difference: float
    bit_equal: bool | None


def read_config(path: Path) -> dict[str, Any]:
    """Read a best-config.json.

    Raises:
        UsageError: it is absent or no such file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in NEEDED if name not in document]
        if document.get("format") != CONFIG_FORMAT:
            missing.append(f"format {CONFIG_FORMAT}")
    except (OSError, ValueError, AttributeError) as err:
        raise UsageError(
            f"{path}: not a readable best-config.json: {err}.",
            hint="A search writes one: runs/<run>/best-config.json",
        ) from err
    if missing:
        raise UsageError(
            f"{path}: not a best-config.json: it lacks {', '.join(missing)}.",
            hint="A search writes one: runs/<run>/best-config.json",
        )
    return dict(document)


def verify(
    document: dict[str, Any],
    store_url: str | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> Verified:
    """Train ``document``'s configuration for its epochs and compare every metric to 1e-6.

    Raises:
        VerificationError: a metric differs, or data set or split are others.
        UsageError: it was trained on a device that this machine does not have.
        StoreDamagedError: the metrics agree, but the stored checkpoint is damaged.
    """
    use_one_thread()
    family = _family(document)
    split = split_of(document)
    model = family.create(document["config"], split, derive_seed(document["seed"], "init"))
    for epoch in range(1, document["epochs"] + 1):
        model.train_epoch()
        on_epoch(epoch)
    found = measure(model, family, split, tuple(document["metrics"]))
    difference = check_metrics(document["metrics"], found, "retrained")
    return Verified(found, difference, _bit_equal(model, document, store_url))


def _family(document: dict[str, Any]) -> Family:
    device = document.get("device", "cpu")
    try:
        return resolve(document["model"]).on(device)
    except UsageError as err:
        if device == "cpu":
            raise
        raise UsageError(
            f"trained on {device}, so it can only be verified there: {err.message}",
            hint="Take best-config.json and the data to a machine with such a device, and type the "
            "same command there.",
        ) from err


def _bit_equal(model: Model, document: dict[str, Any], store_url: str | None) -> bool | None:
    if store_url is None:
        return None
    try:
        with Store.open(store_url, create=False) as store:
            stored = store.restore(document["key"], document["epochs"])
    except StoreDamagedError:
        raise
    except StoreError:
        return None
    return same_arrays(model.state(), stored)


def same_arrays(one: State, other: State) -> bool:
    """Whether two states hold the same arrays, bit for bit."""
    names = {(p, t) for p in one for t in one[p].tensors}
    if names != {(p, t) for p in other for t in other[p].tensors}:
        return False
    return all(
        np.asarray(one[p].tensors[t]).tobytes() == np.asarray(other[p].tensors[t]).tobytes()
        for p, t in names
    )

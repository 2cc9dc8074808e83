"""Retrain a best-config.json from nothing but itself and the ratings, and compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsearch import __version__
from recsearch.best import CONFIG_FORMAT
from recsearch.errors import StoreDamagedError, StoreError, UsageError
from recsearch.findings import keep_verification
from recsearch.folds import mean_metrics
from recsearch.identity import derive_seed
from recsearch.journal import now
from recsearch.loading import check_metrics, fold_split
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
        metrics: the recomputed metrics; the means where there are several folds.
        difference: largest absolute difference from the recorded ones.
        bit_equal: whether the retrained arrays equal the stored checkpoint's; None if not stored.
        folds: how many validation folds were retrained.
    """

    metrics: dict[str, float]
    difference: float
    bit_equal: bool | None
    folds: int = 1


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

    Where it was validated on several folds, each is trained and compared by itself, one after the
    other.

    Args:
        document: content of a best-config.json.
        store_url: where the checkpoints are, to compare the arrays; None to leave that out.
        on_epoch: called with the number of epochs trained so far, those of all folds counted.

    Raises:
        VerificationError: a metric differs, or data set or split are others.
        UsageError: it was trained on a device that this machine does not have.
        StoreDamagedError: the metrics agree, but the stored checkpoint is damaged.
    """
    use_one_thread()
    family = _family(document)
    recorded = document.get("folds") or [document["metrics"]]
    keys = document.get("keys") or [document["key"]]
    found, differences, equal = [], [], []
    for fold, (metrics, key) in enumerate(zip(recorded, keys, strict=True)):
        split = fold_split(document, fold)
        model = family.create(document["config"], split, derive_seed(document["seed"], "init"))
        for epoch in range(1, document["epochs"] + 1):
            model.train_epoch()
            on_epoch(fold * document["epochs"] + epoch)
        found.append(measure(model, family, split, tuple(metrics)))
        what = "retrained" if len(recorded) == 1 else f"fold {fold} retrained"
        differences.append(check_metrics(metrics, found[-1], what))
        equal.append(_bit_equal(model, key, document["epochs"], store_url))
    mean = mean_metrics(found)
    differences.append(check_metrics(document["metrics"], mean, "retrained"))
    return Verified(mean, max(differences), _all_equal(equal), len(recorded))


def record_verification(root: Path, document: dict[str, Any], found: Verified | str) -> None:
    """Keep in a run folder what verifying one of its configurations came to, for its page.

    Args:
        root: the run folder.
        document: content of the best-config.json.
        found: the verification that passed, or why it failed.

    Raises:
        RecsearchError: the file cannot be written.
    """
    passed = isinstance(found, Verified)
    entry: dict[str, Any] = {"passed": passed, "time": now(), "version": __version__}
    if isinstance(found, Verified):
        entry |= {"difference": found.difference, "bit_equal": found.bit_equal}
    else:
        entry["message"] = found
    keep_verification(root, document["key"], document["epochs"], entry)


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


def _bit_equal(model: Model, key: str, epoch: int, store_url: str | None) -> bool | None:
    if store_url is None:
        return None
    try:
        with Store.open(store_url, create=False) as store:
            stored = store.restore(key, epoch)
    except StoreDamagedError:
        raise
    except StoreError:
        return None
    return same_arrays(model.state(), stored)


def _all_equal(folds: Sequence[bool | None]) -> bool | None:
    """One that differs says it all; one that is not stored leaves it open."""
    if False in folds:
        return False
    return None if None in folds else True


def same_arrays(one: State, other: State) -> bool:
    """Whether two states hold the same arrays, bit for bit."""
    names = {(p, t) for p in one for t in one[p].tensors}
    if names != {(p, t) for p in other for t in other[p].tensors}:
        return False
    return all(
        np.asarray(one[p].tensors[t]).tobytes() == np.asarray(other[p].tensors[t]).tobytes()
        for p, t in names
    )

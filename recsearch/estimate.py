"""How many bytes the checkpoints of a search will take, before it starts."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from recsearch.constraints import model_limit
from recsearch.errors import UsageError
from recsearch.evaluation import parse
from recsearch.models import Family
from recsearch.request import Resolved
from recsearch.spec import SearchSpec
from recsearch.store.retention import Record, Retention, TrialRecords, parse_retention
from recsearch.units import size

DRAWS = 256
"""Configurations drawn from the space to see how large a model is on average."""

_UNITS = {None: 0, "k": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kMGT])(i?))?B")


@dataclass(frozen=True)
class Estimate:
    """Raw bytes of a whole search; compression and sharing make it less, and so do early stops.

    Attributes:
        trials: Trials that the search will have.
        epochs: Checkpoints that stay of all of them together, those of every fold counted.
        mean: Bytes of a checkpoint, on average over the space.
        largest: Bytes of a checkpoint of the largest configuration.
        shared: Bytes that all checkpoints have in common.
        needed: Bytes below which no trial of the largest configuration can be trained.
    """

    trials: int
    epochs: int
    mean: float
    largest: int
    shared: int
    needed: int

    @property
    def total(self) -> float:
        """Bytes of all checkpoints that stay."""
        return self.shared + self.epochs * self.mean

    def check(self, quota: int | None) -> None:
        """Refuse a quota in which no search can work.

        Raises:
            UsageError: it does not hold the best and the last epoch of one trial.
        """
        if quota is not None and quota < self.needed:
            raise UsageError(
                f"search.quota: {size(quota)} cannot hold even the best and the last epoch of one "
                f"trial: the largest configuration of the space takes {size(self.largest)} per "
                f"epoch, so {size(self.needed)} in all.",
                hint=f"Allow more, such as --quota '{size(2 * self.needed)}', or narrow the space.",
            )

    def sentence(self, quota: int | None, store_url: str, finished: int, keeps_all: bool) -> str:
        """One line for the user: what to expect, and what gives way if it is too much.

        Args:
            quota: Bytes that the run may hold.
            store_url: Where the checkpoints go.
            finished: Trials that have ended before.
            keeps_all: Whether nothing may be dropped.
        """
        parts = [
            f"checkpoints: up to {size(self.total)} ({self.epochs} of {size(self.mean)} on average)"
        ]
        if quota is not None:
            parts.append(f"quota {size(quota)}")
            if self.total > quota:
                stops, drops = "the search stops", "those of the worst trials are dropped"
                parts[-1] += f", beyond which {stops if keeps_all else drops}"
        free = free_bytes(store_url)
        if free is not None:
            parts.append(f"{size(free)} free")
            left = self.total * (1 - finished / max(1, self.trials))
            if min(left, quota or left) > free:
                parts[-1] += ", which may not be enough: see --quota and --retention"
        return " · ".join(parts)


def estimate(resolved: Resolved) -> Estimate | None:
    """What the checkpoints of a search will take; None where its model cannot tell."""
    spec, family, split = resolved.request.spec, resolved.family, resolved.split
    search = spec.search
    sizes, largest = _model_bytes(spec, family, resolved)
    if not largest:
        return None
    count = min(search.trials, spec.space.size or search.trials)
    epochs, folds = search.max_epochs if family.iterative else 1, len(resolved.splits)
    retention = parse_retention(search.retention, parse(search.metric).direction)
    arrays = (split.user_ids, split.item_ids, split.titles)
    shared = sum(array.nbytes for array in arrays if array is not None)
    shared += family.shared_bytes(family.complete(spec.model.config), split)
    return Estimate(
        trials=count,
        # By each further objective another epoch may be the best of its trial.
        epochs=folds
        * min(
            _kept(retention, count, epochs, search.lag) + (len(spec.objectives) - 1) * count,
            count * epochs,
        ),
        mean=float(np.mean(sizes)),
        largest=largest,
        shared=shared,
        needed=shared + largest * folds * min(2, epochs),
    )


def _kept(retention: Retention, trials: int, epochs: int, running: int) -> int:
    """Checkpoints that are there at the end, while the last trials are still running.

    Every trial is taken to be trained to its last epoch, to be best just before, and not pruned.
    """
    best = 0.0 if retention.direction == "min" else 2.0
    records = tuple(
        Record(epoch, best if epoch == max(1, epochs - 1) else 1.0)
        for epoch in range(1, epochs + 1)
    )
    all_of_them = [TrialRecords(n, records, ended=n > running) for n in range(1, trials + 1)]
    return sum(len(kept) for kept in retention.keep(all_of_them).values())


def _model_bytes(spec: SearchSpec, family: Family, resolved: Resolved) -> tuple[list[int], int]:
    """Sizes of random configurations, and the largest one found there and at the bounds."""

    def measure(params: dict[str, Any]) -> int:
        config = family.complete(spec.configuration(params))
        return family.model_bytes(config, resolved.split)

    rng = np.random.default_rng(0)
    drawn = [spec.space.sample(rng) for _ in range(DRAWS if spec.space else 1)]
    bounds = [{n: d.extremes()[which] for n, d in spec.space.items()} for which in (0, -1)]
    limit = model_limit(spec)
    sizes = [measure(params) for params in drawn]
    found = [*sizes, *(measure(spec.space.restrict(point)) for point in bounds)]
    if limit is None:
        return sizes, max(found)
    # Of what is not trained nothing is stored.
    allowed = [size for size in sizes if size <= limit] or [min(found)]
    return allowed, min(max(found), int(limit))


def parse_size(text: str) -> int | None:
    """Bytes of ``5 GB``, ``1.5 TiB`` or ``800 B``; None for ``none``.

    >>> parse_size("1.5 kB")
    1500

    Raises:
        UsageError: it is no size.
    """
    if text == "none":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no size: expected none or one such as 500 MB or 5 GB")
    number, unit, binary = match.groups()
    return round(float(number) * (1024 if binary else 1000) ** _UNITS[unit])


def free_bytes(store_url: str) -> int | None:
    """Free bytes of the disk that a store is on or will be; None where it is on no local disk."""
    if "://" in store_url:
        parts = urlsplit(store_url)
        if parts.scheme != "file":
            return None
        path = Path(unquote(parts.path))
    else:
        path = Path(store_url).expanduser()
    path = path.absolute()
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(there).free

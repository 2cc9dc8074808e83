"""Checkpoints of a trial with several validation folds: one key each, judged by their mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recsearch.folds import mean_metrics

if TYPE_CHECKING:
    from recsearch.store import Manifest


def fold_keys(manifest: Manifest) -> list[str]:
    """The keys of all folds of the trial that a checkpoint is of; its own where there is one."""
    found = manifest.info.get("fold_keys")
    return [str(key) for key in found] if isinstance(found, list) else [manifest.key]


def mean_values(
    manifests: Sequence[Manifest], names: Sequence[str]
) -> Iterator[tuple[int, dict[str, float | None]]]:
    """(epoch, metrics of these names) of one trial, the means over its folds, by epoch.

    Epochs that not all folds have are left out: the trial is still training them.
    """
    folds = set(fold_keys(manifests[0]))
    found: defaultdict[int, dict[str, dict[str, float | None]]] = defaultdict(dict)
    for manifest in manifests:
        found[manifest.epoch][manifest.key] = _values(manifest, names)
    for epoch, values in sorted(found.items()):
        if values.keys() == folds:
            yield epoch, mean_metrics(list(values.values()))


def _values(manifest: Manifest, names: Sequence[str]) -> dict[str, float | None]:
    metrics = manifest.info.get("metrics") or {}
    values = {name: metrics.get(name) for name in names}
    return {n: value if isinstance(value, int | float) else None for n, value in values.items()}

"""Values by user of a run: from its stored best epoch, or from its results on the test parts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsearch.comparison import Sample
from recsearch.comparison_file import measured_now
from recsearch.errors import RecsearchError, UsageError
from recsearch.evaluation import parse
from recsearch.final.outcome import Final, read_final
from recsearch.identity import digest
from recsearch.loading import open_checkpoint, split_of
from recsearch.measuring import measure_users
from recsearch.run import RunView


def validation_sample(
    root: Path, metrics: Sequence[str] | None = None, store: str | None = None
) -> Sample:
    """The best epoch of a run on its validation part, measured again from its checkpoint.

    A search over several folds is represented by the model of its first one.

    Args:
        root: the run folder.
        metrics: what to measure; by default what the run recorded.
        store: the store, if not that of the run.

    Raises:
        StoreError: the checkpoint is not in the store, or damaged.
        DataError: the ratings are not at hand.
    """
    loaded = open_checkpoint(root, store=store)
    split = split_of(loaded.view.identity)
    names = [parse(name).name for name in metrics or loaded.view.identity["metrics"]]
    names = [name for name in names if metrics or not parse(name).pooled]
    values = measure_users(loaded.model, loaded.family, split, names)
    return Sample(
        name=loaded.view.name,
        split_id=split.split_id,
        users=split.user_ids[split.eval_users],
        values=values,
        seed_std={},
        measured=measured_now(loaded.view, "validation"),
    )


def final_sample(root: Path) -> Sample:
    """The best configuration on the test parts; a user's values are averaged over seeds and parts.

    With splits of records a user is in several parts: one pair all the same.

    Raises:
        UsageError: ``recsearch final`` has not been run.
    """
    import pyarrow.parquet as pq

    final = read_final(root)
    if final is None:
        raise UsageError(
            f"{root}: no test results here.", hint=f"Measure them first: recsearch final {root}"
        )
    path = root / "final" / "per-user.parquet"
    try:
        table = pq.read_table(path).to_pandas()
    except (OSError, ValueError) as err:  # pyarrow's errors are both
        raise RecsearchError(
            f"{path}: not readable: {err}.",
            hint=f"Write it anew from what has been measured: recsearch final {root}",
        ) from err
    best = table[table["config"] == "best"]
    seeds = best["seed"].nunique()
    users = best.drop(columns=["config", "seed", "part"]).groupby("user_id", sort=True).mean()
    ids = sorted({row["split_id"] for row in final.document["results"]["best"]["models"]})
    view = RunView.open(root)
    return Sample(
        name=view.name,
        split_id=digest(ids),
        users=users.index.to_numpy(),
        values={name: users[name].to_numpy(dtype=np.float64) for name in users.columns},
        seed_std=_seed_error(final, seeds),
        measured=measured_now(view, "test"),
    )


def told_apart(samples: Sequence[Sample], roots: Sequence[Path]) -> list[Sample]:
    """The same, those of one name called by their folders."""
    times = Counter(sample.name for sample in samples)
    return [
        sample if times[sample.name] == 1 else replace(sample, name=str(root))
        for sample, root in zip(samples, roots, strict=True)
    ]


def _seed_error(final: Final, seeds: int) -> dict[str, float]:
    """Standard error of each mean over ``seeds`` seeds; nothing where there is but one."""
    found = {
        name: final.spread("best", name).std_seeds
        for name in final.document["results"]["best"]["metrics"]
    }
    return {name: std / math.sqrt(seeds) for name, std in found.items() if std is not None}

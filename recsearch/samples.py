"""Values by user of a run: from its stored best epoch, or from its results on the test parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recsearch.comparison import Sample
from recsearch.errors import UsageError
from recsearch.final.results import read_final
from recsearch.identity import digest
from recsearch.loading import open_checkpoint, split_of
from recsearch.measuring import measure_users
from recsearch.run import RunView


def validation_sample(
    root: Path, metrics: Sequence[str] | None = None, store: str | None = None
) -> Sample:
    """The best epoch of a run on its validation part, measured again from its checkpoint.

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
    names = tuple(metrics or loaded.view.identity["metrics"])
    values = measure_users(loaded.model, loaded.family, split, names)
    return Sample(
        name=loaded.view.name,
        split_id=split.split_id,
        users=split.user_ids[split.eval_users],
        values=values,
        seed_std=_seed_std(root),
    )


def test_sample(root: Path) -> Sample:
    """The best configuration on the test parts, users' values averaged over seeds.

    Raises:
        UsageError: ``recsearch final`` has not been run.
    """
    import pyarrow.parquet as pq

    final = read_final(root)
    if final is None:
        raise UsageError(
            f"{root}: no test results here.", hint=f"Measure them first: recsearch final {root}"
        )
    table = pq.read_table(root / "final" / "per-user.parquet").to_pandas()
    best = table[table["config"] == "best"].drop(columns=["config", "seed"])
    users = best.groupby(["part", "user_id"], sort=True).mean()
    ids = sorted({row["split_id"] for row in final.document["results"]["best"]["models"]})
    return Sample(
        name=RunView.open(root).name,
        split_id=digest(ids),
        users=users.index.get_level_values("user_id").to_numpy(),
        values={name: users[name].to_numpy(dtype=np.float64) for name in users.columns},
        seed_std=_seed_std(root),
    )


def _seed_std(root: Path) -> dict[str, float]:
    final = read_final(root)
    if final is None:
        return {}
    found = {
        name: final.spread("best", name).std_seeds
        for name in final.document["results"]["best"]["metrics"]
    }
    return {name: value for name, value in found.items() if value is not None}

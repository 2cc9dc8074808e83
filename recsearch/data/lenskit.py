"""The bridge to LensKit: a split's training ratings as a LensKit ``Dataset``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsearch.data.types import Split

if TYPE_CHECKING:
    from lenskit.data import Dataset


def dataset(split: Split) -> Dataset:
    """The training ratings of ``split``.

    LensKit's user and item numbers equal the indices of ``split``: all users and all known items
    are there, in the same order. Ratings are float32, in the field ``rating``.
    """
    import pyarrow as pa
    from lenskit.data import DatasetBuilder

    train = split.train
    users = np.repeat(np.arange(split.n_users), np.diff(train.indptr))
    columns = {
        "user_id": split.user_ids[users],
        "item_id": split.item_ids[train.items],
        "rating": train.values,
    }
    if train.times is not None:
        columns["timestamp"] = train.times.astype("datetime64[s]")
    builder = DatasetBuilder(split.source.name)
    builder.add_entities("user", split.user_ids)
    builder.add_entities("item", split.item_ids)
    builder.add_interactions(
        "rating",
        pa.table(columns),
        entities=["user", "item"],
        missing="error",
        allow_repeats=False,
        default=True,
    )
    return builder.build()

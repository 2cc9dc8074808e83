"""Scores of a model that gives no blocks of them: LensKit's pipeline, asked user by user."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recsearch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lenskit.data import ItemList, Vocabulary
    from lenskit.pipeline import Pipeline

    from recsearch.data import Split
    from recsearch.models.protocol import Model

NOTE = "evaluated through LensKit's pipeline, user by user: slower than blocks of scores"


def gives_blocks(model: Model) -> bool:
    """Whether the model itself scores many users at once."""
    return callable(getattr(model, "scores", None))


def pipeline_scores(
    model: Model, split: Split, threads: int | None = None
) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
    """Scores as :meth:`Model.scores` has them, from the scorer of the model's own pipeline.

    Each user is one query by id, for whom the pipeline looks up the training ratings. LensKit's
    rating predictor with its fallback is not asked: what the scorer leaves out is NaN.

    Args:
        model: a trained model.
        split: the split that it was trained on.
        threads: users scored at a time; by default as many as torch uses, which is one in the
            trials of a search.

    Raises:
        UsageError: the pipeline has no component ``scorer``.
    """
    import torch
    from lenskit.data import ItemList, Vocabulary

    pipeline = model.to_pipeline(split.train)
    if pipeline.node("scorer", missing=None) is None:
        raise UsageError(
            f"the pipeline {pipeline.name} has no component 'scorer', and its model no scores() "
            "of its own, so nothing can be measured.",
            hint="Name the scoring component 'scorer', as LensKit's own pipelines do.",
        )
    vocabulary = Vocabulary(split.item_ids, name="item", reorder=False)
    everything = ItemList.from_vocabulary(vocabulary)
    workers = threads or torch.get_num_threads()

    def scores(users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        asked = everything if items is None else ItemList(item_ids=split.item_ids[items])
        line = partial(_line, pipeline, vocabulary, asked)
        ids = split.user_ids[users].tolist()
        if workers == 1:
            lines = list(map(line, ids))
        else:
            with ThreadPoolExecutor(workers) as pool:
                lines = list(pool.map(line, ids))
        block = np.stack(lines)
        return block if items is None else block[:, items]

    return scores


def _line(
    pipeline: Pipeline, vocabulary: Vocabulary, items: ItemList, user_id: int | str
) -> np.ndarray:
    """Scores of one user by item number, (n_items,) float32; NaN for items without."""
    found = pipeline.run("scorer", query=user_id, items=items)
    line = np.full(len(vocabulary), np.nan, dtype=np.float32)
    scores = found.scores()
    if scores is not None:
        line[found.numbers(vocabulary=vocabulary)] = scores
    return line

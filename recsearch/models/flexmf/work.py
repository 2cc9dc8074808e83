"""What an epoch of FlexMF takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recsearch.models.per_split import training_bytes
from recsearch.models.protocol import Work

if TYPE_CHECKING:
    from recsearch.data import Split

MISRANKED_CANDIDATES = 10
"""Items that LensKit draws and scores for each sample when it looks for a misranked one."""

STEP_FLOPS = 60
"""Operations that one parameter's step of AdamW is worth: a dozen, with its traffic of memory."""

PASS_FLOPS = 40
"""Likewise for each number of a vector that a sample reads: forward, backward and adding up."""


GRAPH_BYTES = 24
"""Memory that a rating takes in the matrices of the convolution, either way round."""


def flexmf_work(config: Mapping[str, Any], split: Split, model_bytes: int) -> Work:
    """Operations and memory of one epoch.

    Every batch steps all parameters with AdamW, those of its own samples with SparseAdam.

    Args:
        config: complete configuration.
        split: the training ratings.
        model_bytes: parameters, moments and constants of one epoch.
    """
    samples, size = len(split.train.items), int(config["embedding_size"])
    batch = min(int(config["batch_size"]), max(1, samples))
    batches = math.ceil(samples / batch)
    vectors = samples * (2 + _negatives(config))
    rows = split.n_users + split.n_items
    stepped = rows * batches if config["reg_method"] == "AdamW" else 4 * vectors
    flops = size * (float(PASS_FLOPS) * vectors + float(STEP_FLOPS) * stepped)
    layers = int(config.get("convolution_layers", 0))
    # Two products with the ratings forward, two backward, in every layer of every batch.
    flops += 8.0 * layers * samples * size * batches
    gathered = float(vectors * size)
    # Stored epoch and the copy that is being stored; a gradient; the vectors of one batch, twice.
    batch_bytes = 4 * 4 * batch * (2 + _negatives(config)) * size
    propagated = 3 * 4 * rows * size * (layers + 1) if layers else 0
    graph = GRAPH_BYTES * samples if layers else 0
    peak = 2 * model_bytes + 4 * rows * size + batch_bytes + propagated
    peak += training_bytes(split) + graph
    return Work(flops=flops, gathered=gathered, peak_bytes=int(peak))


def _negatives(config: Mapping[str, Any]) -> int:
    if config.get("negative_strategy") == "misranked":
        return MISRANKED_CANDIDATES
    return int(config.get("negative_count", 0))

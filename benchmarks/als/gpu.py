"""Wall seconds per epoch: ours on a GPU, LensKit on the cores beside it, its FlexMF on the GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.als.measure import MODELS
from benchmarks.als.sides import Case, lenskit_scores
from recsearch.data import Split

GROWTH = 6.0
"""How many times longer an epoch of LensKit takes at twice the size, at most."""

SHORT = 20.0
"""Seconds below which an epoch of LensKit is measured twice."""


def measure(
    split: Split, sizes: Sequence[int], repeat: int, device: str, longest: float
) -> Iterator[dict[str, Any]]:
    """A row for every model and size.

    Args:
        split: the ratings.
        sizes: embedding sizes.
        repeat: epochs of each; the fastest counts.
        device: of ours and of FlexMF.
        longest: seconds that an epoch of LensKit may be expected to take.
    """
    for name in MODELS:
        expected = 0.0
        for size in sorted(sizes):
            row = one(Case(name, size, split), repeat, device, expected <= longest)
            expected = GROWTH * row["lenskit_s"] if row["lenskit_s"] else float("inf")
            yield row


def one(case: Case, repeat: int, device: str, with_lenskit: bool) -> dict[str, Any]:
    """One model at one size."""
    import torch

    model = case.ours(device)
    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    ours = [wall_seconds(model.train_epoch, on_gpu)]
    theirs, difference = None, None
    if with_lenskit:
        scorer, trainer = case.lenskit()
        theirs = wall_seconds(trainer.train_epoch, on_gpu)
        if case.family.predicts_ratings:
            values = case.value(model.scores), case.value(lenskit_scores(scorer))
            difference = abs(values[0] - values[1])
        if theirs < SHORT:
            # The first may load and fill what the others find.
            theirs = min(theirs, wall_seconds(trainer.train_epoch, on_gpu))
    ours += [wall_seconds(model.train_epoch, on_gpu) for _ in range(repeat - 1)]
    peak = torch.cuda.max_memory_allocated() if on_gpu else None
    del model
    flexmf = case.flexmf(device)
    return {
        "model": case.name,
        "size": case.size,
        "data": case.split.source.name,
        "train_ratings": len(case.split.train.items),
        "ours_s": min(ours),
        "lenskit_s": theirs,
        "flexmf_s": min(wall_seconds(flexmf.train_epoch, on_gpu) for _ in range(repeat)),
        "metric": case.family.default_metric,
        "difference": difference,
        "peak_gpu_bytes": peak,
    }


def wall_seconds(work: Callable[[], object], on_gpu: bool) -> float:
    """Seconds until everything is done, on the GPU as well."""
    import torch

    began = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began

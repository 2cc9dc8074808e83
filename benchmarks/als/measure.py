"""CPU seconds per epoch on one thread, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.als.alternatives import WAYS
from benchmarks.als.sides import Case, lenskit_scores
from recsearch.data import Split
from recsearch.models.als.model import Solvers
from recsearch.models.als.solver import one_blas_thread

MODELS = ("als", "als-implicit")
ENOUGH = 2.0
"""Seconds of ours: short epochs are repeated until then, as their times vary."""

MOST = 20
LONGEST = 30.0
"""A way whose epoch takes longer is not tried at larger sizes."""

ORDER = 2048
"""Of the matrices whose product tells what a core can do."""


def measure(split: Split, sizes: Sequence[int], repeat: int) -> Iterator[dict[str, Any]]:
    """A row for every model and size."""
    for name in MODELS:
        slow: set[str] = set()
        for size in sorted(sizes):
            row = one(Case(name, size, split), repeat, slow)
            slow |= {way for way, seconds in row["ways"].items() if seconds > LONGEST}
            yield row


def one(case: Case, repeat: int, slow: set[str]) -> dict[str, Any]:
    """One model at one size; ways in ``slow`` are left out."""
    rate = sgemm_gflops()
    found = side_by_side(case, repeat)
    ways = {way: of_way(case, way, repeat) for way in WAYS if way not in slow}
    return {
        "model": case.name,
        "size": case.size,
        "gflop": case.family.work(case.config, case.split).flops / 1e9,
        "sgemm_gflops": max(rate, sgemm_gflops()),
        **found,
        "ways": ways,
    }


def side_by_side(case: Case, repeat: int) -> dict[str, Any]:
    """Epochs of both sides in turns, the fastest of each; and how far their curves are apart."""
    model, (scorer, trainer) = case.ours(), case.lenskit()
    ours: list[float] = []
    theirs: list[float] = []
    differences = []
    while len(ours) < repeat or (sum(ours) < ENOUGH and len(ours) < MOST):
        ours.append(cpu_seconds(model.train_epoch))
        theirs.append(cpu_seconds(trainer.train_epoch))
        if len(ours) <= repeat:
            with one_blas_thread():
                values = case.value(model.scores), case.value(lenskit_scores(scorer))
            differences.append(abs(values[0] - values[1]))
    return {
        "lenskit_s": min(theirs),
        "ours_s": min(ours),
        "epochs": len(ours),
        "metric": case.family.default_metric,
        "compared_epochs": len(differences),
        "difference": max(differences),
    }


def of_way(case: Case, way: str, repeat: int) -> float:
    """Seconds of an epoch of our model with another solver."""
    model = case.ours()
    solvers = model._solvers
    if solvers is None:
        raise ValueError(f"{case.name}: a model without ratings")
    make = WAYS[way]
    model._solvers = Solvers(
        make(solvers.users.rows, case.size), make(solvers.items.rows, case.size)
    )
    seconds: list[float] = []
    while len(seconds) < repeat and sum(seconds) < LONGEST:
        seconds.append(cpu_seconds(model.train_epoch))
    return min(seconds)


def sgemm_gflops(repeat: int = 5) -> float:
    """Float32 products of one core by OpenBLAS, in 1e9 operations a second."""
    rng = np.random.default_rng(0)
    A, B = (rng.standard_normal((ORDER, ORDER), dtype=np.float32) for _ in range(2))
    out = np.empty_like(A)
    with one_blas_thread():
        seconds = min(cpu_seconds(lambda: np.matmul(A, B, out=out)) for _ in range(repeat))
    return 2 * ORDER**3 / seconds / 1e9


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of all threads of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began

"""What a search will take: a model of time and memory, before anything is trained.

Training time is arithmetic (`Family.work`) over the rate of this machine, plus reads from scattered
places. Where the run has trained before, its own journal corrects that. An estimate is good to a
factor of about two before, and to about a fifth after; how many epochs trials will have is the
larger uncertainty.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import threadpoolctl

from recsearch.data import Split
from recsearch.errors import UsageError
from recsearch.evaluation.evaluate import BLOCK_BYTES, BLOCK_USERS
from recsearch.models import Family
from recsearch.pruning import Asha, Halving, Median, Rule
from recsearch.record import Record
from recsearch.space import Params
from recsearch.spec import SearchSpec
from recsearch.stopping import Plateau, StopRule
from recsearch.units import size

EFFICIENCY = 0.75
"""Part of the rate of a large matrix product that the many small ones of training reach."""
GATHERED_PER_S = 1.5e9
"""Numbers that one core reads from scattered vectors in a second."""
SCORE_S = 4e-9
"""Seconds that ranking takes for each score of an evaluation."""
EPOCH_S, TRIAL_S, START_S = 0.02, 0.15, 6.0
"""Seconds beside training and evaluation: of an epoch, of a trial, and until Ray runs."""

DRIVER_BYTES, RAY_BYTES, WORKER_BYTES, TORCH_BYTES = (
    400_000_000, 500_000_000, 300_000_000, 200_000_000,
)  # fmt: skip
"""Memory of the processes themselves: the command, Ray's own, and each worker with libraries; what
PyTorch adds to these."""

BLOCKS = 3
"""Blocks of scores that an evaluation holds at a time: scores, a copy to rank in, a mask."""

DRAWS = 64

CGROUP = Path("/sys/fs/cgroup")
CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat",
     "total_cache"),
)  # fmt: skip
"""A container's limit and use of memory, and what of that files occupy, by version of cgroups."""


@dataclass(frozen=True)
class CostModel:
    """Seconds and bytes of one configuration on this machine.

    Attributes:
        rate: Floating point operations per second of one core.
        train: Factor on the predicted training time, from what was measured.
        evaluation: The same for evaluation.
        known_epoch_s: Measured training time of an epoch, for families that predict none.
        measured_epochs: Number of epochs behind the last three; 0 for none.
        folds: Validation folds, each of which trains a model of every configuration.
    """

    family: Family
    split: Split
    rate: float
    train: float = 1.0
    evaluation: float = 1.0
    known_epoch_s: float | None = None
    measured_epochs: int = 0
    folds: int = 1

    def train_seconds(self, config: Mapping[str, Any]) -> float | None:
        """Training time of one epoch of all folds; None where nothing is known of it."""
        work = self.family.work(config, self.split)
        # The rate is that of the processor: of other devices nothing is known beforehand.
        if not work.flops or self.family.device != "cpu":
            return self.known_epoch_s
        each = work.flops / (EFFICIENCY * self.rate) + work.gathered / GATHERED_PER_S
        return self.train * self.folds * each

    def eval_seconds(self, config: Mapping[str, Any]) -> float:
        """Time of evaluating one epoch of all folds."""
        split = self.split
        scores = len(split.eval_users) * split.n_items
        parameters = self.family.model_bytes(config, split) / 4
        width = parameters / (split.n_users + split.n_items)
        return (
            self.evaluation * self.folds * scores * (SCORE_S + 2 * width / (EFFICIENCY * self.rate))
        )

    def epoch_seconds(self, config: Mapping[str, Any]) -> float | None:
        """Time of one epoch in all; None where nothing is known of it."""
        train = self.train_seconds(config)
        if train is None:
            return None
        return train + self.eval_seconds(config) + self.folds * EPOCH_S

    def worker_bytes(self, config: Mapping[str, Any]) -> int:
        """Peak memory of a worker that trains this configuration, without the splits.

        The models of all folds are there at the same time; one after the other is evaluated.
        """
        block = min(BLOCK_BYTES, 4 * self.split.n_items * BLOCK_USERS)
        models = self.folds * self.family.work(config, self.split).peak_bytes
        torch = TORCH_BYTES if "torch" in self.family.libraries else 0
        return WORKER_BYTES + torch + models + int(BLOCKS * block)

    def total_bytes(self, config: Mapping[str, Any], workers: int) -> int:
        """Peak memory of a search whose workers all train this configuration."""
        return (
            DRIVER_BYTES
            + RAY_BYTES
            + 2 * self.folds * split_bytes(self.split)
            + workers * self.worker_bytes(config)
        )

    def calibrated(self, record: Record) -> CostModel:
        """The same model, corrected by the epochs that a run has trained."""
        rows = [
            (trial.config, row)
            for trial in record.trials.values()
            for row in trial.epochs
            if not row.cached and row.train_s > 0
        ]
        if not rows:
            return self
        trained = sum(row.train_s for _, row in rows)
        expected = [self.train_seconds(config) for config, _ in rows]
        known = [seconds for seconds in expected if seconds is not None]
        measured = sum(row.eval_s for _, row in rows)
        evaluated = sum(self.eval_seconds(config) for config, _ in rows)
        return replace(
            self,
            train=self.train * trained / sum(known) if sum(known) else self.train,
            evaluation=self.evaluation * measured / evaluated if evaluated else self.evaluation,
            known_epoch_s=trained / len(rows),
            measured_epochs=len(rows),
        )


def measure_rate(seconds: float = 0.05) -> float:
    """Floating point operations per second of a large matrix product on one core, float32."""
    n = 384
    a = np.ones((n, n), dtype=np.float32)
    out = np.empty_like(a)
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        np.matmul(a, a, out=out)
        best, began = np.inf, time.perf_counter()
        # The fastest one: others may have been interrupted.
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            np.matmul(a, a, out=out)
            best = min(best, time.perf_counter() - start)
    return 2 * n**3 / float(best)


def expected_epochs(most: int, stop: StopRule, pruning: Rule, usual: int) -> float:
    """Epochs of a trial on average, before there are any.

    A plateau is taken to end a trial ``usual`` epochs after the first one at which it can;
    asha to let one in eta pass each rung, halving each epoch, and the median rule to end half of
    the trials at the first epoch at which it judges.
    """
    if isinstance(stop, Plateau):
        most = min(most, max(stop.grace, stop.patience) + usual)
    reached, total = 1.0, 0.0
    for epoch in range(1, most + 1):
        total += reached
        if (isinstance(pruning, Asha) and pruning.is_rung(epoch)) or (
            isinstance(pruning, Halving) and epoch >= pruning.grace
        ):
            reached /= pruning.eta
        elif isinstance(pruning, Median) and epoch == pruning.grace:
            reached /= 2
    return total


def split_bytes(split: Split) -> int:
    """Bytes of the ratings that trials share."""
    rows = (split.train, split.heldout)
    arrays = [array for row in rows for array in (row.indptr, row.items, row.values, row.times)]
    return sum(array.nbytes for array in (*arrays, split.titles) if array is not None)


def drawn(spec: SearchSpec) -> list[Params]:
    """Points of the space as random search draws them."""
    rng = np.random.default_rng(0)
    return [spec.space.sample(rng) for _ in range(DRAWS if spec.space else 1)]


def largest(spec: SearchSpec, model: CostModel) -> tuple[Params, dict[str, Any]]:
    """Parameters and configuration of the point, drawn or at a bound, that needs most memory."""
    points = drawn(spec)
    corners = ({n: d.extremes()[which] for n, d in spec.space.items()} for which in (0, -1))
    points += [spec.space.restrict(corner) for corner in corners]
    pairs = [(point, model.family.complete(spec.configuration(point))) for point in points]
    limit = spec.search.constraints.max_model_mb
    if limit is not None:
        sizes = [model.family.model_bytes(config, model.split) for _, config in pairs]
        most = max(limit * 1e6, min(sizes))
        pairs = [pair for pair, found in zip(pairs, sizes, strict=True) if found <= most]
    return max(pairs, key=lambda pair: model.worker_bytes(pair[1]))


def available_bytes() -> int:
    """Memory that processes may still take: the machine's, or the container's if that is less."""
    free = psutil.virtual_memory().available
    for names in CGROUP_FILES:
        limit, used, stat = (CGROUP / name for name in names[:3])
        # There may be no such group, or no limit.
        with contextlib.suppress(OSError, ValueError, KeyError):
            parts = dict(line.split() for line in stat.read_text().splitlines())
            # Memory that holds files is given up when processes need it.
            taken = int(used.read_text()) - int(parts[names[3]])
            free = min(free, max(0, int(limit.read_text()) - taken))
    return int(free)


def check_memory(
    spec: SearchSpec, model: CostModel, workers: int, available: int, *, begun: bool = False
) -> None:
    """Refuse a search that cannot fit in memory.

    Args:
        spec: the search.
        model: costs on this machine.
        workers: trials at a time, of which no more than the lag can run.
        available: bytes that processes may still take.
        begun: whether the run is there already, so that its space is settled.

    Raises:
        UsageError: so many workers with the largest configuration of the space need more.
    """
    free = available
    workers = min(workers, spec.search.lag, spec.search.trials)
    point, config = largest(spec, model)
    need = model.total_bytes(config, workers)
    if need <= free:
        return
    ways = []
    fewer = [n for n in range(1, workers) if model.total_bytes(config, n) <= free]
    if fewer:
        ways.append(f"--workers {max(fewer)}")
    name = decisive(spec, model, point)
    if name is not None and not begun:
        bound = _largest_bound(spec, model, workers, point, name, free)
        if bound is not None:
            ways.append(f"--set space.{name}.max={bound}")
    cause = "" if name is None else f" with {name} = {point[name]}"
    raise UsageError(
        f"the search does not fit in memory: {workers} trials at a time{cause} take about "
        f"{size(need)}, and {size(free)} are available. Nothing was written.",
        hint=f"Use {' or '.join(ways)}."
        if ways
        else "Use a machine with more memory, or less "
        "data: the ratings alone and the processes take more than there is.",
    )


def decisive(spec: SearchSpec, model: CostModel, point: Mapping[str, Any]) -> str | None:
    """The parameter that memory depends on most; None where it depends on none."""
    spans = {}
    for name in point:
        found = [_bytes_at(spec, model, point, name, value)
                 for value in spec.space[name].extremes()]  # fmt: skip
        spans[name] = max(found) - min(found)
    spans = {name: span for name, span in spans.items() if span > 0}
    return max(spans, key=lambda name: spans[name]) if spans else None


def _bytes_at(
    spec: SearchSpec, model: CostModel, point: Mapping[str, Any], name: str, value: Any,
    workers: int = 1,
) -> int:  # fmt: skip
    moved = spec.space.restrict({**point, name: value})
    return model.total_bytes(model.family.complete(spec.configuration(moved)), workers)


def _largest_bound(
    spec: SearchSpec, model: CostModel, workers: int, point: Mapping[str, Any], name: str, free: int
) -> int | None:
    """The largest integer that still fits, a power of two where the range is of those."""
    values: Sequence[Any] = spec.space[name].extremes()
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return None
    powers = getattr(spec.space[name], "scale", None) == "pow2"
    low, high = min(values), max(values)

    def fits(value: int) -> bool:
        return _bytes_at(spec, model, point, name, value, workers) <= free

    if powers:
        fitting = [1 << k for k in range(high.bit_length()) if low <= 1 << k and fits(1 << k)]
        return max(fitting, default=None)
    if not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return int(low)

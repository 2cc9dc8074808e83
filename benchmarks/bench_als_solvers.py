"""Seconds per ALS epoch on one thread: LensKit's compiled trainer against recsearch's solver.

Besides the solver as it is, both of its ways are timed at every size, which is where the switch
between them (`recsearch.models.als.solver.BATCHED_BELOW`) comes from, and batched PyTorch, which
was considered instead. CPU seconds are given: all sides use one thread, and they are less
disturbed by other work on the machine than wall time.

    python benchmarks/bench_als_solvers.py [--dataset ml1m] [--sizes 8,32,64,128,256,512]
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from lenskit.training import TrainingOptions

from recsearch.data import Split, load_dataset, load_split
from recsearch.data.lenskit import dataset as lenskit_dataset
from recsearch.models import resolve
from recsearch.models.als.model import ALSModel, Solvers
from recsearch.models.als.rows import SparseRows, batches
from recsearch.models.als.solver import BATCHED_BELOW, RidgeSolver
from recsearch.threads import use_one_thread

RESULT = Path(__file__).parent / "results" / "als_solvers.json"
LARGEST_BATCHED = 128
"""Beyond this stacked calls are far behind."""

ENOUGH = 15.0
"""Seconds after which a measurement is not repeated."""


@click.command()
@click.option("--dataset", default="ml1m", show_default=True)
@click.option("--sizes", default="8,32,64,128,256,512", show_default=True)
@click.option(
    "--repeat",
    default=2,
    show_default=True,
    help="Epochs timed after the first; the fastest counts.",
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=False)
def main(dataset: str, sizes: str, repeat: int, out: Path) -> None:
    use_one_thread()
    split = load_split(load_dataset(dataset))
    rows = []
    print(f"{len(split.train.items):,} ratings, {split.n_users:,} users, {split.n_items:,} items")
    print("model          size  LensKit s  recsearch s   ratio  batched s   by row s    torch s")
    for name in ("als", "als-implicit"):
        for size in map(int, sizes.split(",")):
            row = measure(name, size, split, repeat)
            rows.append(row)
            print(line(row), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "benchmark": "als_solvers",
        "unit": "CPU seconds per epoch on one thread",
        "dataset": {
            "name": split.source.name,
            "title": split.source.title,
            "train_ratings": len(split.train.items),
            "users": split.n_users,
            "items": split.n_items,
        },
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("lenskit", "numpy", "scipy", "torch")},
        "batched_below": BATCHED_BELOW,
        "rows": rows,
    }
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {out}")


def measure(name: str, size: int, split: Split, repeat: int) -> dict[str, Any]:
    """Time one model at one size; checks on the way that both sides compute the same."""
    family = resolve(name)
    config = family.complete({"embedding_size": size, "user_embeddings": "prefer"})
    model = family.create(config, split, 1)
    solvers = model._solvers
    trainer = lenskit_trainer(family.class_path, config, split)
    ours, theirs = fastest(model.train_epoch, 1), fastest(trainer.train_epoch, 1)
    difference = float(np.abs(model.item_embeddings - trainer.scorer.item_embeddings).max())
    ours = min(ours, fastest(model.train_epoch, repeat))
    if theirs < ENOUGH:
        theirs = min(theirs, fastest(trainer.train_epoch, repeat))
    timed: dict[str, float | None] = {"batched_s": None, "torch_s": None}
    ways = {"by_row_s": False} | ({"batched_s": True} if size <= LARGEST_BATCHED else {})
    for way, batched in ways.items():
        model._solvers = Solvers(
            RidgeSolver(solvers.users.rows, size, batched=batched),
            RidgeSolver(solvers.items.rows, size, batched=batched),
        )
        timed[way] = fastest(model.train_epoch, repeat)
    if name == "als" and size <= LARGEST_BATCHED:
        timed["torch_s"] = torch_seconds(model, solvers.users.rows, repeat)
    return {
        "model": name,
        "size": size,
        "lenskit_s": theirs,
        "recsearch_s": ours,
        "ratio": theirs / ours,
        **timed,
        "largest_difference_after_first_epoch": difference,
    }


def lenskit_trainer(class_path: str, config: dict[str, Any], split: Split) -> Any:
    from lenskit import als

    scorer = getattr(als, class_path.rpartition(":")[2])(**config)
    return scorer.create_trainer(lenskit_dataset(split), TrainingOptions(rng=1))


def torch_seconds(model: ALSModel, by_user: SparseRows, repeat: int) -> float:
    """The explicit epoch with PyTorch's stacked Cholesky solver on the same batches."""
    users = list(batches(by_user, model.size))
    items = list(batches(by_user.transposed(), model.size))
    Q = model.item_embeddings

    def epoch() -> None:
        torch_half(items, torch_half(users, Q, by_user.n_rows), by_user.n_columns)

    return fastest(epoch, repeat)


def torch_half(groups: list[Any], other: np.ndarray, n_rows: int) -> np.ndarray:
    size = other.shape[1]
    padded = torch.from_numpy(np.concatenate([other, np.zeros((1, size), dtype=np.float32)]))
    out = np.zeros((n_rows, size), dtype=np.float32)
    for group in groups:
        M = padded[torch.from_numpy(group.columns)]
        gram = torch.bmm(M.transpose(1, 2), M)
        gram.diagonal(dim1=1, dim2=2).add_(torch.from_numpy(0.1 * group.counts)[:, None])
        target = torch.bmm(torch.from_numpy(group.targets)[:, None, :], M).transpose(1, 2)
        factor, _ = torch.linalg.cholesky_ex(gram)
        out[group.rows] = torch.cholesky_solve(target, factor)[:, :, 0].numpy()
    return out


def fastest(work: Callable[[], object], repeat: int) -> float:
    seconds = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
        if sum(seconds) > ENOUGH:
            break
    return min(seconds)


def cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [row.partition(":")[2].strip() for row in lines if row.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def line(row: dict[str, Any]) -> str:
    others = (row[name] for name in ("batched_s", "by_row_s", "torch_s"))
    return (
        f"{row['model']:<13} {row['size']:>5} {row['lenskit_s']:>10.3f} {row['recsearch_s']:>12.3f}"
        f" {row['ratio']:>6.1f}x"
        + "".join(f"{'-':>11}" if s is None else f"{s:>11.3f}" for s in others)
    )


if __name__ == "__main__":
    main()

"""A search whose trials get better after it has ended them."""

from __future__ import annotations

from typing import Any

from search_bench import Bench

SETTINGS = {
    "trials": 5, "max_epochs": 3, "method": "tpe", "scheduler": "asha",
    "scheduler_options": {"grace": 1, "eta": 2, "min_peers": 1}, "lag": 2,
}  # fmt: skip


def planted(bench: Bench, **config: Any) -> None:
    """A search whose trials are best at epoch 6, after its last one."""
    path = bench.search_file(**SETTINGS)
    fixed = ", ".join(f"{key} = {value}" for key, value in {"best_epoch": 6, **config}.items())
    path.write_text(path.read_text().replace("[search]", f"config = {{ {fixed} }}\n[search]"))

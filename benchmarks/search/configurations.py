"""Seeded points of the ALS space of March 2025."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from recsearch.identity import derive_seed

SEED = 42
T = TypeVar("T")


def configurations(count: int, largest: int) -> list[dict[str, Any]]:
    """``count`` points of the March 2025 space, sizes up to ``largest``, from a fixed seed."""
    rng = np.random.default_rng(derive_seed(SEED, "bench"))

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    return [
        {
            "embedding_size": round(log_uniform(4, largest)),
            "regularization": {"user": log_uniform(1e-5, 1), "item": log_uniform(1e-5, 1)},
            "damping": {"user": log_uniform(1e-12, 100), "item": log_uniform(1e-12, 100)},
        }
        for _ in range(count)
    ]


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """Nested configuration to dotted parameter names."""
    return {
        f"{key}.{inner}" if isinstance(value, dict) else key: found
        for key, value in config.items()
        for inner, found in (value.items() if isinstance(value, dict) else [("", value)])
    }


def chunks(points: Sequence[T], count: int) -> list[list[T]]:
    """Points in at most ``count`` consecutive groups whose sizes differ by one at most."""
    count = max(1, min(count, len(points)))
    bounds = [round(len(points) * i / count) for i in range(count + 1)]
    return [list(points[a:b]) for a, b in itertools.pairwise(bounds)]

"""Metrics by name, and their values for a model: vectorised, equal to LensKit's."""

from __future__ import annotations

from recsearch.evaluation.chance import chance
from recsearch.evaluation.evaluate import Scores, evaluate, per_user
from recsearch.evaluation.metrics import (
    EVALUATION_VERSION,
    Direction,
    Metric,
    better,
    default_metrics,
    parse,
)

__all__ = [
    "EVALUATION_VERSION",
    "Direction",
    "Metric",
    "Scores",
    "better",
    "chance",
    "default_metrics",
    "evaluate",
    "parse",
    "per_user",
]

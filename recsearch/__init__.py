"""Hyperparameter search for recommender models that never loses an epoch."""

from __future__ import annotations

__version__ = "0.1.0"
